"""`python -m recipe likelihood`: score texts or files with a masked language model."""

from pathlib import Path
from typing import Any, get_args

from transformers.utils.logging import disable_progress_bar

from recipe.command_line import VerbParser
from recipe.console import show_controls
from recipe.data.untagged import Item
from recipe.inference.loading import add_loading
from recipe.inference.reading import BadTexts, add_reading, make_reader, pair_results, read_inputs, write_results
from recipe.inference.scorer import Likelihood, Metric, Scorer

RESULTS = ("log_probability", "bits_per_character", "bits_per_token", "words", "tokens")  # keys of JSON lines


def format_likelihood(likelihood: Likelihood) -> str:
    """One line: log-probability, bits per character, bits per token, the text."""
    text = show_controls(" ".join(likelihood.text.split()))
    figures = (likelihood.log_probability, likelihood.bits_per_character, likelihood.bits_per_token)
    return "  ".join([*(f"{figure:z9.3f}" for figure in figures), text])


def make_row(item: Item, likelihood: Likelihood) -> dict[str, Any]:
    """A row of JSON lines: the figures of the text, its words and tokens, and the other keys of the input row."""
    row = {item.key or "text": likelihood.text, "log_probability": round(likelihood.log_probability, 6)}
    row |= {"bits_per_character": round(likelihood.bits_per_character, 6)}
    row |= {"bits_per_token": round(likelihood.bits_per_token, 6)}
    row |= {
        name: [[part, round(value, 6)] for part, value in getattr(likelihood, name)] for name in ("words", "tokens")
    }
    return item.keep_keys(row)


def main(argv: list[str]) -> None:
    """`python -m recipe likelihood`: print a line for each text, or write JSON lines."""
    parser = VerbParser(
        "likelihood",
        "Score texts by how likely a masked language model finds them: in nats, bits per character and bits per token.",
        'python -m recipe likelihood --model runs/mlm/name --compare "She left Oslo." "She leaved Oslo."\n'
        "  python -m recipe likelihood --model runs/mlm/name texts.txt --lines --output scores.jsonl",
    )
    parser.add_argument("inputs", nargs="+", metavar="TEXT|FILE", help="texts, files or globs; - is standard input")
    parser.add_argument("--model", required=True, help="a run's folder, a checkpoint or a Hub id")
    parser.add_argument(
        "--metric",
        choices=get_args(Metric),
        help="of a pseudo-log-likelihood (default: within_word_l2r); not for masked autoregressive models",
    )
    parser.add_argument("--compare", action="store_true", help="print the texts from the most to the least likely")
    parser.add_argument("--output", type=Path, help="file of JSON lines to write (default: print)")
    add_reading(parser)
    add_loading(parser, auto="fp32")
    args = parser.parse_args(argv)
    reader = make_reader(args, RESULTS)
    items, bad = read_inputs(args.inputs, reader, args.output), BadTexts(args.skip_bad, reader)
    disable_progress_bar()  # for loading the weights
    scorer = Scorer.load(args.model, args.precision, export=args.export)
    pairs = pair_results(items, lambda texts, refuse: scorer.stream(texts, args.metric, refuse), bad)
    if args.compare:
        pairs = iter(sorted(pairs, key=lambda pair: -pair[1].log_probability))
    write_results(pairs, args.output, format_likelihood, make_row, "      nats  bits/char  bits/token  text")
    bad.report()

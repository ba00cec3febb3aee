"""`python -m recipe likelihood`: score texts or files with a masked language model."""

from pathlib import Path
from typing import Any, get_args

from transformers.utils.logging import disable_progress_bar

from recipe.command_line import VerbParser
from recipe.data.untagged import Item, Reader
from recipe.inference.reading import BadTexts, add_reading, pair_results, read_inputs, write_results
from recipe.inference.scorer import Likelihood, Metric, Scorer


def format_likelihood(likelihood: Likelihood) -> str:
    """One line: log-probability, bits per character, bits per token, the text."""
    text = " ".join(likelihood.text.split())
    figures = (likelihood.log_probability, likelihood.bits_per_character, likelihood.bits_per_token)
    return "  ".join([*(f"{figure:9.3f}" for figure in figures), text])


def make_row(item: Item, likelihood: Likelihood) -> dict[str, Any]:
    """A row of JSON lines: the figures of the text, its words and tokens, and the other keys of the input row."""
    row = {item.key or "text": likelihood.text, "log_probability": round(likelihood.log_probability, 6)}
    row |= {"bits_per_character": round(likelihood.bits_per_character, 6)}
    row |= {"bits_per_token": round(likelihood.bits_per_token, 6)}
    row |= {
        name: [[part, round(value, 6)] for part, value in getattr(likelihood, name)] for name in ("words", "tokens")
    }
    return row | {key: value for key, value in item.row.items() if key not in row}


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
    args = parser.parse_args(argv)
    reader = Reader(args.encoding, args.lines, args.text_key, skip_bad=args.skip_bad)
    items, bad = read_inputs(args.inputs, reader), BadTexts(args.skip_bad, reader)
    disable_progress_bar()  # for loading the weights
    scorer = Scorer.load(args.model, args.precision, export=args.export)
    pairs = pair_results(items, lambda texts: scorer.stream(texts, args.metric, bad))
    if args.compare:
        pairs = iter(sorted(pairs, key=lambda pair: -pair[1].log_probability))
    if args.output is None:
        print("      nats  bits/char  bits/token  text")
    write_results(pairs, args.output, format_likelihood, make_row)
    bad.report()

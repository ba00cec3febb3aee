"""`python -m recipe fill`: fill the masks in texts or files with a masked language model."""

from pathlib import Path
from typing import Any, get_args

from transformers.utils.logging import disable_progress_bar

from recipe.command_line import VerbParser
from recipe.console import show_text
from recipe.data.untagged import Item
from recipe.errors import RecipeError
from recipe.inference.fill_options import FillOptions, Order
from recipe.inference.filler import FilledText, Filler
from recipe.inference.loading import add_loading
from recipe.inference.masks import MOST_PIECES
from recipe.inference.reading import BadTexts, add_reading, make_reader, pair_results, read_inputs, write_results

RESULTS = ("gaps", "predictions", "log_probability", "passes")  # keys of JSON lines


def format_filled(filled: FilledText) -> str:
    """The filled text, and below it a line for each masked position."""
    lines = [show_text(filled.text)]
    for prediction in filled.predictions:
        known = {None: "", True: ", the original", False: f", originally {prediction.original!r}"}
        listed = ", ".join(f"{token!r} {probability:.3f}" for token, probability in prediction.candidates)
        lines.append(f"  {prediction.position}: {prediction.token!r}{known[prediction.is_recovered]} ({listed})")
    lines.append(f"  log-probability {filled.log_probability:.3f} in {filled.passes} pass(es)")
    return "\n".join([*lines, ""])


def make_row(item: Item, filled: FilledText) -> dict[str, Any]:
    """A row of JSON lines: the filled text, its gaps and predictions, and the other keys of the input row."""
    predictions = [
        {
            **prediction._asdict(),
            "log_probability": round(prediction.log_probability, 6),
            "candidates": [[token, round(probability, 6)] for token, probability in prediction.candidates],
            "recovered": prediction.is_recovered,
        }
        for prediction in filled.predictions
    ]
    row = {item.key or "text": filled.text, "gaps": [list(gap) for gap in filled.gaps], "predictions": predictions}
    row |= {"log_probability": round(filled.log_probability, 6), "passes": filled.passes}
    return item.keep_keys(row)


def main(argv: list[str]) -> None:
    """`python -m recipe fill`: print filled texts, or write them as JSON lines."""
    parser = VerbParser(
        "fill",
        "Fill the masks in texts or files with a masked language model.",
        'python -m recipe fill --model runs/mlm/name "The ship left [MASK] on [MASK]."\n'
        '  python -m recipe fill --model runs/mlm/name "Mara Okello left Oslo on Monday." --mask_words 2 4\n'
        "  python -m recipe fill --model runs/mlm/name texts.txt --lines --output filled.jsonl",
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="TEXT|FILE", help="texts, files or globs; - is standard input; a mask is [MASK]"
    )
    parser.add_argument("--model", required=True, help="a run's folder, a checkpoint or a Hub id")
    masks = parser.add_argument_group("what is masked (default: the masks in the text; [MASK:3] is a word of 3 pieces)")
    masks.add_argument("--mask_positions", type=int, nargs="+", action="extend", help="tokens of the encoded text")
    masks.add_argument("--mask_words", type=int, nargs="+", action="extend", help="whole words, counted from 1")
    masks.add_argument("--mask_fraction", type=float, help="a random share of the tokens, up to 1 (--seed)")
    masks.add_argument(
        "--pieces", default="1", help="pieces to try for a mask without a number, such as 1-4; at most 20 (default: 1)"
    )
    how = parser.add_argument_group("how masks are filled")
    how.add_argument(
        "--order", choices=get_args(Order), help="default: left_to_right if the model was trained so, else confidence"
    )
    how.add_argument("--steps", type=int, help="forward passes, of several positions each (default: one position each)")
    how.add_argument(
        "--threshold",
        type=float,
        help="confidence: fill all positions of at least this probability, instead of --steps",
    )
    how.add_argument("--temperature", type=float, default=0.0, help="sample; 0 takes the best token (default: 0)")
    how.add_argument("--seed", type=int, default=0, help="seed of samples and of random masks (default: 0)")
    parser.add_argument(
        "--top", type=int, default=5, help="candidates to list for each position, up to 1000 (default: 5)"
    )
    parser.add_argument("--output", type=Path, help="file of JSON lines to write (default: print)")
    add_reading(parser)
    add_loading(parser)
    args = parser.parse_args(argv)
    options: dict[str, Any] = {name: vars(args)[name] for name in FillOptions.__dataclass_fields__}
    options["pieces"] = parse_range(args.pieces)
    FillOptions(**options)  # bad values are refused before the model loads
    reader = make_reader(args, RESULTS)
    items, bad = read_inputs(args.inputs, reader, args.output), BadTexts(args.skip_bad, reader)
    disable_progress_bar()  # for loading the weights
    filler = Filler.load(args.model, args.precision, export=args.export)
    pairs = pair_results(items, lambda texts, refuse: filler.stream(texts, refuse, **options), bad)
    write_results(pairs, args.output, format_filled, make_row)
    bad.report()


def parse_range(text: str) -> tuple[int, ...]:
    """`"3"` -> (3,), `"1-4"` -> (1, 2, 3, 4). Raises RecipeError for anything else."""
    first, dash, last = text.partition("-")
    last = last if dash else first
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) <= MOST_PIECES):
        raise RecipeError(f"pieces: {text}: expected a number up to {MOST_PIECES}, or a range such as 1-4")
    return tuple(range(int(first), int(last) + 1))

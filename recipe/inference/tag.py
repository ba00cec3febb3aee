"""`python -m recipe tag`: tag text, files or standard input of any size with a finished model."""

import json
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from itertools import islice
from pathlib import Path
from typing import TextIO

from tqdm import tqdm
from transformers.utils.logging import disable_progress_bar

from recipe.command_line import VerbParser
from recipe.console import find_failure
from recipe.data.documents import Document
from recipe.data.schemes import list_types
from recipe.data.untagged import STDIN, Item, Reader, check_keys, list_files
from recipe.errors import RecipeError
from recipe.files import check_output, is_stream, open_whole
from recipe.inference.loading import add_loading
from recipe.inference.tagged_output import FORMATS, format_end, format_item, format_start, show_output
from recipe.inference.tagger import Tagger

KINDS = {".jsonl": "jsonl", ".conll": "conll", ".html": "html", ".txt": "text"}  # suffix of the output -> format
PARTIAL, STATE = ".partial", ".state"  # added to the name of an unfinished output file


class OutputFile:
    """An output file that is written under another name and renamed when it is complete.

    items: number of items in the file. It is saved with the file size after each buffer, so that `resume` can continue.
    settings: settings of the output; a file with other settings is not continued.
    """

    def __init__(self, path: Path, resume: bool, settings: dict[str, str]):
        self.path, self.settings = path, settings
        self.partial, self.state = (path.with_name(path.name + ending) for ending in (PARTIAL, STATE))
        if os.path.lexists(self.partial) and not resume:
            raise RecipeError(f"{self.partial}: an interrupted output: continue it with --resume, or delete it")
        self.items, size = self._find_start()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(self.partial, "r+b" if size else "wb")  # noqa: SIM115 - `finish` closes it
        self.file.truncate(size)
        self.file.seek(size)
        self._save_state()

    def _find_start(self) -> tuple[int, int]:
        """The number of items and bytes from an earlier start. Raises RecipeError if it cannot be continued.

        Raises it too if a file that is in the way was not written here, and would be replaced.
        """
        if not os.path.lexists(self.partial):
            if os.path.lexists(self.state):
                self._read_state("move it, or set another output")  # of an output that was deleted, or just renamed
            return 0, 0
        if not self.state.exists():
            if self.partial.stat().st_size:
                raise RecipeError(f"{self.partial}: has no {self.state.name} to continue it with: move or delete it")
            return 0, 0
        items, size, settings = self._read_state("delete it and start without --resume")
        if not items or self.partial.stat().st_size < size:
            return 0, 0
        if changed := sorted(key for key in {*settings, *self.settings} if settings.get(key) != self.settings.get(key)):
            names = ", ".join(changed)
            raise RecipeError(f"{self.partial}: {names} changed since it was started: restore them, or delete the file")
        return items, size

    def _read_state(self, hint: str) -> tuple[int, int, dict[str, str]]:
        """The items, bytes and settings in the file of the state. Raises RecipeError with `hint` for another file."""
        try:
            state = json.loads(self.state.read_text(encoding="utf-8"))
            items, size, settings = int(state["items"]), int(state["bytes"]), state["settings"]
            if min(items, size) < 0:
                raise ValueError("a negative number")
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise RecipeError(f"{self.state}: cannot be read as the state of an output ({error}): {hint}") from None
        return items, size, settings

    def _save_state(self) -> None:
        content = {"items": self.items, "bytes": self.file.tell(), "settings": self.settings}
        beside = self.state.with_name(self.state.name + PARTIAL)
        beside.write_text(json.dumps(content), encoding="utf-8")
        beside.replace(self.state)

    def write(self, text: str, items: int = 0) -> None:
        """Append `text`, which contains `items` items, and save the state."""
        self.file.write(text.encode("utf-8", "replace"))
        self.file.flush()
        os.fsync(self.file.fileno())
        self.items += items
        self._save_state()

    def discard(self) -> None:
        """Remove the file, and that of its state."""
        self.file.close()
        for path in (self.partial, self.state):
            path.unlink(missing_ok=True)

    def finish(self, text: str) -> None:
        """Append the end of the file and rename it. Until then, `resume` continues before the end."""
        self.file.write(text.encode())
        self.file.close()
        self.partial.replace(self.path)
        self.state.unlink()


class Stream:
    """Output to standard output, a device or a pipe, which cannot be continued. kind: its format."""

    items = 0

    def __init__(self, file: TextIO, kind: str):
        self.file, self.kind, self.is_terminal = file, kind, file.isatty()

    def write(self, text: str, items: int = 0) -> None:
        """Write `text`, which contains `items` items. Raises OSError also if standard output failed before."""
        self.file.write(show_output(self.kind, text) if self.is_terminal else text)
        self.file.flush()
        if self.file is sys.stdout and (failure := find_failure()):
            raise failure
        self.items += items

    def finish(self, text: str) -> None:
        """Write the end."""
        self.write(text)


@contextmanager
def open_output(path: Path | None, kind: str, resume: bool, settings: dict[str, str]) -> Iterator[OutputFile | Stream]:
    """The output to a file, to a device or pipe, or to standard output if there is no path.

    The block ends early, without an error, if the reader of a pipe has seen enough, as `head` has. Raises RecipeError
    if the output cannot be written.
    """
    if path is None or is_stream(path):
        opened = nullcontext(sys.stdout) if path is None else open_whole(path)
        with _explain(path, "write to a file with --output"), suppress(BrokenPipeError), opened as file:
            yield Stream(file, kind)
        return
    try:
        with _explain(path, "continue with --resume once it is fixed"):
            output = OutputFile(path, resume, settings)
            try:
                yield output
            except BaseException:
                if not output.items:  # nothing that would have to be computed again
                    output.discard()
                raise
    except KeyboardInterrupt:
        print(f"\n{path}: interrupted: continue with the same command and --resume", file=sys.stderr)
        raise


@contextmanager
def _explain(path: Path | None, hint: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecipeError(f"{f'output {path}' if path else 'standard output'}: {error.strerror}: {hint}") from None


def tag(tagger: Tagger, items: Iterator[Item], output: OutputFile | Stream, kind: str, min_score: float = 0.0) -> None:
    """Tag the items that are not in the output yet, and write them in the format `kind`."""
    if output.items == 0:
        output.write(format_start(kind, list_types(tagger.labels)))
    waiting: deque[Item] = deque()

    def list_contents() -> Iterator[str | Document]:
        for item in islice(items, output.items, None):
            waiting.append(item)
            yield item.content

    with _show_progress(output.items) as progress:
        for tagged in tagger.stream_buffers(list_contents(), min_score):
            lines = [format_item(kind, waiting.popleft(), text) for text in tagged]
            output.write("".join(lines), len(lines))
            progress.update(len(lines))
    output.finish(format_end(kind))


def _show_progress(done: int) -> tqdm:
    """A progress bar of tagged items, shown only on a terminal."""
    return tqdm(initial=done, unit=" texts", disable=not sys.stderr.isatty(), file=sys.stderr)


def _describe_version(path: str) -> str:
    """The size and time of a file, to notice changes; empty if it is not a local file."""
    if not Path(path).is_file():
        return ""
    found = Path(path).stat()
    return f"{found.st_size} {found.st_mtime_ns}"


def _find_format(output: Path | None) -> str:
    """The format of an output file by the end of its name; JSON lines for standard output."""
    if output is None:
        return "jsonl"
    if output.suffix not in KINDS:
        raise RecipeError(f"output {output}: ends in none of {' '.join(KINDS)}: set --format")
    return KINDS[output.suffix]


def make_parser() -> VerbParser:
    """The options of the verb."""
    parser = VerbParser(
        "tag",
        "Tag the entities in raw text, JSON lines or column files with a finished model.",
        'python -m recipe tag --model runs/ner/name --text "Mara Okello left Oslo." --format text\n'
        "  python -m recipe tag --model runs/ner/name articles.txt --output entities.jsonl",
    )
    parser.add_argument("files", nargs="*", help="files or globs; - is standard input")
    parser.add_argument("--model", required=True, help="a run's folder, a checkpoint or a Hub id")
    parser.add_argument("--text", action="append", default=[], help="a text to tag; can be given several times")
    parser.add_argument("--format", choices=FORMATS, help="output format (default: from the suffix of --output)")
    parser.add_argument("--output", type=Path, help="file to write (default: standard output)")
    parser.add_argument("--min_score", type=float, default=0.0, help="minimum probability of an entity (default: 0)")
    parser.add_argument("--lines", action="store_true", help="plain text: treat each line as a text, not each article")
    parser.add_argument("--text_key", default="text", help="JSON lines: key of the text (default: text)")
    parser.add_argument("--tokens_key", default="tokens", help="JSON lines: key of a list of words (default: tokens)")
    parser.add_argument(
        "--word_column", type=int, default=0, help="column files: index of the word column (default: 0)"
    )
    parser.add_argument("--encoding", default="utf-8", help="encoding of the files (default: utf-8)")
    parser.add_argument("--skip_bad", action="store_true", help="skip and count lines that cannot be read")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted output file")
    add_loading(parser)
    return parser


def main(argv: list[str]) -> None:
    """`python -m recipe tag`: tag text or files and write the entities."""
    args = make_parser().parse_args(argv)
    if bool(args.files) == bool(args.text):
        raise RecipeError("input: expected either files or --text: set one of them")
    if args.resume and (args.output is None or is_stream(args.output) or args.text or STDIN in args.files):
        raise RecipeError("--resume: needs input files and an output file: set files and --output")
    if not 0 <= args.min_score <= 1:
        raise RecipeError(f"min_score: {args.min_score} must be at least 0 and at most 1")
    check_keys([args.text_key, args.tokens_key], ("tags", "entities"))
    files = list_files(args.files)
    if args.output:
        check_output(args.output, files)
    kind = args.format or _find_format(args.output)
    reader = Reader(args.encoding, args.lines, args.text_key, args.tokens_key, args.word_column, args.skip_bad)
    disable_progress_bar()  # for loading the weights
    tagger = Tagger.load(args.model, args.precision, export=args.export)
    items = iter(map(Item, args.text)) if args.text else reader.read(files)
    settings = {key: str(value) for key, value in vars(args).items() if key not in ("resume", "skip_bad")}
    settings |= {path: _describe_version(path) for path in [*files, f"{args.model}/model.safetensors"]}
    with open_output(args.output, kind, args.resume, settings) as output:
        tag(tagger, items, output, kind, args.min_score)
    if reader.skipped:
        print(f"{reader.skipped} line(s) could not be read and were skipped", file=sys.stderr)

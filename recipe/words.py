"""Plain text -> a column file of words without entities, for a trained checkpoint to tag: silver data for another.

python -m recipe.words "path/to/*.txt" --output words.conll --every 4

Articles are parted by blank lines; each becomes a document, each of its lines a sentence.
"""

import argparse
import html
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import regex

from recipe.conll import Document, Sentence, write_conll
from recipe.errors import RecipeError, exit_with
from recipe.sources import expand_files
from recipe.text_files import read_lines

CLITIC = r"(?i:['\u2019](?:s|re|ve|ll|d|m)|n['\u2019]t)\b"
# As corpora of entities part them: clitics, what stands before n't, initials or a word with signs and more within, any
# other sign by itself.
WORD = regex.compile(
    rf"{CLITIC}|\w+?(?=(?i:n['\u2019]t)\b)"
    rf"|(?:(?:[^\W\d]\.){{2,}}(?!\w)|\w+)(?:(?!{CLITIC})[-.,/&@'\u2019]\w+)*|[^\w\s]"
)


def write_words(patterns: list[str], output: str | Path, every: int = 1, encoding: str = "utf-8") -> None:
    """Write the words of every so-many-th article of the files that paths and globs name.

    Raises RecipeError for a file that is missing, no plain text or cannot be decoded, or that `output` would overwrite.
    """
    files = expand_files("files", patterns)
    others = [file for file in files if Path(file).suffix != ".txt"]
    if others:
        raise RecipeError(f"{others[0]}: is not read as plain text: expected files named .txt")
    if Path(output).resolve() in [Path(file).resolve() for file in files]:
        raise RecipeError(f"output: {output} is one of the files to read: name another")
    if every < 1:
        raise RecipeError(f"every: {every}: expected 1 or more")
    lines = (line for file in files for line in [*read_lines(file, encoding), ""])  # a file ends its last article
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    write_conll(output, islice(split_articles(lines), 0, None, every))


def split_articles(lines: Iterable[str]) -> Iterator[Document]:
    """The articles of a text, their words tagged `O`."""
    article = Document()
    for line in lines:
        words = WORD.findall(unicodedata.normalize("NFC", html.unescape(line)))
        if words:
            article.sentences.append(Sentence(words, ["O"] * len(words)))
        elif article.sentences:
            yield article
            article = Document()
    if article.sentences:
        yield article


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--output", required=True)
    parser.add_argument("--encoding", default="utf-8")
    parser.add_argument("--every", type=int, default=1, help="Take one article in so many.")
    args = parser.parse_args()
    write_words(args.files, args.output, args.every, args.encoding)


if __name__ == "__main__":
    exit_with(main)

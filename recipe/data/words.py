"""Plain text -> a column file of words, all tagged `O`, which a trained model can tag to make silver training data.

python -m recipe words "path/to/*.txt" --output words.conll --every 4

Articles are separated by blank lines. Each article becomes a document, and each of its lines a sentence.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from recipe.command_line import VerbParser
from recipe.data.conll import write_conll
from recipe.data.documents import Document
from recipe.data.raw_text import find_sentences
from recipe.data.sources import expand_files, find_suffix
from recipe.data.text_files import read_articles
from recipe.errors import RecipeError
from recipe.files import check_output


def write_words(patterns: list[str], output: str | Path, every: int = 1, encoding: str = "utf-8") -> None:
    """Write the words of text files, given as paths and globs, to the column file `output`.

    every: take one article in `every`.
    Raises RecipeError if a file is missing, does not end in .txt, cannot be decoded, or is also `output`, and if
    `output` is a folder.
    """
    files = list_texts("files", patterns)
    check_output(Path(output), files)
    if every < 1:
        raise RecipeError(f"every: {every} is too small: it must be at least 1")
    write_conll(output, read_words(files, every, encoding))


def list_texts(key: str, patterns: list[str]) -> list[str]:
    """The text files of setting `key`. Raises RecipeError if one is missing or does not end in .txt."""
    files = expand_files(key, patterns)
    others = [file for file in files if find_suffix(file) != ".txt"]
    if others:
        raise RecipeError(f"{others[0]}: not a plain text file: expected files that end in .txt")
    return files


def read_words(
    files: list[str], every: int = 1, encoding: str = "utf-8", splitter: str = "punctuation"
) -> Iterator[Document]:
    """The documents of text files, an article each; of those with words, one in `every`. splitter: see `split_words`.

    Raises RecipeError if a file cannot be decoded.
    """
    articles = (article for file in files for article in read_articles(file, encoding))
    documents = (split_words(article, splitter) for article in articles)
    return islice(filter(lambda document: document.sentences, documents), 0, None, every)


def split_words(article: str, splitter: str = "punctuation") -> Document:
    """The words of an article, all tagged `O`; each line with words is a sentence.

    splitter: how a line is split into words, a key of `recipe.data.raw_text.SPLITTERS`.
    """
    lines = ([word.text for words in find_sentences(line, splitter) for word in words] for line in article.split("\n"))
    return Document.from_words(filter(None, lines))


def main(argv: list[str]) -> None:
    """`python -m recipe words`: write the words of text files to a column file."""
    parser = VerbParser(
        "words",
        "Split plain text into words, one on each line, so that a trained model can tag them.",
        'python -m recipe words "path/to/*.txt" --output words.conll --every 4',
    )
    parser.add_argument("files", nargs="+", help="text files or globs; blank lines separate articles")
    parser.add_argument("--output", required=True, help="column file to write")
    parser.add_argument("--encoding", default="utf-8", help="encoding of the text files (default: utf-8)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take one article in N (default: 1)")
    args = parser.parse_args(argv)
    write_words(args.files, args.output, args.every, args.encoding)

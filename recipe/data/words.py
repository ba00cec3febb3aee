"""Plain text -> a column file of words without entities, for a trained checkpoint to tag: silver data for another.

python -m recipe words "path/to/*.txt" --output words.conll --every 4

Articles are parted by blank lines; each becomes a document, each of its lines a sentence.
"""

import html
import unicodedata
from itertools import islice
from pathlib import Path

import regex

from recipe.command_line import VerbParser
from recipe.data.conll import write_conll
from recipe.data.documents import Document, Sentence
from recipe.data.sources import expand_files
from recipe.data.text_files import read_articles
from recipe.errors import RecipeError

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
    articles = (article for file in files for article in read_articles(file, encoding))
    documents = filter(lambda document: document.sentences, map(split_words, articles))
    write_conll(output, islice(documents, 0, None, every))


def split_words(article: str) -> Document:
    """An article's words, all tagged `O`; each line that holds any is a sentence."""
    lines = (WORD.findall(unicodedata.normalize("NFC", html.unescape(line))) for line in article.split("\n"))
    return Document([Sentence(words, ["O"] * len(words)) for words in lines if words])


def main(argv: list[str]) -> None:
    """`python -m recipe words`: write the words of text files."""
    parser = VerbParser(
        "words",
        "Split plain text into words, a line each, for a trained model to tag.",
        'python -m recipe words "path/to/*.txt" --output words.conll --every 4',
    )
    parser.add_argument("files", nargs="+", help="text files or globs; blank lines part articles")
    parser.add_argument("--output", required=True, help="column file to write")
    parser.add_argument("--encoding", default="utf-8", help="of the text files (utf-8)")
    parser.add_argument("--every", type=int, default=1, help="take one article in so many (1)")
    args = parser.parse_args(argv)
    write_words(args.files, args.output, args.every, args.encoding)

"""The line that tells a user what was read."""

from recipe.arguments import NerArguments
from recipe.data.documents import Notes
from recipe.data.splits import load_splits
from recipe.inputs.overview import format_overview


def test_one_line_says_what_was_read(tmp_path, tokenizer):
    text = "# note\n-DOCSTART- O\n\nMara I-PER\nOkello I-PER\nleft O\nOslo I-LOC\n\n\u2603\u2603 O\n\u2603\u2603 O\n"
    (tmp_path / "mine.conll").write_text(text, encoding="utf-8")
    notes: dict[str, Notes] = {}
    arguments = NerArguments(train_file=[str(tmp_path / "mine.conll")], comment_prefix="#", tag_scheme="IOB1")
    documents = load_splits(arguments, ["train"], notes=notes)
    assert format_overview("train", documents["train"], notes["train"], tokenizer) == (
        "data: train: mine.conll (IOB1); 1 document(s), 2 sentences, 6 words; 2 entities (LOC 1, PER 1); "
        "1 comment line(s) skipped; 2 word(s) unknown to the tokenizer; longest sentence 4 words"
    )

"""The line that tells a user what was read."""

from datasets import Dataset, concatenate_datasets

from recipe.arguments import MlmArguments, NerArguments
from recipe.data.articles import load_articles
from recipe.data.documents import Notes
from recipe.data.splits import load_splits
from recipe.inputs.blocks import build_blocks
from recipe.inputs.overview import doubt_masks, format_overview, format_text_overview


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


def test_doubtful_types_are_named(tmp_path, tokenizer):
    lines = ["Oslo B-LOC", "Mara B-PER"] * 50 + ["Lima B-Loc", "Norvik B-ORG", "Orr B-P_ER"]
    (tmp_path / "mine.conll").write_text("\n".join(lines))
    notes: dict[str, Notes] = {}
    documents = load_splits(NerArguments(train_file=[str(tmp_path / "mine.conll")]), ["train"], notes=notes)
    assert format_overview("train", documents["train"], notes["train"], tokenizer).splitlines()[1:] == [
        "data: train: types that differ only in case or signs: LOC, Loc",
        "data: train: types that differ only in case or signs: PER, P_ER",
        "data: train: types of only one entity, which can be mistakes: Loc, ORG, P_ER",
    ]


def test_text_is_counted_in_articles_blocks_and_tokens(tmp_path, tokenizer):
    (tmp_path / "a.txt").write_text("Mara left Oslo .\n\n\u2603 Lima", encoding="utf-8")
    arguments = MlmArguments(train_file=[str(tmp_path / "a.txt")], block_size=8)
    articles = load_articles(arguments, ["train"], str(tmp_path))["train"]
    blocks = build_blocks(articles, tokenizer, arguments)
    tokens = sum(len(row["input_ids"]) for row in blocks)
    assert format_text_overview("a.txt", articles, blocks, tokenizer) == (
        f"a.txt; 2 article(s); {len(blocks)} blocks, {tokens} tokens; 1 of them unknown to the tokenizer"
    )


def test_an_evaluation_on_few_masked_tokens_is_doubted():
    few = Dataset.from_dict({"input_ids": [[5] * 150] * 2, "labels": [[-100] * 149 + [5], [5] * 150]})
    assert doubt_masks(few).startswith("only 151 masked token(s), whose loss says little: set validation_file")
    assert doubt_masks(concatenate_datasets([few, few])) is None

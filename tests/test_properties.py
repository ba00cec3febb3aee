"""What holds for any input: reader, writer, schemes, windows and scorer."""

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recipe.data.conll import DOCUMENT_START, read_columns, write_conll
from recipe.data.documents import Document, Sentence, list_sentences, list_tags
from recipe.data.schemes import PREFIXES, is_well_formed, to_iob2
from recipe.evaluation.scoring import score, score_documents, score_file
from recipe.inference.decoding import decode
from recipe.inputs.windows import build_windows, collect_logits

settings.register_profile("patient", deadline=None, database=None)  # a busy machine is no failure
settings.load_profile("patient")

KINDS = ["PER", "work-of-art", "Ø"]
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=" \t\r\n\0"), min_size=1, max_size=8)
TAGS = st.sampled_from(["O", *(f"{prefix}-{kind}" for prefix in "BI" for kind in KINDS)])
ANY_TAGS = st.sampled_from(["O", *(f"{prefix}-{kind}" for prefix in "BIESLU" for kind in KINDS)])


def make_documents(words=WORDS, tags=TAGS):
    pairs = st.lists(st.tuples(words, tags), min_size=1, max_size=30)
    sentences = pairs.map(lambda pairs: Sentence([word for word, _ in pairs], [tag for _, tag in pairs]))
    return st.lists(st.builds(Document, st.lists(sentences, min_size=1, max_size=4)), min_size=1, max_size=4)


@given(make_documents(WORDS.filter(lambda word: word != DOCUMENT_START and not re.search(r"\s", word))))
def test_any_sentences_survive_writing_and_reading(tmp_path_factory, documents):
    path = tmp_path_factory.getbasetemp() / "survive.conll"
    write_conll(path, documents, list_tags(documents))
    assert read_columns(path, tag_column=1) == documents
    assert list_tags(read_columns(path, tag_column=2)) == list_tags(documents)


@given(make_documents(st.text(st.characters(exclude_categories=["Cs"]), max_size=8)))
def test_any_words_keep_their_number_and_tags(tmp_path_factory, documents):
    """Empty words, those of white space, NUL, and those that look like the opening of a document among them."""
    path = tmp_path_factory.getbasetemp() / "number.conll"
    write_conll(path, documents)
    found = read_columns(path)
    assert [len(document.sentences) for document in found] == [len(document.sentences) for document in documents]
    assert list_tags(found) == list_tags(documents)


@given(st.lists(ANY_TAGS, max_size=30))
def test_any_tags_become_well_formed_iob2_of_the_same_words(tags):
    converted = to_iob2(tags)
    assert is_well_formed(converted, "IOB2")
    assert [tag[2:] for tag in converted] == [tag[2:] for tag in tags]
    assert to_iob2(converted) == converted


@given(
    st.lists(st.tuples(st.sampled_from(["O", *KINDS]), st.integers(1, 4)), max_size=10), st.sampled_from(list(PREFIXES))
)
def test_entities_survive_every_scheme(entities, scheme):
    tags, expected = [], []
    for kind, length in entities:
        if kind == "O":
            tags, expected = [*tags, *["O"] * length], [*expected, *["O"] * length]
        else:
            follows = bool(tags) and tags[-1][2:] == kind
            tags += [f"{prefix}-{kind}" for prefix in spell_prefixes(scheme, length, follows)]
            expected += [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]
    assert is_well_formed(tags, scheme)
    assert to_iob2(tags) == expected


def spell_prefixes(scheme, length, follows):
    """The prefixes of one entity; `follows`: right behind another one of its type."""
    inside = "I" * (length - 1)
    if scheme == "IOB1":
        return ("B" if follows else "I") + inside
    if scheme == "IOB2":
        return "B" + inside
    last, single = ("E", "S") if scheme == "IOBES" else ("L", "U")
    return single if length == 1 else f"B{inside[1:]}{last}"


@given(
    make_documents(st.text("ab\u200b\x01é", max_size=9)),
    st.integers(4, 40),
    st.sampled_from(["none", "document"]),
    st.integers(0, 50),
)
def test_any_window_setting_scores_each_word_exactly_once(tokenizer, documents, length, context, context_size):
    labels = ["O", *(f"{prefix}-{kind}" for kind in KINDS for prefix in "BI")]
    windows = build_windows(documents, tokenizer, labels, length, context, context_size)
    assert max(len(window["input_ids"]) for window in windows) <= length
    scored = sorted(word for window in windows for word in window["word_ids"] if word >= 0)
    assert scored == list(range(sum(len(sentence.words) for sentence in list_sentences(documents))))
    rows = [np.eye(len(labels))[np.maximum(window["labels"], 0)] for window in windows]
    lengths = [len(sentence.words) for sentence in list_sentences(documents)]
    assert decode(collect_logits(rows, windows), lengths, labels, constrained=False) == list_tags(documents)


@given(st.lists(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=8), min_size=1, max_size=5))
def test_scores_count_every_word_and_stay_within_bounds(tmp_path_factory, pairs):
    gold = [to_iob2([tag for tag, _ in sentence]) for sentence in pairs]
    predicted = [[tag for _, tag in sentence] for sentence in pairs]
    report = score(gold, predicted)
    assert sum(row["support"] for row in report["tags"].values()) == sum(map(len, gold))
    assert report["entities"]["micro avg"]["support"] == sum(tag[0] == "B" for tags in gold for tag in tags)
    rows = [*report["tags"].values(), *report["entities"].values()]
    assert all(0 <= row[name] <= 1 for row in rows for name in ("precision", "recall", "f1"))
    perfect = score(gold, gold)
    assert all(row["f1"] == 1 for row in perfect["tags"].values() if row["support"])
    path = tmp_path_factory.getbasetemp() / "scores.conll"
    sentences = [Sentence(["w"] * len(tags), tags) for tags in gold]
    write_conll(path, [Document(sentences)], predicted)
    iob1 = all(is_well_formed(tags, "IOB1") for tags in predicted)
    iob2 = all(is_well_formed(tags, "IOB2") for tags in predicted)
    if any(tag.startswith("I") for tags in gold for tag in tags) and (iob2 or not iob1):  # else one column is IOB1
        assert score_file(path) == report | {"documents": score_documents([Document(sentences)], predicted)}

"""The embedded corpus keeps what its card promises."""

import re
from collections import Counter

import pytest

from conftest import ROOT
from recipe.data.conll import read_columns
from recipe.data.documents import list_sentences
from recipe.data.schemes import is_well_formed

FOLDER = ROOT / "data" / "newswire-mini"
SPLITS = ("train", "valid", "test")
TYPES = ("LOC", "MISC", "ORG", "PER")


@pytest.fixture(scope="module")
def corpus():
    return {split: read_columns(FOLDER / f"{split}.conll") for split in SPLITS}


def list_mentions(documents):
    mentions = []
    for sentence in list_sentences(documents):
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            if tag.startswith("B-"):
                mentions.append((tag[2:], word))
            elif tag.startswith("I-"):
                mentions[-1] = (mentions[-1][0], f"{mentions[-1][1]} {word}")
    return mentions


def skeleton(sentence):
    """The sentence with its entities replaced by their types and its numbers by 0."""
    words = [
        tag[2:] if tag[0] == "B" else re.sub(r"\d[\d.,:-]*", "0", word)
        for word, tag in zip(sentence.words, sentence.tags, strict=True)
        if tag[0] != "I"
    ]
    return " ".join(words)


def test_tags_are_well_formed(corpus):
    for documents in corpus.values():
        for sentence in list_sentences(documents):
            assert is_well_formed(sentence.tags, "IOB2"), sentence.place
            assert {tag[2:] for tag in sentence.tags} <= {"", *TYPES}, sentence.place


def test_counts_are_those_of_the_card(corpus):
    rows = {}
    for split, documents in corpus.items():
        sentences, types = list_sentences(documents), Counter(kind for kind, _ in list_mentions(documents))
        words = sum(len(sentence.words) for sentence in sentences)
        rows[split] = [len(documents), len(sentences), words, *(types[kind] for kind in TYPES)]
    rows["all"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    card = (FOLDER / "README.md").read_text()
    for name, row in rows.items():
        assert f"| {name} | {' | '.join(f'{number:,}' for number in row)} |" in card
    assert rows["all"][0] >= 150
    assert rows["all"][1] >= 1200
    assert rows["all"][2] >= 20_000
    assert all(a + b >= 150 for a, b in zip(rows["valid"][3:], rows["test"][3:], strict=True))


def test_no_sentence_stands_in_two_splits(corpus):
    seen = {split: {" ".join(s.words) for s in list_sentences(documents)} for split, documents in corpus.items()}
    assert not seen["train"] & seen["valid"]
    assert not seen["train"] & seen["test"]
    assert not seen["valid"] & seen["test"]


def test_many_test_mentions_are_new(corpus):
    known = {name.lower() for _, name in list_mentions(corpus["train"])}
    mentions = [name for _, name in list_mentions(corpus["test"])]
    exact = {name for _, name in list_mentions(corpus["train"])}
    assert sum(name.lower() not in known for name in mentions) >= 0.4 * len(mentions)
    share = 100 * sum(name not in exact for name in mentions) / len(mentions)
    assert f"{share:.0f} % of the entity mentions in `test.conll` do not occur" in (FOLDER / "README.md").read_text()


def test_sentences_are_not_made_from_templates(corpus):
    """Score lines, tables and datelines, which have no word in lower case, may repeat their shape."""
    skeletons = Counter(skeleton(s) for documents in corpus.values() for s in list_sentences(documents))
    repeated = [text for text, times in skeletons.items() if times > 3 and re.search(r"\b[a-z]{3,}\b", text)]
    assert repeated == []

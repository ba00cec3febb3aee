"""F1 by bucket: what belongs where, and figures that add up to those of the score."""

import pytest

from recipe.data.documents import Sentence
from recipe.evaluation.buckets import count_mentions, is_headline, score_buckets
from recipe.evaluation.matches import ScoredSentence, list_cases
from recipe.evaluation.scoring import score_entities

MENTIONS = {"Oslo": {"LOC": 3}, "Lima": {"PER": 1}, "Norvik shipyard": {"ORG": 25}}
SENTENCES = [
    ScoredSentence(
        ["Oslo", "saw", "Norvik", "shipyard", "and", "Quito", "."],
        ["B-LOC", "O", "B-ORG", "I-ORG", "O", "B-LOC", "O"],
        ["B-LOC", "O", "B-ORG", "O", "O", "B-LOC", "O"],
    ),
    ScoredSentence(["LIMA", "WINS", "."], ["B-LOC", "O", "O"], ["O", "O", "O"]),
    ScoredSentence(["Lima", *["word"] * 30], ["B-LOC", *["O"] * 30], ["B-ORG", *["O"] * 30]),
]


def find_rows(mentions=MENTIONS):
    return score_buckets(list_cases(SENTENCES), mentions)


def test_mentions_are_counted_by_words_and_type():
    sentences = [
        Sentence(["Oslo", "and", "Mara", "Okello"], ["B-LOC", "O", "B-PER", "I-PER"]),
        Sentence(["Oslo", "Oslo"], ["B-ORG", "B-LOC"]),
    ]
    assert count_mentions(sentences) == {"Oslo": {"LOC": 2, "ORG": 1}, "Mara Okello": {"PER": 1}}


def test_an_entity_is_seen_with_its_type_or_with_others_or_not_at_all():
    rows = find_rows()["seen in training"]
    assert {name: row["support"] for name, row in rows.items()} == {"seen": 2, "seen with other types": 1, "unseen": 2}
    assert rows["seen"]["precision"] == 1.0  # Oslo; the prediction `Norvik` is unseen, its gold entity seen
    assert rows["seen"]["recall"] == 0.5
    assert rows["unseen"]["precision"] == 0.5


def test_other_groupings_name_their_ranges():
    rows = {name: {bucket: row["support"] for bucket, row in part.items()} for name, part in find_rows().items()}
    assert rows["times in training"] == {"0": 2, "1": 1, "2 to 4": 1, "20 or more": 1}
    assert rows["words of the entity"] == {"1": 4, "2": 1}
    assert rows["words of the sentence"] == {"1 to 9": 4, "30 to 49": 1}
    assert rows["case of the sentence"] == {"all upper case": 1, "other": 4}


def test_buckets_add_up_to_the_score():
    score = score_entities([one.gold for one in SENTENCES], [one.predicted for one in SENTENCES])["micro avg"]
    for rows in find_rows().values():
        assert sum(row["support"] for row in rows.values()) == score["support"]
        assert sum(row["recall"] * row["support"] for row in rows.values()) == pytest.approx(2)


def test_without_the_entities_of_training_their_groupings_are_left_out():
    assert find_rows().keys() - find_rows(None).keys() == {"seen in training", "times in training"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("SOCCER - JAPAN GET LUCKY WIN .", True),
        ("ÅSGÅRD ØKER 1996-12-06", True),
        ("Soccer - JAPAN", False),
        ("LONDON 1996-12-06", False),  # a single word is a place line, not a headline
        ("3 - 1", False),
        ("東京 大阪", False),  # no case
    ],
)
def test_headlines_are_upper_case(words, expected):
    assert is_headline(words.split()) is expected

"""Examples in context, and labels that may be wrong."""

import pytest

from recipe.evaluation.examples import (
    CONTEXT,
    LONGEST_WORD,
    MOST_ERRORS,
    MOST_HITS,
    MOST_SUSPECTS,
    MOST_WORDS,
    Piece,
    count_suspects,
    list_examples,
    list_suspects,
    shorten,
)
from recipe.evaluation.matches import ScoredSentence, list_cases


def make_cases(*rows, line=1):
    """Cases from rows of words, gold tags, predicted tags and entity scores; all words have a probability of 0.99."""
    return list_cases(
        ScoredSentence(words.split(), gold.split(), predicted.split(), line, [0.99] * len(words.split()), scores)
        for words, gold, predicted, scores in rows
    )


def test_errors_come_by_falling_confidence_and_hits_after_them_by_rising_confidence():
    found = list_examples(
        make_cases(
            ("Oslo Lima Quito", "B-LOC B-LOC B-LOC", "B-LOC B-PER B-ORG", [0.7, 0.5, 0.8]),
            ("Mara left", "B-PER O", "B-PER O", [0.6]),
            ("Norvik left", "B-ORG O", "O O", []),
        )
    )
    assert [(one.kind, one.confidence) for one in found] == [
        ("missed", 0.99),
        ("wrong type", 0.8),
        ("wrong type", 0.5),
        ("correct", 0.6),
        ("correct", 0.7),
    ]


def test_pieces_tell_gold_and_predicted_words_apart():
    [found] = list_examples(make_cases(("the Norvik shipyard in Lima", "O B-ORG I-ORG O O", "O O B-LOC O O", [0.9])))
    assert found.pieces == [
        Piece("the", None, None),
        Piece("Norvik", "ORG", None),
        Piece("shipyard", "ORG", "LOC"),
        Piece("in Lima", None, None),
    ]
    assert (found.kind, found.gold, found.predicted) == ("wrong type and boundary", "ORG", "LOC")


def test_long_sentences_are_cut_around_the_entity_and_the_line_is_that_of_its_first_word():
    words = " ".join(["a"] * 30 + ["Oslo"] + ["b"] * 30)
    gold, predicted = " ".join(["O"] * 61), " ".join(["O"] * 30 + ["B-LOC"] + ["O"] * 30)
    [found] = list_examples(make_cases((words, gold, predicted, [0.9]), line=100))
    assert (found.before, found.after, found.line) == (True, True, 130)
    assert found.pieces[0] == Piece(" ".join(["a"] * CONTEXT), None, None)
    [whole] = list_examples(make_cases(("Oslo wins", "O O", "B-LOC O", [0.9])))
    assert (whole.before, whole.after) == (False, False)


def test_very_long_entities_are_cut():
    tags = " ".join(["B-LOC"] + ["I-LOC"] * 999)
    cases = make_cases((" ".join(["a"] * 1000), " ".join(["O"] * 1000), tags, [0.95]))
    [found], [suspect] = list_examples(cases), list_suspects(cases, None)
    assert found.after
    assert [piece.text.count("a") for piece in found.pieces] == [MOST_WORDS]
    assert suspect.predicted_text == " ".join(["a"] * MOST_WORDS + ["…"])


def test_very_long_words_are_shortened():
    assert shorten("x" * LONGEST_WORD) == "x" * LONGEST_WORD
    assert shorten("x" * 10_000) == "x" * LONGEST_WORD + "… (10,000 characters)"


def test_examples_and_suspects_of_large_data_are_limited():
    rows = [("Oslo Lima", "B-LOC B-LOC", "B-LOC B-PER", [0.9, 0.95])] * 2000
    found = list_examples(make_cases(*rows))
    kinds = [one.kind for one in found]
    assert (kinds.count("wrong type"), kinds.count("correct")) == (MOST_ERRORS, MOST_HITS)
    assert len(list_suspects(make_cases(*rows), None)) == MOST_SUSPECTS


def test_without_confidences_errors_are_listed_and_nothing_is_suspected():
    cases = list_cases([ScoredSentence(["Oslo", "Lima"], ["B-LOC", "B-LOC"], ["B-PER", "B-LOC"])])
    assert [(one.kind, one.confidence) for one in list_examples(cases)] == [("wrong type", None)]
    assert list_suspects(cases, {}) == []


def test_suspects_that_training_backs_come_first_and_those_it_contradicts_last():
    cases = make_cases(
        ("Oslo", "B-ORG", "B-LOC", [0.99]),
        ("Lima", "B-ORG", "B-LOC", [0.95]),
        ("Quito", "B-ORG", "B-LOC", [0.92]),
        ("Bergen", "B-ORG", "B-LOC", [0.5]),  # the model is not sure
    )
    mentions = {"Oslo": {"ORG": 7, "LOC": 1}, "Quito": {"LOC": 12}}
    found = list_suspects(cases, mentions)
    assert [(one.predicted_text, one.backing, one.training) for one in found] == [
        ("Quito", "backed", {"LOC": 12}),
        ("Lima", "unknown", {}),
        ("Oslo", "contradicted", {"ORG": 7, "LOC": 1}),
    ]
    assert count_suspects(found) == {"backed": 1, "unknown": 1, "contradicted": 1}


@pytest.mark.parametrize(
    ("gold", "predicted", "scores", "texts"),
    [("B-LOC O", "O O", [], ("Oslo", "")), ("O O", "B-LOC I-LOC", [0.9], ("", "Oslo fjord"))],
)
def test_missed_and_spurious_entities_can_be_suspects_too(gold, predicted, scores, texts):
    [found] = list_suspects(make_cases(("Oslo fjord", gold, predicted, scores)), None)
    assert (found.gold_text, found.predicted_text) == texts

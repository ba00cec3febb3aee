"""Kinds of errors: each pair is what a reader would call it, and the counts are those of nervaluate and seqeval."""

import random

import pytest
from nervaluate import Evaluator
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2

from recipe.data.schemes import list_entities
from recipe.evaluation.matches import (
    KINDS,
    NO_ENTITY,
    Case,
    Match,
    ScoredSentence,
    count_confusions,
    count_kinds,
    count_kinds_by_type,
    list_cases,
    match_entities,
)

TYPES = ("LOC", "ORG", "PER")


def make_sentence(gold, predicted, **more):
    gold, predicted = gold.split(), predicted.split()
    return ScoredSentence([f"w{number}" for number in range(len(gold))], gold, predicted, **more)


def draw_tags(draw, length):
    """Tags of any kind, of which some I- continue nothing."""
    tags = []
    for _ in range(length):
        goes_on = tags and tags[-1] != "O" and draw.random() < 0.6
        tags.append(f"I-{tags[-1][2:]}" if goes_on else draw.choice(["O", "O", "B-", "B-", "I-"]))
        if tags[-1] in ("B-", "I-"):
            tags[-1] += draw.choice(TYPES)
    return tags


def draw_sentences(seed, count=400):
    """Predictions that are the gold tags but for a few words, so that all kinds of errors occur."""
    draw = random.Random(seed)
    sentences = []
    for _ in range(count):
        gold = draw_tags(draw, draw.randint(1, 12))
        other = draw_tags(draw, len(gold))
        predicted = [draw.choices(pair, (3, 1))[0] for pair in zip(gold, other, strict=True)]
        sentences.append(ScoredSentence(["w"] * len(gold), gold, predicted))
    return sentences


@pytest.mark.parametrize(
    ("gold", "predicted", "kinds"),
    [
        ("B-PER I-PER O", "B-PER I-PER O", ["correct"]),
        ("B-PER I-PER O", "B-ORG I-ORG O", ["wrong type"]),
        ("B-PER I-PER O", "B-PER O O", ["wrong boundary"]),
        ("B-PER I-PER O", "O B-ORG I-ORG", ["wrong type and boundary"]),
        ("B-PER I-PER O", "O O O", ["missed"]),
        ("O O O", "O B-LOC O", ["spurious"]),
        ("O O O", "O I-LOC O", []),  # continues nothing: no entity, as in strict scoring
        ("B-PER O O", "O O B-PER", ["spurious", "missed"]),
        ("B-PER I-PER O", "B-PER B-PER O", ["wrong boundary", "spurious"]),  # each entity is in one pair
        ("B-PER B-LOC O", "B-LOC I-LOC O", ["wrong boundary", "missed"]),  # a partner of the same type is preferred
        ("B-LOC B-LOC I-LOC", "B-LOC I-LOC I-LOC", ["wrong boundary", "missed"]),
    ],
)
def test_a_pair_is_called_by_what_differs(gold, predicted, kinds):
    assert [match.kind for match in match_entities(gold.split(), predicted.split())] == kinds


def test_of_partners_of_one_type_the_one_with_the_closest_ends_is_taken():
    matches = match_entities(["B-LOC", "B-LOC", "I-LOC"], ["B-LOC", "I-LOC", "I-LOC"])
    assert matches == [Match((1, 3, "LOC"), (0, 3, "LOC")), Match((0, 1, "LOC"), None)]


@pytest.mark.parametrize("seed", range(5))
def test_counts_agree_with_nervaluate(seed):
    sentences = draw_sentences(seed)
    counts = count_kinds(list_cases(sentences))
    assert all(counts.values())

    def spans(tags):
        return [{"label": kind, "start": start, "end": stop - 1} for start, stop, kind in list_entities(tags)]

    gold, predicted = [spans(one.gold) for one in sentences], [spans(one.predicted) for one in sentences]
    theirs = Evaluator(gold, predicted, tags=list(TYPES), loader="dict").evaluate()["overall"]
    strict, exact, typed = theirs["strict"], theirs["exact"], theirs["ent_type"]
    assert counts == {
        "correct": strict.correct,
        "wrong type": exact.correct - strict.correct,
        "wrong boundary": typed.correct - strict.correct,
        "wrong type and boundary": typed.incorrect - (exact.correct - strict.correct),
        "missed": typed.missed,
        "spurious": typed.spurious,
    }


@pytest.mark.parametrize("seed", range(5))
def test_counts_of_each_type_add_up_to_those_of_seqeval(seed):
    sentences = draw_sentences(seed)
    cases = list_cases(sentences)
    gold, predicted = [list(one.gold) for one in sentences], [list(one.predicted) for one in sentences]
    precision, recall, _, support = precision_recall_fscore_support(gold, predicted, scheme=IOB2)
    for kind, *figures in zip(TYPES, precision, recall, support, strict=True):
        hits = count_kinds_by_type(cases)[kind]["correct"]
        guesses = sum(case.match.types[1] == kind for case in cases)
        wanted = sum(case.match.types[0] == kind for case in cases)
        assert [hits / guesses, hits / wanted, wanted] == pytest.approx(figures)


def test_the_matrix_has_each_case_once():
    cases = list_cases(draw_sentences(7))
    matrix = count_confusions(cases)
    assert list(matrix) == list(matrix["LOC"]) == [*TYPES, NO_ENTITY]
    assert sum(count for row in matrix.values() for count in row.values()) == len(cases)
    kinds = count_kinds(cases)
    assert sum(matrix[NO_ENTITY].values()) == kinds["spurious"]
    assert sum(row[NO_ENTITY] for row in matrix.values()) == kinds["missed"]
    assert matrix[NO_ENTITY][NO_ENTITY] == 0
    same = sum(matrix[kind][kind] for kind in TYPES)
    assert same == kinds["correct"] + kinds["wrong boundary"]


def test_kinds_by_type_add_up():
    cases = list_cases(draw_sentences(8))
    by_type = count_kinds_by_type(cases)
    assert {kind: sum(counts[kind] for counts in by_type.values()) for kind in KINDS} == count_kinds(cases)


def test_the_confidence_of_a_case_is_that_of_the_model_s_own_reading():
    sentence = make_sentence(
        "B-PER I-PER O B-LOC", "B-PER O O O", word_scores=[0.9, 0.8, 0.7, 0.6], entity_scores=[0.75]
    )
    assert [(case.match.kind, case.confidence) for case in list_cases([sentence])] == [
        ("wrong boundary", 0.75),
        ("missed", 0.6),
    ]
    blind = make_sentence("B-PER O", "O B-PER")
    assert [case.confidence for case in list_cases([blind])] == [None, None]


@pytest.mark.parametrize("scores", [[], [0.5, 0.5]])
def test_confidences_of_other_entities_are_refused(scores):
    with pytest.raises(ValueError, match="zip"):
        list_cases([make_sentence("B-PER", "B-PER", word_scores=[1.0], entity_scores=scores)])


def test_sentences_of_unequal_columns_are_refused():
    with pytest.raises(ValueError, match="line 4: different numbers"):
        list_cases([make_sentence("O O", "O", line=4)])


def test_nothing_gives_nothing():
    assert list_cases([]) == []
    assert count_kinds([]) == dict.fromkeys(KINDS, 0)
    assert count_confusions([]) == {NO_ENTITY: {NO_ENTITY: 0}}
    case = Case(make_sentence("O", "O"), Match(None, (0, 1, "LOC")), None)
    assert count_kinds_by_type([case])["LOC"]["spurious"] == 1

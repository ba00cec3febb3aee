"""The study of one type's errors: how they are named, how logits are changed, and what is judged on held-out halves."""

import numpy as np
import pytest

from bench.misc import METHODS, Change, Split, choose, count_errors, format_changes, format_errors, try_changes
from recipe.data.documents import Document, Sentence
from recipe.evaluation.matches import ScoredSentence, list_cases

LABELS = ["O", "B-MISC", "I-MISC", "B-LOC", "I-LOC"]


def make_document(*sentences):
    return Document([Sentence(words.split(), tags.split()) for words, tags in sentences])


@pytest.mark.parametrize(
    ("gold", "predicted", "error", "seen"),
    [
        ("B-MISC O O", "O O O", "missed", "seen as this type"),
        ("O B-LOC O", "O B-MISC O", "LOC read as MISC", "unseen"),
        ("B-MISC I-MISC O", "B-MISC O O", "read shorter", "unseen"),
        ("B-MISC O O", "B-MISC I-MISC O", "read longer", "seen as this type"),
        ("O B-MISC I-MISC", "B-LOC I-LOC O", "MISC read as LOC, with other ends", "unseen"),
        ("O O O", "O O B-MISC", "spurious", "seen as other types"),
    ],
)
def test_an_error_is_named_by_what_was_read_and_what_training_has(gold, predicted, error, seen):
    mentions = {"Danish": {"MISC": 2}, "Lima": {"LOC": 1}}
    cases = list_cases([ScoredSentence(["Danish", "Cup", "Lima"], gold.split(), predicted.split())])
    assert count_errors(cases, "MISC", mentions) == [{"error": error, "entity": seen, "count": 1}]


def test_errors_of_other_types_do_not_count():
    cases = list_cases([ScoredSentence(["Lima", "Danish"], ["B-LOC", "B-MISC"], ["O", "B-MISC"])])
    assert count_errors(cases, "MISC", {}) == []


@pytest.fixture
def split():
    documents = [
        make_document(("Danish ships left", "B-MISC O O"), ("the Danish ships", "O B-MISC O")),
        make_document(("Danish ships", "B-MISC O")),
    ]
    logits = np.zeros((8, len(LABELS)))
    logits[:, 0] = 1.0
    logits[0, 1], logits[4, 1], logits[6, 1] = 4.0, 0.0, 0.5  # one of two in the first document is certain
    return Split(documents, logits, LABELS, "MISC")


def test_equal_words_with_capitals_share_their_logits_within_a_document(split):
    means = split.mean_logits
    assert means[0].tolist() == means[4].tolist() == [1.0, 2.0, 0.0, 0.0, 0.0]
    assert means[6].tolist() == split.logits[6].tolist()  # another document
    assert means[1].tolist() == split.logits[1].tolist()


def test_changes_find_what_the_plain_logits_miss(split):
    assert split.count(Change()).sum(0).tolist() == [[1, 1, 3], [1, 1, 3]]
    assert split.count(Change(share=0.8)).sum(0).tolist() == [[2, 2, 3], [2, 2, 3]]
    assert split.count(Change(bias=1.5)).sum(0)[1, 0] == 3  # the bias is that of all words: it finds too many
    assert split.logits[0, 1] == 4.0  # the logits themselves are not changed


def test_the_smallest_change_of_equal_ones_is_chosen():
    counts = np.ones((2, 2, 3), int)
    assert choose({Change(bias=1): counts, Change(): counts, Change(bias=-1): counts}, slice(None)) == Change()


def test_a_change_is_judged_where_it_was_not_chosen():
    good, bad = [[[1, 1, 1]] * 2], [[[0, 1, 1]] * 2]

    class Dev:
        def count(self, change):
            return np.array(bad + good if change.bias else good + bad)

    result = try_changes(Dev(), [Change(), Change(bias=1)])  # each half prefers what fails on the other one
    assert result["held_out"]["all"]["after"] == 0
    assert result["held_out"]["all"]["before"] == 50


def test_the_tables_show_ten_errors_and_every_method():
    rows = [{"error": f"error {number}", "entity": "unseen", "count": 1} for number in range(12)]
    assert format_errors({"errors": rows}).count("| error ") == 11  # with the header
    part = {"before": 90.0, "after": 90.5, "interval": [0.1, 0.9], "p": 0.01}
    row = {"chosen": {"bias": 0.5, "share": 0.0}, "fitted": {"all": part}, "held_out": {"all": part, "type": part}}
    table = format_changes({"type": "MISC", "changes": dict.fromkeys(METHODS, row)})
    assert table.count("| bias 0.5 | +0.50 (+0.10 to +0.90)") == len(METHODS)

"""With whom corrected labels side in an error, and the figures of a run's errors."""

import pytest

from bench import errors
from bench.errors import LABELS, MODEL, NEITHER, judge, measure_errors
from recipe.data.documents import Document, Sentence
from recipe.errors import RecipeError
from recipe.evaluation.matches import Match
from recipe.evaluation.predictions import Confidences, write_predictions

ORG, LOC, LONG, OTHER = (1, 3, "ORG"), (1, 3, "LOC"), (1, 4, "ORG"), (5, 6, "ORG")


@pytest.mark.parametrize(
    ("match", "corrected", "side"),
    [
        (Match(ORG, LOC), [LOC], MODEL),
        (Match(ORG, LOC), [OTHER, ORG], LABELS),
        (Match(ORG, LOC), [LONG], NEITHER),
        (Match(ORG, LOC), [], NEITHER),
        (Match(None, LOC), [LOC], MODEL),
        (Match(None, LOC), [OTHER], LABELS),
        (Match(None, LOC), [ORG], NEITHER),
        (Match(ORG, None), [OTHER], MODEL),
        (Match(ORG, None), [ORG], LABELS),
        (Match(ORG, None), [LONG], NEITHER),
    ],
)
def test_corrected_labels_side_with_a_reading_that_they_have(match, corrected, side):
    assert judge(match, corrected) == side


def test_the_most_confident_errors_are_judged_sentence_by_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(errors, "MOST", 2)
    gold = [["B-PER", "O"], ["B-LOC", "O"], ["B-ORG", "O"]]
    predicted = [["B-ORG", "O"], ["B-ORG", "O"], ["O", "O"]]
    corrected = [["B-ORG", "O"], ["B-LOC", "O"], ["O", "O"]]
    words = [["Mara", "left"], ["Oslo", "left"], ["NATO", "left"]]
    pairs = [list(map(Sentence, words, tags)) for tags in (gold, corrected)]
    confidences = [Confidences([score, 1.0], [score] * bool(spans)) for score, spans in ((0.9, 1), (0.8, 1), (0.5, 0))]
    write_predictions(tmp_path, "test", [Document(pairs[0])], predicted, confidences)
    result = measure_errors(tmp_path, pairs[1])
    assert result["most_confident"] == {"errors": 2, "lowest_confidence": 0.8, MODEL: 1, LABELS: 1, NEITHER: 0}
    assert result["all"] == {"errors": 3, "lowest_confidence": 0.5, MODEL: 2, LABELS: 1, NEITHER: 0}
    with pytest.raises(RecipeError, match=r"other sentences than CoNLL\+\+"):
        measure_errors(tmp_path, pairs[1][:2])

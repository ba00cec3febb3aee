"""The error analysis of one split as plain figures, without text of the data: what `analysis.json` contains."""

from collections.abc import Sequence

from recipe.evaluation.buckets import Mentions, score_buckets
from recipe.evaluation.calibration import calibrate
from recipe.evaluation.examples import count_suspects, list_suspects
from recipe.evaluation.matches import CORRECT, Case, count_confusions, count_kinds, count_kinds_by_type


def analyze(cases: Sequence[Case], mentions: Mentions | None = None) -> dict:
    """The figures of a split, from `recipe.evaluation.matches.list_cases`.

    mentions: the entities of training (`count_mentions`); None if they are not known.
    Returns `kinds` (number of each), `shares` (of each kind among the errors), `kinds_by_type`, `confusion`, `buckets`,
    `calibration` (empty without confidences) and `suspects` (numbers of labels that may be wrong).
    """
    kinds = count_kinds(cases)
    errors = sum(count for kind, count in kinds.items() if kind != CORRECT)
    return {
        "kinds": kinds,
        "shares": {kind: count / max(errors, 1) for kind, count in kinds.items() if kind != CORRECT},
        "kinds_by_type": count_kinds_by_type(cases),
        "confusion": count_confusions(cases),
        "buckets": score_buckets(cases, mentions),
        "calibration": calibrate(cases),
        "suspects": count_suspects(list_suspects(cases, mentions)),
    }

"""The entity score as a metric of `evaluate`, without network access.

`EntityScore().compute(predictions=..., references=...)`
"""

from typing import Any

import datasets
import evaluate

from recipe.evaluation.scoring import summarize_entities


class EntityScore(evaluate.Metric):
    """Strict IOB2 entity precision, recall and F1 (micro average), and F1 of each type as `f1_<TYPE>`.

    predictions, references: a list of tags for each sentence.
    """

    def __init__(self, **options: Any):
        # The default would leave a cache file on disk for every call.
        options.setdefault("keep_in_memory", True)
        super().__init__(**options)

    def _info(self) -> evaluate.MetricInfo:
        tags = datasets.List(datasets.Value("string"))
        return evaluate.MetricInfo(
            description=self.__doc__ or "",
            citation="https://github.com/chakki-works/seqeval",
            features=datasets.Features({"predictions": tags, "references": tags}),
        )

    # pyrefly: ignore[bad-override]  # the base class takes any keywords; every metric names its own
    def _compute(self, predictions: list[list[str]], references: list[list[str]]) -> dict[str, float]:
        return summarize_entities(references, predictions)

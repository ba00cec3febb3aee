"""The entity score as an `evaluate` metric: `EntityScore().compute(predictions=..., references=...)`, no network."""

import datasets
import evaluate

from recipe.evaluation.scoring import summarize_entities


class EntityScore(evaluate.Metric):
    """Strict IOB2 entity precision, recall and F1 (micro average), and F1 of each type as `f1_<TYPE>`.

    predictions, references: a list of tags for each sentence.
    """

    def __init__(self, **options):
        # In memory: the file-backed default would leave a cache file for every call behind.
        super().__init__(**{"keep_in_memory": True} | options)

    def _info(self) -> evaluate.MetricInfo:
        tags = datasets.List(datasets.Value("string"))
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="https://github.com/chakki-works/seqeval",
            features=datasets.Features({"predictions": tags, "references": tags}),
        )

    def _compute(self, predictions: list[list[str]], references: list[list[str]]) -> dict[str, float]:
        return summarize_entities(references, predictions)

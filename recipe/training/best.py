"""The best evaluation of a training: stop when it is long past, and warn if the last one is clearly worse.

Both read the log of the Trainer, which checkpoints contain, so that a resumed run decides as an uninterrupted one.
"""

import logging
from collections.abc import Mapping, Sequence

from transformers import TrainerCallback, TrainerState

from recipe.data.documents import Document, has_entities
from recipe.errors import RecipeError
from recipe.training.settings import TrainingArguments

CLEARLY_WORSE = 0.01  # of F1
logger = logging.getLogger(__name__)


def list_evaluations(state: TrainerState, metric: str) -> list[tuple[int, float]]:
    """The step and the value of each evaluation so far."""
    key = f"eval_{metric.removeprefix('eval_')}"
    return [(int(row["step"]), float(row[key])) for row in state.log_history if key in row]


def check_gold(documents: Mapping[str, Sequence[Document]], args: TrainingArguments) -> None:
    """Warn of a split to score that has no entities: its F1 is 0 whatever the model does.

    documents: of each split. Raises RecipeError if such a dev split would choose the best checkpoint or end the run.
    """
    metric = (args.metric_for_best_model or "loss").removeprefix("eval_")
    chooses = args.do_train and metric != "loss" and (args.load_best_model_at_end or args.early_stopping_patience)
    for split in documents:
        if split == "train" or has_entities(documents[split]):
            continue
        if split == "dev" and chooses:
            raise RecipeError(
                f"dev: has no entities, every tag is O, so no checkpoint is the best by {metric}: use other dev data, "
                "or set metric_for_best_model to loss"
            )
        logger.warning("%s: has no entities, every tag is O: its F1 says nothing of the model", split)


class EarlyStopping(TrainerCallback):
    """Ends the training after `patience` evaluations in a row that are no better than the best one before them."""

    def __init__(self, patience: int):
        self.patience = patience

    def on_evaluate(self, args, state, control, **kwargs):
        values = [value for _, value in list_evaluations(state, args.metric_for_best_model or "loss")]
        sign = 1 if args.greater_is_better else -1
        best = max(range(len(values)), key=lambda number: (sign * values[number], -number), default=0)
        if len(values) - 1 - best >= self.patience:
            control.should_training_stop = True
            if state.is_world_process_zero:
                metric = (args.metric_for_best_model or "loss").removeprefix("eval_")
                print(
                    f"stopped at step {state.global_step}: {metric} was no better than {values[best]:.3f} in the last "
                    f"{self.patience} evaluation(s)",
                    flush=True,
                )


def describe_decline(state: TrainerState, args: TrainingArguments) -> str | None:
    """One line if F1 of the last evaluation is clearly below that of the best one, and the best model is not kept."""
    evaluations = list_evaluations(state, "f1")
    if args.load_best_model_at_end or not evaluations:
        return None
    (best_step, best), (step, last) = max(evaluations, key=lambda pair: pair[1]), evaluations[-1]
    if best - last <= CLEARLY_WORSE:
        return None
    return (
        f"dev F1 is {last:.3f} at the last evaluation (step {step}), but was {best:.3f} at step {best_step}: to keep "
        "the best checkpoint, set load_best_model_at_end to true and metric_for_best_model to f1"
    )

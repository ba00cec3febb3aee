"""What the files in a run's folder contain, as checks of `recipe.evaluation.shapes`."""

from recipe.data.splits import HUB_NAMES, SPLITS
from recipe.evaluation.shapes import (
    ANALYSIS,
    OBJECT,
    amount,
    count,
    each,
    keys,
    number,
    optional,
    rows,
    scores,
    share,
    text,
)
from recipe.inference.settings import KEY
from recipe.model.objective import KEY as PRETRAINING_KEY

OLD_NAMES = {"validation": "dev"}  # of a split, in the metrics.json of earlier versions

SETTINGS = keys(
    {
        **dict.fromkeys(("model_name_or_path", "data_dir", "hub_data_note"), optional(text)),
        **{split.files: optional(rows(text)) for split in SPLITS.values()},
        **{split.limit: optional(count) for split in SPLITS.values()},
        "extra_train_file": optional(rows(text)),
    }
)
RECORD = keys(  # run.yaml
    {
        **dict.fromkeys(("data", "model", "hardware", "precision", "command"), optional(text)),
        **dict.fromkeys(("train_minutes", "total_minutes"), optional(amount)),
        **{"settings": SETTINGS, "sentences": optional(each(count))},
        "distillation": optional(keys({"teachers": rows(text)})),
    }
)
SCORES = keys(dict.fromkeys([*HUB_NAMES, *OLD_NAMES], scores))  # report.json, metrics.json
ANALYSES = each(ANALYSIS)  # analysis.json
STEP = keys({"step": count, "epoch": number, "loss": number, "eval_loss": number, "eval_f1": share}, ["step"])
STATE = keys({"log_history": rows(STEP)})  # trainer_state.json
PRETRAINING = keys({"trained_tokens": count})
CONFIG = keys(  # config.json
    {
        "architectures": optional(rows(text)),
        "id2label": each(text),
        KEY: optional(OBJECT),
        PRETRAINING_KEY: optional(PRETRAINING),
    }
)

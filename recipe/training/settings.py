"""Settings of this layer: those of transformers with the recipe's defaults, and the use of the hardware."""

import dataclasses
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from transformers.trainer_pt_utils import AcceleratorConfig
from transformers.utils import is_torch_tf32_available

from recipe.launch import is_sharded, read_flag
from recipe.precision import choose_precision
from recipe.settings import Resume, check_limits, setting
from recipe.training.processes import choose_interface
from recipe.training.ranges import check_ranges
from recipe.training.tracking import check_trackers, name_run, set_project

COUNTS = ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps")
WORKERS = 2  # data-loading workers on a GPU
PRECISIONS = ("no", "bf16", "fp16")  # as Accelerate calls them
REFUSED = {
    "eval_do_concat_batches": "the reports need all predictions, batch by batch",
    "batch_eval_metrics": "the reports need all predictions",
    "prediction_loss_only": "the reports need all predictions",
    "auto_find_batch_size": "a resumed run uses the batch size of its settings",
    "logging_nan_inf_filter": "it would wait for the GPU in each step",
    "label_names": "a batch has one column of labels, labels",
    "save_on_each_node": "all machines share one output folder",
}
# Resume rules (`recipe.settings.Resume`) of the fields from transformers; all other fields have "same".
INHERITED: dict[Resume, str] = {
    "free": """
        output_dir run_name project disable_tqdm report_to trackio_space_id trackio_bucket_id trackio_static_space_id
        log_level log_level_replica log_on_each_node logging_strategy logging_steps logging_first_step
        include_num_input_tokens_seen include_for_metrics skip_memory_metrics
        do_predict eval_strategy eval_steps eval_delay eval_on_start eval_accumulation_steps
        eval_use_gather_object per_device_eval_batch_size prediction_loss_only
        save_strategy save_steps save_total_limit save_only_model save_on_each_node resume_from_checkpoint
        push_to_hub hub_token hub_model_id hub_strategy hub_always_push hub_revision
        dataloader_pin_memory dataloader_persistent_workers dataloader_prefetch_factor
        dataloader_multiprocessing_context dataloader_in_order ddp_timeout
    """,
    "fixed": """
        learning_rate weight_decay adam_beta1 adam_beta2 adam_epsilon optim optim_args optim_target_modules fp16
    """,
}


@dataclass
class TrainingArguments(transformers.TrainingArguments):
    """Training and hardware: settings of the Trainer with other defaults, and those of `recipe.training.runtime`.

    Without a GPU the CPU is used. Training batches are packed, and a new Hub repository is private.
    """

    precision: Literal["auto", "fp32", "bf16", "fp16"] = setting(
        "auto", "Training precision; auto: bf16 if the hardware supports it, else fp32."
    )
    # pyrefly: ignore[bad-override-mutable-attribute]  # None only until __post_init__ decides
    bf16: bool | None = setting(None, "true: same as precision bf16; false: same as precision fp32.")
    threads: int | None = setting(
        None,
        "CPU threads of each process (default: the physical cores, divided among the processes).",
        resume="free",
        at_least=1,
        at_most=1024,
    )
    onednn_matmul: bool = setting(True, "CPU: use oneDNN for fp32 products if that is faster and as exact.")
    reuse_memory: bool = setting(
        True, "CPU: keep freed memory for the next step instead of returning it to the system.", resume="free"
    )
    pack_batches: bool = setting(True, "Training: pack a batch into few rows instead of padding; same result.")
    compile_layers: bool = setting(False, "Compile the layers with torch.compile: faster steps on a GPU, slower start.")
    # pyrefly: ignore[bad-override-mutable-attribute]  # None only until __post_init__ decides
    dataloader_num_workers: int | None = setting(
        None, "Processes that make training batches (default: 2 on a GPU, otherwise none).", resume="free"
    )
    logging_nan_inf_filter: bool = setting(
        False, "Must be false: Trainer's filter waits for the GPU in each step; the recipe has its own.", resume="free"
    )
    # pyrefly: ignore[bad-override-mutable-attribute]  # fewer choices than transformers has
    train_sampling_strategy: Literal["group_by_length", "random", "sequential"] = setting(
        "random", "Order of the training examples."
    )
    layer_lr_decay: float = setting(
        1.0, "Learning rate of a layer divided by that of the layer above it (1: all the same).", resume="fixed"
    )
    early_stopping_patience: int | None = setting(
        None,
        "Stop after so many evaluations without a better one, by metric_for_best_model (default: never).",
        at_least=1,
    )
    eval_do_concat_batches: bool = setting(
        False, "Must be false: joined batches would be padded to the longest one.", resume="free"
    )
    hub_private_repo: bool | None = setting(True, "Make a new Hub repository private.", resume="free")
    restart: bool = setting(
        False, "Start over; files of earlier runs move to <output_dir>.aside-1, -2 ...", resume="free"
    )

    def __post_init__(self):
        self.others: dict[str, Any] = {}  # settings of other layers, for trackers
        # set by `accelerate launch` and its configuration
        self.use_cpu = self.use_cpu or read_flag("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
        self._set_precision()
        check_limits(self)
        if not 0 < self.layer_lr_decay <= 1:
            raise ValueError(f"layer_lr_decay: {self.layer_lr_decay}: it must be above 0 and at most 1")
        for name, reason in REFUSED.items():
            if getattr(self, name):
                raise ValueError(f"{name}: not supported, because {reason}: remove it")
        if not self.remove_unused_columns:
            raise ValueError("remove_unused_columns: must be true, models do not accept other columns: remove it")
        for name in COUNTS:
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name}: {value} is too small: it must be at least 1")
        check_ranges({field.name: getattr(self, field.name) for field in dataclasses.fields(self)})
        if not (self.output_dir or "").strip():
            raise ValueError("output_dir: is empty: set a folder")
        if self.dataloader_drop_last and (self.do_eval or self.do_predict):
            raise ValueError(
                "dataloader_drop_last: sentences would be left out of the scores: remove it, or only train"
            )
        if self.dataloader_num_workers is None:
            self.dataloader_num_workers = 0 if self.use_cpu else WORKERS
            self.dataloader_persistent_workers = not self.use_cpu  # starting them takes seconds in each epoch
        if self.tf32 is None and not self.use_cpu and is_torch_tf32_available():
            self.tf32 = True
        if self.metric_for_best_model in ("perplexity", "eval_perplexity") and self.greater_is_better is None:
            self.greater_is_better = False
        if self.disable_tqdm is None:
            self.disable_tqdm = not sys.stderr.isatty()
        super().__post_init__()
        batches = self.accelerator_config
        assert isinstance(batches, AcceleratorConfig)  # transformers converts any given value to this type
        batches.non_blocking = not self.use_cpu and self.dataloader_pin_memory
        if batches.split_batches or batches.dispatch_batches or not batches.even_batches:
            raise ValueError(
                "accelerator_config: split_batches and dispatch_batches must be false and even_batches true, otherwise "
                "labels are lost: remove them"
            )
        if self.early_stopping_patience and self.eval_strategy == "no":
            raise ValueError("early_stopping_patience: there are no evaluations: set eval_strategy to steps or epoch")
        if is_sharded():
            self._check_sharding()
        self._set_tracking()

    @cached_property
    def _setup_devices(self) -> torch.device:
        choose_interface()  # before the processes connect
        return super()._setup_devices

    @property
    def folder(self) -> Path:
        """The output folder."""
        assert self.output_dir is not None  # transformers sets a default
        return Path(self.output_dir)

    @property
    def n_gpu(self) -> int:
        """At most 1, so that Trainer does not use torch's DataParallel, where it would scale the loss wrongly."""
        return min(super().n_gpu, 1)

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain values, with those of `others`. This is what trackers log."""
        return super().to_dict() | self.others

    def _set_tracking(self) -> None:
        trackers = self.report_to = list(dict.fromkeys(self.report_to or ()))  # a tracker given twice would log twice
        set_project(trackers, self.project)  # wandb reads its environment when it checks the login
        check_trackers(trackers)
        self.run_name = self.run_name or name_run(self.folder)
        if str(self.trackio_static_space_id).lower() in ("none", "false"):
            self.trackio_static_space_id = False  # None would let the callback make a Space that nobody asked for

    def _check_sharding(self) -> None:
        if not self.do_train:
            raise ValueError("do_train: FSDP is for training only: to score a model, use multi_gpu.yaml")
        if read_flag("FSDP_CPU_RAM_EFFICIENT_LOADING"):
            raise ValueError(
                "fsdp_cpu_ram_efficient_loading: a new head would be trained in the first process only: set it to false"
            )

    def _set_precision(self) -> None:
        launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")  # by `accelerate launch --mixed_precision`
        flags = {"bf16": self.bf16, "fp16": self.fp16, launched: launched != "no"}
        named = {name for name, is_set in flags.items() if is_set} | {self.precision} - {"auto"}
        if launched not in PRECISIONS:
            raise ValueError(f"mixed_precision: {launched} is not one of {' '.join(PRECISIONS)}")
        if len(named) > 1:
            raise ValueError(f"precision: both {' and '.join(sorted(named))} are set: set only one, in precision")
        wanted = named.pop() if named else "fp32" if self.bf16 is False else "auto"
        if wanted == "fp16" and self.use_cpu:
            raise ValueError("precision: fp16 needs a GPU: use bf16 or fp32")
        precision, self.precision_reason = choose_precision(wanted, self.use_cpu)
        self.bf16, self.fp16 = precision == "bf16", precision == "fp16"


@dataclass
class DistillationArguments:
    """Distillation: the model, a student, also learns from the predictions of finished taggers, its teachers."""

    teacher: list[str] | None = setting(None, "Finished taggers with the same labels: folders or Hub ids.")
    distil_weight: float = setting(
        0.5, "Share of the teachers in the loss; the rest is that of the tags.", at_least=0, at_most=1
    )
    distil_temperature: float = setting(
        1.0, "Above 1: learn more of what the teachers find improbable.", at_least=0.1, at_most=100
    )
    distil_targets: Literal["softmax", "posteriors"] = setting(
        "softmax", "Teachers: each word alone, or among valid IOB2 sequences."
    )
    unlabelled_file: list[str] | None = setting(None, "Text files or globs to learn from the teachers alone.")
    unlabelled_every: int = setting(1, "Use one in so many articles of the unlabelled text.", at_least=1)
    teacher_cache: str | None = setting(
        None, "Folder to keep their predictions (default: in the output folder).", resume="free"
    )


def find_resume_rules(*groups) -> dict[str, Resume]:
    """The resume rule of each setting, by name. groups: instances or classes of settings."""
    inherited = {name: rule for rule, names in INHERITED.items() for name in names.split()}
    fields = {field.name: field for group in groups for field in dataclasses.fields(group)}
    return {name: field.metadata.get("resume") or inherited.get(name, "same") for name, field in fields.items()}

"""Settings of this layer: the model and its configuration."""

from dataclasses import dataclass

from recipe.inputs.settings import PretrainedArguments
from recipe.settings import setting


@dataclass
class ModelArguments(PretrainedArguments):
    """The model and its configuration."""

    config_name: str | None = setting(
        None, "Folder, Hub id or JSON file of the configuration, if not that of the model."
    )
    model_type: str | None = setting(None, "From scratch: architecture with its default configuration, such as bert.")
    config_overrides: str | None = setting(
        None, "Changes to the configuration, such as hidden_size=128,num_attention_heads=2."
    )
    attn_implementation: str | None = setting(
        None, "eager, sdpa, flash_attention_2 ... (default: the recipe's own on a CPU, else that of transformers)."
    )
    light_dropout: bool = setting(True, "Draw dropout masks faster on a CPU.")
    student_layers: int | None = setting(
        None, "Start from so many layers of the checkpoint (default: all).", resume="fixed", at_least=1
    )


@dataclass
class HeadArguments:
    """The head of a masked language model."""

    sparse_head: bool = setting(True, "Compute logits at masked positions only.")


@dataclass
class LabelArguments:
    """The labels of a tagger."""

    new_head: bool = setting(
        False, "Start from a finished tagger with other labels; labels with the same name keep their weights."
    )
    class_weights: str | None = setting(
        None, "Weights of types or labels in the loss, such as PER=2,O=0.5 (default: 1 for all)."
    )

"""Settings of this layer: where text and entities are read from, and how."""

from dataclasses import dataclass
from typing import Literal

from recipe.settings import setting

AUGMENTATIONS = ("mentions", "tokens", "segments", "fill")


@dataclass
class SourceArguments:
    """Source of the data: a data set on the Hub, or local files."""

    dataset_name: str | None = setting(None, "Data set on the Hub.")
    dataset_config_name: str | None = setting(None, "Configuration of the data set.")
    dataset_revision: str = setting("main", "Branch, tag or commit of the data set.")
    train_file: list[str] | None = setting(None, "Training files or globs.")
    validation_file: list[str] | None = setting(None, "Validation (dev) files or globs.")
    text_column_name: str | None = setting(
        None, "Column or key of the text (default: text) or words (default: tokens)."
    )
    encoding: str = setting("utf-8", "Encoding of the files.")
    word_column: int = setting(0, "Column files: index of the word column.")
    tag_column: int = setting(-1, "Column files: index of the tag column; negative numbers count from the end.")
    comment_prefix: str | None = setting(None, "Column files: prefix of comment lines, which are skipped.")
    max_train_samples: int | None = setting(None, "Use only this many training articles or sentences.", at_least=1)
    max_eval_samples: int | None = setting(
        None, "Use only this many validation articles or sentences.", resume="free", at_least=1
    )


@dataclass
class TextArguments(SourceArguments):
    """Articles for masked pretraining."""

    article_separator: Literal["auto", "blank_line", "line_break"] = setting(
        "auto", "Text files: what separates articles; auto: line breaks if there are no blank lines."
    )
    streaming: bool = setting(False, "Read the training text while training; needs max_steps.", resume="fixed")
    validation_split_percentage: float = setting(
        5, "Percentage of training articles to hold out if there are no validation data.", at_least=0, at_most=100
    )


@dataclass
class EntityArguments(SourceArguments):
    """Words and tags for named-entity recognition."""

    data_dir: str | None = setting(None, "Folder with train, dev and test files.")
    test_file: list[str] | None = setting(None, "Test files or globs.", resume="free")
    extra_train_file: list[str] | None = setting(
        None, "Extra training files written by the recipe (UTF-8, word first, tag last)."
    )
    label_column_name: str = setting("ner_tags", "Column or key of the tags (JSON, CSV, Parquet, Hub).")
    tag_names: list[str] | None = setting(None, "Tags that numbers stand for, if the data have numbers: 0, 1, 2 ...")
    tag_scheme: Literal["IOB1", "IOB2", "IOBES", "BILOU"] | None = setting(
        None, "Tag scheme; detected in each file if not set."
    )
    max_predict_samples: int | None = setting(None, "Use only this many test sentences.", resume="free", at_least=1)


@dataclass
class AugmentationArguments:
    """A part of the training documents, and changed copies of them."""

    train_share: float = setting(
        1.0, "Use only this share of the training documents, drawn by seed.", at_least=0.0001, at_most=1
    )
    augmentation: list[str] | None = setting(
        None, "Ways to change copies: mentions tokens segments fill (default: no copies)."
    )
    augmentation_copies: int = setting(1, "Copies of the training data for each way.", at_least=1, at_most=100)
    augmentation_rate: float = setting(
        0.3, "Share of the mentions, words or segments that are changed in a copy.", at_least=0.001, at_most=1
    )
    augmentation_model: str | None = setting(None, "fill: masked language model, a folder or Hub id.")

    def __post_init__(self):
        """Raise ValueError for an unknown or repeated way, if `fill` has no model, and for what has no effect."""
        chosen = self.augmentation or []
        for name in chosen:
            if name not in AUGMENTATIONS:
                raise ValueError(f"augmentation: {name} is not one of {' '.join(AUGMENTATIONS)}")
        if len(set(chosen)) < len(chosen):
            raise ValueError(
                f"augmentation: {' '.join(chosen)}: name each one only once; augmentation_copies makes more"
            )
        if "fill" in chosen and not self.augmentation_model:
            raise ValueError("augmentation_model: fill needs a masked language model: set a folder or Hub id")
        if self.augmentation_model and "fill" not in chosen:
            raise ValueError("augmentation_model: has no effect without fill: add fill to augmentation, or remove it")
        for name in ("augmentation_copies", "augmentation_rate"):
            if not chosen and getattr(self, name) != getattr(AugmentationArguments, name):
                raise ValueError(f"{name}: has no effect without augmentation: set augmentation, or remove it")

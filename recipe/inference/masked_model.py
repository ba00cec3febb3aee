"""A finished masked language model with its tokenizer: log-probabilities of tokens at chosen positions of many rows."""

import logging
from collections.abc import Iterator, Sequence
from math import isnan
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from recipe.errors import NOT_FINITE, RecipeError
from recipe.inference.backends import Backend, pad
from recipe.inference.exports import GRAPHS, load_graph, read_export
from recipe.inference.loading import find_export, name_model, needing_torch
from recipe.inference.scores import ArrayScores, Row, Scores, find_places
from recipe.inputs.tokenizer import load_tokenizer
from recipe.model.configuration import check_vocabulary, find_longest, load_config, refuse_decoder
from recipe.model.objective import Pretraining, read_pretraining
from recipe.model.settings import ModelArguments

FEWEST_TOKENS = 5_000_000  # tokens of text that a new head needs before its predictions are of use (docs/filling.md)
BATCH_POSITIONS = 2048  # predicted in a batch, at most: each has a probability for the whole vocabulary
logger = logging.getLogger(__name__)


class Predictor(Protocol):
    """Computes the log-probabilities of batches of rows.

    config: of the model. batch_tokens: number of tokens in a batch, padding included, at which it is fast.
    """

    config: PreTrainedConfig
    batch_tokens: int

    def run(self, batch: Sequence[Row], pad_id: int) -> Scores:
        """The log-probabilities at the positions of the rows, one row after another."""
        ...


class GraphPredictor:
    """An export for ONNX Runtime or OpenVINO, whose graph takes the positions too, counted over the whole batch."""

    def __init__(self, graph: Backend, config: PreTrainedConfig):
        self.config, self.batch_tokens, self._graph = config, graph.batch_tokens, graph

    def run(self, batch: Sequence[Row], pad_id: int) -> ArrayScores:
        """See `Predictor`. Raises RecipeError for rows with copies."""
        if any(row.visible is not None for row in batch):
            raise RecipeError("an export of a masked autoregressive model fills only: give the folder of the run")
        inputs = pad([row.ids for row in batch], pad_id)
        positions = find_places(batch, inputs["input_ids"].shape[1])
        if not len(positions):
            return ArrayScores(np.zeros((0, self.config.vocab_size), np.float32))
        [logits] = self._graph.run([inputs | {"positions": positions}])
        return ArrayScores.normalize(logits)


class MaskedModel:
    """A masked language model, ready to predict. pretraining: what its `config.json` says of its training."""

    auto_precision: ClassVar[str] = "auto"  # what this precision is for a model on torch; see `place_model`

    def __init__(self, model: PreTrainedModel | Predictor, tokenizer: PreTrainedTokenizerBase):
        self.model, self.tokenizer = model, tokenizer
        if isinstance(model, PreTrainedModel):
            from recipe.inference.masked_torch import TorchPredictor

            self.predictor: Predictor = TorchPredictor(model)
        else:
            self.predictor = model
        self.pretraining: Pretraining = read_pretraining(self.predictor.config)
        self.longest = find_longest(tokenizer, self.predictor.config)

    @classmethod
    def load(
        cls,
        name: str | Path,
        precision: str = "auto",
        device: str | None = None,
        threads: int | None = None,
        export: str | None = None,
        **options: Any,
    ) -> Self:
        """Load a finished model or an export of it. Warns if its head is not trained: its predictions are of no use.

        name: folder of a run, checkpoint or export, or a Hub id.
        precision: precision of the weights; "auto" is that of an export, else bf16 if the hardware supports it, else
        fp32; for a `Scorer`, it is fp32.
        device: name of a torch device; default: a GPU if there is one, else the CPU.
        threads: of an export for ONNX Runtime or OpenVINO; default: OMP_NUM_THREADS, else all CPUs of the process.
        export: name of an export of the model, such as `onnx-int8`, which is then loaded instead.
        options: `model_revision`, `cache_dir`, `trust_remote_code`.
        Raises RecipeError if there is no such model, or if it has no mask token.
        """
        return cls.open(name_model(name, export, **options), precision, device, threads)

    @classmethod
    def open(
        cls,
        arguments: ModelArguments,
        precision: str = "auto",
        device: str | None = None,
        threads: int | None = None,
    ) -> Self:
        """`load`, for what `name_model` found. An export is not checked for damage."""
        name, config = str(arguments.model_name_or_path), load_config(arguments)
        refuse_decoder(config)
        tokenizer = load_tokenizer(arguments, training=False)
        check_vocabulary(tokenizer, config)
        if tokenizer.mask_token_id is None:
            raise RecipeError(f"{name}: its tokenizer has no mask token: choose a masked language model")
        found = find_export("MaskedLM", name, config, precision, device, threads)
        if found and found.backend in GRAPHS:
            model: Any = GraphPredictor(load_graph(found, arguments, threads), config)
        else:
            with needing_torch(name):
                from recipe.inference.masked_torch import load_masked
            precision = cls.auto_precision if precision == "auto" else precision
            model = load_masked(arguments, config, found.precision if found else precision, device)
        _warn_of_head(name, config, getattr(model, "new_head", False))
        return cls(model, tokenizer)

    def predict(self, rows: Sequence[Row]) -> Iterator[tuple[list[int], Scores]]:
        """Log-probabilities, batch by batch: the numbers of the rows, and the scores at their positions.

        The positions are those of the rows of a batch, one row after another. Rows of similar length share a batch.
        Raises RecipeError if the model predicts NaN.
        """
        order = sorted(range(len(rows)), key=lambda number: len(rows[number].ids))
        limit = self.predictor.batch_tokens
        while order:
            width = len(rows[order[-1]].ids)
            places = max(1, max(len(rows[number].positions) for number in order[-limit // width :]))
            count = max(1, min(limit // width, BATCH_POSITIONS // places))
            numbers, order = order[-count:], order[:-count]
            batch = [rows[number] for number in numbers]
            scores = self.predictor.run(batch, self.tokenizer.pad_token_id)
            count = sum(len(row.positions) for row in batch)
            if any(map(isnan, scores.find([0] * count))):  # one NaN makes all of a position NaN
                raise RecipeError(NOT_FINITE)
            yield numbers, scores


def _warn_of_head(name: str, config: PreTrainedConfig, new_head: bool) -> None:
    """Warn if the head of a model is new, or was trained on too little text."""
    found = read_pretraining(config)
    if new_head:
        trained = "has no trained head for masked tokens"
    elif found.new_head and found.trained_tokens < FEWEST_TOKENS:
        trained = f"has a head trained on only {found.trained_tokens:,} tokens"
    else:
        return
    output = f"runs/mlm/{Path(name).resolve().name}-more"  # another folder than that of the model
    flags = f'--model_name_or_path {name} --train_file "path/to/*.txt" --output_dir {output}'
    advice = f"train it: make mlm CONFIG=configs/mlm/own_text.yaml ARGS='{flags}'"
    advice = "train the model that it was made of" if read_export(config) else advice
    logger.warning("%s: %s, so its predictions are of little use: %s", name, trained, advice)

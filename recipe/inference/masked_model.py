"""A finished masked language model with its tokenizer: log-probabilities of tokens at chosen positions of many rows."""

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from recipe.errors import RecipeError
from recipe.inference.placing import place_model
from recipe.inputs.tokenizer import load_tokenizer
from recipe.model.architectures import find_first_position
from recipe.model.attention import allow_cudnn
from recipe.model.causality import at_positions, make_causal
from recipe.model.configuration import check_vocabulary, find_longest, load_config, refuse_decoder
from recipe.model.loading import load_model
from recipe.model.objective import Pretraining, read_pretraining
from recipe.model.settings import ModelArguments
from recipe.model.sparse_head import SparseHead, select_labelled
from recipe.precision import fast_matmul

FEWEST_TOKENS = 5_000_000  # tokens of text that a new head needs before its predictions are of use (docs/filling.md)
BATCH_TOKENS = {"cpu": 4096}  # tokens in a batch, padding included, by type of device
GPU_TOKENS = 65536
BATCH_POSITIONS = 2048  # predicted in a batch, at most: each has a probability for the whole vocabulary
logger = logging.getLogger(__name__)


OnBad = Callable[[int, RecipeError], None]  # what is done about a text that cannot be used: its number and the error


class Row(NamedTuple):
    """Token ids, and the positions at which tokens are predicted.

    position_ids, visible: of a row with copies of a text; `visible[i, j]` says whether token i sees token j.
    """

    ids: list[int]
    positions: list[int]
    position_ids: list[int] | None = None
    visible: torch.Tensor | None = None


class MaskedModel:
    """A masked language model, ready to predict. pretraining: what its `config.json` says of its training."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase):
        self.model, self.tokenizer = model.eval(), tokenizer
        self.pretraining: Pretraining = read_pretraining(model.config)
        self.longest = find_longest(tokenizer, model.config)
        self._head = SparseHead(model)
        self._first_position = find_first_position(model.config)
        self._has_types = "token_type_ids" in inspect.signature(model.forward).parameters
        if self.pretraining.is_causal:
            make_causal(model)

    @classmethod
    def load(cls, name: str | Path, precision: str = "auto", device: str | None = None, **options: Any) -> Self:
        """Load a finished model. Warns if its head is not trained, because its predictions are then of no use.

        name: folder of a run or checkpoint, or a Hub id.
        precision: precision of the weights; "auto" is bf16 if the hardware supports it, else fp32.
        device: name of a torch device; default: a GPU if there is one, else the CPU.
        options: `model_revision`, `cache_dir`, `trust_remote_code`.
        Raises RecipeError if there is no such model, or if it has no mask token.
        """
        arguments = ModelArguments(model_name_or_path=str(name), **options)
        config = load_config(arguments)
        refuse_decoder(config)
        tokenizer = load_tokenizer(arguments, training=False)
        check_vocabulary(tokenizer, config)
        if tokenizer.mask_token_id is None:
            raise RecipeError(f"{name}: its tokenizer has no mask token: choose a masked language model")
        model = load_model(AutoModelForMaskedLM, arguments, config)
        if getattr(model, "new_head", False):
            trained: str | None = "has no trained head for masked tokens"
        else:
            found = read_pretraining(config)
            few = found.new_head and found.trained_tokens < FEWEST_TOKENS
            trained = f"has a head trained on only {found.trained_tokens:,} tokens" if few else None
        if trained:
            logger.warning(
                "%s: %s, so its predictions are of little use: train it: make mlm CONFIG=configs/mlm/own_text.yaml "
                "ARGS='--model_name_or_path %s --train_file \"path/to/*.txt\" --output_dir runs/mlm/mine'",
                name,
                trained,
                name,
            )
        return cls(place_model(model, precision, device), tokenizer)

    def predict(self, rows: Sequence[Row]) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Log-probabilities (nats, float32), batch by batch: the numbers of the rows, and (positions, vocabulary).

        The positions are those of the rows of a batch, one row after another. Rows of similar length share a batch.
        """
        allow_cudnn(uniform=False)
        order = sorted(range(len(rows)), key=lambda number: len(rows[number].ids))
        limit = BATCH_TOKENS.get(self.model.device.type, GPU_TOKENS)
        while order:
            width = len(rows[order[-1]].ids)
            places = max(1, max(len(rows[number].positions) for number in order[-limit // width :]))
            count = max(1, min(limit // width, BATCH_POSITIONS // places))
            numbers, order = order[-count:], order[:-count]
            yield numbers, self._compute([rows[number] for number in numbers], width)

    def _compute(self, batch: Sequence[Row], width: int) -> torch.Tensor:
        """The log-probabilities at the positions of one batch, padded to `width` tokens."""
        device = self.model.device
        wanted = [number * width + place for number, row in enumerate(batch) for place in row.positions]
        positions = torch.tensor(wanted, dtype=torch.long, device=device)
        inputs = {name: values.to(device) for name, values in self._collate(batch, width).items()}
        with torch.inference_mode(), fast_matmul(self.model.dtype == torch.float32), self._head.at(positions):
            with at_positions(self.model, inputs["position_ids"]) if "position_ids" in inputs else nullcontext():
                logits = self.model(**inputs).logits
            return select_labelled(logits, positions).float().log_softmax(-1)

    def _collate(self, batch: Sequence[Row], width: int) -> dict[str, torch.Tensor]:
        pad = self.tokenizer.pad_token_id
        ids = torch.tensor([row.ids + [pad] * (width - len(row.ids)) for row in batch])
        if batch[0].visible is None:
            lengths = torch.tensor([[len(row.ids)] for row in batch])
            return {"input_ids": ids, "attention_mask": (torch.arange(width)[None] < lengths).long()}
        visible = torch.eye(width, dtype=torch.bool).repeat(len(batch), 1, 1, 1)
        places = torch.zeros_like(ids)
        for number, row in enumerate(batch):
            length = len(row.ids)
            assert row.visible is not None  # rows with copies do not share a batch with others
            visible[number, 0, :length, :length] = row.visible
            places[number, :length] = torch.tensor(row.position_ids)
        inputs = {"input_ids": ids, "attention_mask": visible, "position_ids": places + self._first_position}
        # a model's own default has as many entries as it has positions, and a row of copies can be longer
        return inputs | ({"token_type_ids": torch.zeros_like(ids)} if self._has_types else {})


def refuse(number: int, error: RecipeError) -> None:
    """Raise the error, with the number of the text if there are several."""
    raise RecipeError(f"text {number}: {error}" if number else str(error)) from None


def check_texts(texts: Any) -> Iterator[str]:
    """The texts in order. Raises RecipeError for anything else than texts."""
    if isinstance(texts, bytes) or not isinstance(texts, Iterable):
        raise RecipeError(f"texts: expected a text or a list of texts, not {type(texts).__name__}")
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            raise RecipeError(f"text {number}: expected a text, not {type(text).__name__}")
        yield text


def split_buffers(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """The texts in order, in lists of `size`."""
    waiting = iter(texts)
    while buffer := list(islice(waiting, size)):
        yield buffer


def quote(text: str) -> str:
    """The beginning of a text, for errors."""
    return repr(text if len(text) <= 60 else text[:60] + " ...")

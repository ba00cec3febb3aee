"""A masked language model on torch: log-probabilities at chosen positions, in its precision and on its device."""

import inspect
from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from transformers import AutoModelForMaskedLM, PreTrainedConfig, PreTrainedModel

from recipe.inference.backends import BATCH_TOKENS, pad
from recipe.inference.placing import place_model
from recipe.inference.scores import Row, find_places
from recipe.model.architectures import find_first_position
from recipe.model.attention import allow_cudnn
from recipe.model.causality import at_positions, make_causal
from recipe.model.loading import load_model, refuse_untrained
from recipe.model.objective import read_pretraining
from recipe.model.settings import ModelArguments
from recipe.model.sparse_head import SparseHead, select_labelled
from recipe.precision import fast_matmul

GPU_TOKENS = 65536  # in a batch, padding included


class TorchScores:
    """`Scores` in a tensor, (positions, vocabulary), which stays on its device."""

    def __init__(self, values: torch.Tensor):
        self._values = values

    def restrict(self, allowed: np.ndarray, kinds: Sequence[int]) -> "TorchScores":
        """See `Scores`."""
        device = self._values.device
        seen = torch.from_numpy(allowed).to(device)[torch.tensor(kinds, device=device)]
        return TorchScores(self._values.masked_fill(~seen, -torch.inf))

    def rank(self, count: int) -> tuple[list[list[int]], list[list[float]]]:
        """See `Scores`."""
        best = self._values.topk(min(count, self._values.shape[1]))
        return best.indices.tolist(), best.values.tolist()

    def find(self, tokens: Sequence[int]) -> list[float]:
        """See `Scores`."""
        wanted = torch.tensor(tokens, dtype=torch.long, device=self._values.device)
        return self._values.gather(1, wanted[:, None])[:, 0].tolist()

    def row(self, position: int) -> np.ndarray:
        """See `Scores`."""
        return self._values[position].cpu().numpy()


class TorchPredictor:
    """A torch model, in evaluation mode from now on; see `Predictor`."""

    def __init__(self, model: PreTrainedModel):
        self.model, self.config = model.eval(), model.config
        self.batch_tokens = BATCH_TOKENS if model.device.type == "cpu" else GPU_TOKENS
        self._head = SparseHead(model)
        self._first_position = find_first_position(model.config)
        self._has_types = "token_type_ids" in inspect.signature(model.forward).parameters
        if read_pretraining(model.config).is_causal:
            make_causal(model)

    def run(self, batch: Sequence[Row], pad_id: int) -> TorchScores:
        """See `Predictor`."""
        allow_cudnn(uniform=False)
        device = self.model.device
        inputs = {name: values.to(device) for name, values in self._collate(batch, pad_id).items()}
        positions = torch.from_numpy(find_places(batch, inputs["input_ids"].shape[1])).to(device)
        with torch.inference_mode(), fast_matmul(self.model.dtype == torch.float32), self._head.at(positions):
            with at_positions(self.model, inputs["position_ids"]) if "position_ids" in inputs else nullcontext():
                logits = self.model(**inputs).logits
            return TorchScores(select_labelled(logits, positions).float().log_softmax(-1))

    def _collate(self, batch: Sequence[Row], pad_id: int) -> dict[str, torch.Tensor]:
        inputs = {name: torch.from_numpy(values) for name, values in pad([row.ids for row in batch], pad_id).items()}
        if batch[0].visible is None:
            return inputs
        ids = inputs["input_ids"]
        visible = torch.eye(ids.shape[1], dtype=torch.bool).repeat(len(batch), 1, 1, 1)
        places = torch.zeros_like(ids)
        for number, row in enumerate(batch):
            length = len(row.ids)
            assert row.visible is not None  # rows with copies do not share a batch with others
            visible[number, 0, :length, :length] = torch.from_numpy(row.visible)
            places[number, :length] = torch.tensor(row.position_ids)
        inputs |= {"attention_mask": visible, "position_ids": places + self._first_position}
        # a model's own default has as many entries as it has positions, and a row of copies can be longer
        return inputs | ({"token_type_ids": torch.zeros_like(ids)} if self._has_types else {})


def load_masked(
    arguments: ModelArguments, config: PreTrainedConfig, precision: str, device: str | None
) -> PreTrainedModel:
    """Load a model; see `place_model` for `precision` and `device`. Raises RecipeError if its encoder lacks weights."""
    model = load_model(AutoModelForMaskedLM, arguments, config)
    refuse_untrained(model, arguments.model_name_or_path, with_head=False)
    return place_model(model, precision, device)

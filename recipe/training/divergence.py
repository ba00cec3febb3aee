"""Stop a training whose loss or weights are no longer finite, before they replace good ones."""

import torch

from recipe.errors import LocalError

INTERVAL = 20  # steps between checks on an accelerator, where each check waits for the device
TOLERATED = 50  # losses in a row that fp16 can lose: the scaler skips these steps and lowers its scale


class DivergenceGuard:
    """Counts the losses in a row that are not finite, on their device; `check` raises LocalError."""

    def __init__(self, fp16: bool):
        self._limit = TOLERATED if fp16 else 0
        self._count: torch.Tensor | None = None

    def count(self, loss: torch.Tensor) -> None:
        """Count one loss."""
        before = torch.zeros((), device=loss.device) if self._count is None else self._count
        self._count = torch.where(loss.detach().isfinite(), 0, before + 1)

    def check(self, step: int, rate: float, model: torch.nn.Module | None = None) -> None:
        """Raise LocalError if too many losses in a row, or a weight of `model`, are not finite.

        step: optimizer steps so far. rate: the current learning rate.
        """
        lost = self._count is not None and bool(self._count > self._limit)
        if lost or (model is not None and not _is_finite(model)):
            raise LocalError(
                f"step {step}: {'the loss is' if lost else 'weights are'} no longer finite (learning rate {rate:.2g}): "
                "they were not saved: start over with --restart and a lower learning_rate, more warmup_steps or "
                "precision fp32"
            )

    def is_due(self, step: int) -> bool:
        """Whether to check after this step: always on a CPU, where it costs nothing."""
        return self._count is not None and (self._count.device.type == "cpu" or step % INTERVAL == 0)


def _is_finite(model: torch.nn.Module) -> bool:
    return all(bool(parameter.detach().isfinite().all()) for parameter in model.parameters())

"""An endless stream of blocks: this process's share of the files, shuffled in chunks, resumable at any batch."""

import copy
import random
from collections.abc import Callable, Iterator
from itertools import islice

import datasets
from datasets.distributed import split_dataset_by_node
from torch.utils.data import IterableDataset

from recipe.data.articles import READ_ERRORS
from recipe.errors import LocalError, RecipeError
from recipe.inputs.masking import MaskingCollator
from recipe.seeds import derive_seed

CHUNK = 2048  # blocks that are shuffled together; resuming packs at most this many blocks again


class BlockStream(IterableDataset):
    """Batches of streamed blocks, in repeated passes over the text; each batch has the `position` that follows it.

    The files are divided among the processes; with fewer files than processes, the blocks are divided instead. The
    order of files changes in each pass, and blocks are shuffled within each `CHUNK`. After `load_state_dict`, the next
    iteration starts at that position and does not read earlier files.
    process, processes: number of this process, and number of processes.
    explain: makes the error for text that cannot be read, see `recipe.data.articles.explain_reading`.
    """

    def __init__(
        self,
        blocks: datasets.IterableDataset,
        collator: MaskingCollator,
        batch_size: int,
        seed: int,
        explain: Callable[[Exception], RecipeError],
        process: int = 0,
        processes: int = 1,
    ):
        strategy = "shards" if blocks.num_shards >= processes else "auto"
        self.blocks = split_dataset_by_node(blocks, process, processes, strategy)
        self.collator, self.batch_size, self.seed = collator, batch_size, seed
        self.explain = explain
        self.load_state_dict(_start_pass(0))

    def load_state_dict(self, position: dict) -> None:
        """Start the next iteration at `position`."""
        self.position = copy.deepcopy(position)

    def __iter__(self) -> Iterator[dict]:
        position = self.position
        while True:
            yield from self._read_pass(position)
            position = _start_pass(position["pass"] + 1)

    def _read_pass(self, start: dict) -> Iterator[dict]:
        """The batches of one pass, beginning at the position `start`."""
        self.collator.set_epoch(start["pass"])
        self.blocks.set_epoch(self.seed + start["pass"])  # also determines the order of the files
        before = start["blocks"]
        if before:
            self.blocks.load_state_dict(before)
        blocks, number, skipped = iter(self.blocks), start["chunk"], start["block"]
        while chunk := self._read_chunk(blocks):
            random.Random(derive_seed(self.seed, start["pass"], number)).shuffle(chunk)
            for first in range(skipped, len(chunk), self.batch_size):
                batch = chunk[first : first + self.batch_size]
                position = {"pass": start["pass"], "chunk": number, "block": first + len(batch), "blocks": before}
                yield {**self.collator(batch), "position": position}
            number, skipped, before = number + 1, 0, self.blocks.state_dict()
        if not number:
            raise LocalError("streaming: no text for this process: use at least as many files as processes")

    def _read_chunk(self, blocks: Iterator[dict]) -> list[dict]:
        try:
            return list(islice(blocks, CHUNK))
        except READ_ERRORS as error:
            raise LocalError(str(self.explain(error))) from error


def _start_pass(number: int) -> dict:
    """The position at the start of a pass: chunk, block in the chunk, and state of the text reader."""
    return {"pass": number, "chunk": 0, "block": 0, "blocks": None}

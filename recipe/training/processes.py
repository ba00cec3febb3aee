"""What several processes need beyond Accelerate: units to shard, a network for gloo and its end, one output folder."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from accelerate.utils import FullyShardedDataParallelPlugin
from torch import distributed
from transformers import PreTrainedModel

from recipe.errors import RecipeError
from recipe.training.layer_decay import find_layers


@contextmanager
def shard_by_layer(model: PreTrainedModel, plugin: FullyShardedDataParallelPlugin | None) -> Iterator[None]:
    """While entered, have Accelerate shard each layer as one unit under FSDP 2, and all else together.

    Left alone it takes the modules that transformers lists, which lack the layers of some types (MPNet) and hold the
    embeddings of others (BERT), and then the embeddings for themselves: those are sharded twice, and where the head is
    tied to them its bias would belong to two units. Both end the run. plugin: of the run's state, None without FSDP.
    """
    if plugin is None or plugin.fsdp_version != 2:
        yield
        return
    layers = find_layers(model)
    if layers and not plugin.transformer_cls_names_to_wrap:
        plugin.transformer_cls_names_to_wrap = [type(model.get_submodule(layers)[0]).__name__]
    getters = ("get_input_embeddings", "get_output_embeddings")
    for name in getters:
        setattr(model, name, lambda: None)
    try:
        yield
    finally:
        for name in getters:
            delattr(model, name)


def choose_interface() -> None:
    """Have gloo use the network by which the first machine is reached; left alone it takes that of the host's name.

    Which is often 127.0.0.1. gloo connects the processes on CPUs, and those on GPUs for what need not make a GPU wait.
    Raises ValueError if its address means nothing here, or no route leads there.
    """
    world, local = (os.environ.get(name, "1") for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    first = os.environ.get("MASTER_ADDR")
    if world == local or not first or "GLOO_SOCKET_IFNAME" in os.environ:
        return
    try:
        family, *_, address = socket.getaddrinfo(first, 1, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)  # sends nothing
            own = probe.getsockname()[0]
    except OSError as error:
        raise ValueError(f"main_process_ip: {first}: {error.strerror}: name the address of machine 0") from None
    for name, addresses in psutil.net_if_addrs().items():
        if own in [address.address for address in addresses]:
            os.environ["GLOO_SOCKET_IFNAME"] = name


def wait_for_gloo() -> None:
    """At the interpreter's end, let gloo's threads come to theirs first.

    One that drops the last tensor that it sent waits for Python's lock; if the interpreter ends in these few
    milliseconds the process is aborted, all its work done (https://github.com/pytorch/pytorch/pull/179291).
    """
    if distributed.is_initialized():
        time.sleep(0.1)  # they give no sign


def refuse_unshared(folder: Path, world_size: int, rank: int) -> None:
    """Raise RecipeError unless `folder` is the same for all processes, as on storage that all machines see."""
    if world_size == 1:
        return
    mark = folder / ".shared"
    if rank == 0:
        mark.touch()
    distributed.barrier()
    seen = [None] * world_size
    distributed.all_gather_object(seen, mark.exists())
    if rank == 0:
        mark.unlink()
    if not all(seen):
        raise RecipeError(f"output_dir {folder}: is not on storage that all machines see: name a folder that is")

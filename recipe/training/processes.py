"""Additions to Accelerate for several processes: FSDP units, gloo, a shared output folder, work that one does."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
from accelerate.utils import FullyShardedDataParallelPlugin
from torch import distributed
from transformers import PreTrainedModel

from recipe.errors import RecipeError
from recipe.model.depth import find_layers

Result = TypeVar("Result")


@contextmanager
def shard_by_layer(model: PreTrainedModel, plugin: FullyShardedDataParallelPlugin | None) -> Iterator[None]:
    """A context in which Accelerate shards each layer as one unit under FSDP 2, and all other parameters together.

    By default it shards the modules that transformers lists. For some models (MPNet) the list does not contain the
    layers; for others (BERT) it contains the embeddings, which Accelerate then shards a second time. If the head is
    tied to the embeddings, its bias would belong to two units. Both end the run with an error.
    plugin: the FSDP plugin of the run's state, None without FSDP.
    """
    if plugin is None or plugin.fsdp_version != 2:
        yield
        return
    layers = find_layers(model)
    if layers and not plugin.transformer_cls_names_to_wrap:
        plugin.transformer_cls_names_to_wrap = [type(next(model.get_submodule(layers).children())).__name__]
    getters = ("get_input_embeddings", "get_output_embeddings")
    for name in getters:
        setattr(model, name, lambda: None)
    try:
        yield
    finally:
        for name in getters:
            delattr(model, name)


def choose_interface() -> None:
    """Make gloo use the network interface from which machine 0 can be reached.

    By default gloo uses the interface of the host name, which is often 127.0.0.1. gloo connects processes on CPUs, and
    processes on GPUs for messages that must not make a GPU wait.
    Raises ValueError if the address of machine 0 cannot be resolved or reached.
    """
    world, local = (os.environ.get(name, "1") for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    first = os.environ.get("MASTER_ADDR")
    if world == local or not first or "GLOO_SOCKET_IFNAME" in os.environ:
        return
    try:
        family, *_, address = socket.getaddrinfo(first, 1, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)  # UDP: nothing is sent
            own = probe.getsockname()[0]
    except OSError as error:
        raise ValueError(f"main_process_ip: {first}: {error.strerror}: set it to the address of machine 0") from None
    for name, addresses in psutil.net_if_addrs().items():
        if own in [address.address for address in addresses]:
            os.environ["GLOO_SOCKET_IFNAME"] = name


def wait_for_gloo() -> None:
    """Wait until the threads of gloo have finished, before the interpreter exits.

    A thread that releases the last tensor it sent waits for Python's lock. If the interpreter exits in these few
    milliseconds, the process aborts, although its work is done (https://github.com/pytorch/pytorch/pull/179291).
    """
    if distributed.is_initialized():
        time.sleep(0.1)  # there is no way to check whether they have finished


def let_first(make: Callable[[], Result], world_size: int, rank: int) -> Result:
    """Let the first process make something small, such as a number or text; returns it in all processes.

    The others wait. If the first one raises RecipeError, all of them do, so that none fails for want of the others.
    """
    made: list[Any] = [None, None]
    if rank == 0:
        try:
            made[0] = make()
        except RecipeError as error:
            made[1] = error
    if world_size > 1:
        distributed.broadcast_object_list(made)
    if made[1]:
        raise made[1]
    return made[0]


def refuse_unshared(folder: Path, world_size: int, rank: int) -> None:
    """Raise RecipeError unless all processes share `folder`, which must be on storage that all machines can access."""
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
        raise RecipeError(
            f"output_dir {folder}: not shared by all machines: set a folder on storage that all machines can access"
        )

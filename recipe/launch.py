"""Who started this process, and how: the launcher, its command line, its environment."""

import os
import re
import shlex
import sys
from pathlib import Path

import psutil

TRUE = ("1", "true", "yes", "on", "y", "t")  # as Accelerate reads its flags


def read_flag(name: str) -> bool:
    """Whether an environment variable, as `accelerate launch` sets them, is true."""
    return os.environ.get(name, "").lower() in TRUE


def is_sharded() -> bool:
    """Whether the run was launched with FSDP."""
    return read_flag("ACCELERATE_USE_FSDP")


def find_launch() -> list[str]:
    """The words of the `accelerate launch` that started this process; empty if nothing did, or the parent is hidden."""
    try:
        words = psutil.Process(os.getppid()).cmdline()
    except psutil.Error:
        return []
    if "launch" in words and Path(launcher := words[words.index("launch") - 1]).name == "accelerate":
        found = Path(launcher).is_absolute()  # by the shell, as the word alone
        return ["accelerate" if found else launcher, *words[words.index("launch") :]]
    return []


def find_command() -> str:
    """The command line of this run, from `accelerate launch` on where that started it. A token is left out."""
    command = find_launch() or ["python", *sys.argv]
    return shlex.join(re.sub(r"(--hub[_-]token[=\0])[^\0]*", r"\1***", "\0".join(command)).split("\0"))

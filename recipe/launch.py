"""How this process was started: the launcher, its command line and its environment variables."""

import os
import re
import shlex
import sys
from pathlib import Path

import psutil

TRUE = ("1", "true", "yes", "on", "y", "t")  # as Accelerate reads its flags


def read_flag(name: str) -> bool:
    """Whether an environment variable is true, read as `accelerate launch` sets it."""
    return os.environ.get(name, "").lower() in TRUE


def is_sharded() -> bool:
    """Whether the run was launched with FSDP."""
    return read_flag("ACCELERATE_USE_FSDP")


def find_launch() -> list[str]:
    """The words of the `accelerate launch` command that started this process.

    Empty if the process was started in another way, or if the parent process cannot be read.
    """
    try:
        words = psutil.Process(os.getppid()).cmdline()
    except psutil.Error:
        return []
    if "launch" in words and Path(launcher := words[words.index("launch") - 1]).name == "accelerate":
        found = Path(launcher).is_absolute()  # the user typed `accelerate`, and the shell found it on the PATH
        return ["accelerate" if found else launcher, *words[words.index("launch") :]]
    return []


def find_command() -> str:
    """The command line of this run, with `accelerate launch` if that started it. The Hub token is masked."""
    command = find_launch() or ["python", *sys.argv]
    return shlex.join(re.sub(r"(--hub[_-]token[=\0])[^\0]*", r"\1***", "\0".join(command)).split("\0"))

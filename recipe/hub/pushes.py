"""Pushing to the Hub: whether that may be done, one commit for each push, and no failure in silence.

`python -m recipe push runs/ner/name user/name` pushes a finished run, or one of its checkpoints, at any later time.
"""

import fnmatch
import logging
import os
import shlex
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi, ModelCardData, get_token
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx
from transformers import TrainerCallback
from transformers.hf_argparser import string_to_bool
from transformers.trainer_utils import HubStrategy

from recipe.command_line import VerbParser
from recipe.connection import explain, limit_silence
from recipe.errors import PushError, RecipeError
from recipe.hub.card import write_card
from recipe.hub.run_folder import find_record
from recipe.training.checkpoints import name_checkpoint

logger = logging.getLogger(__name__)

CHECK_SILENCE, PUSH_SILENCE = 10, 30  # seconds without a byte from the Hub, before training and while pushing
SNAPSHOTS = ".push"  # folder of the checkpoints that are being pushed, inside the run's
PAUSES = (1, 5)  # seconds before a commit is tried again
BUSY = {409, 429, 500, 502, 503, 504}
# What a push takes. Optimizer states and the pickled training arguments stay; so do predictions: the text of the data.
PUSHED = (
    *("config.json", "*.safetensors", "*.safetensors.index.json", "*.py"),
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.model"),
    *("README.md", "run.yaml", "report.json", "report.txt", "metrics.json", ".gitignore"),
)


class Repository:
    """A repository of the Hub, `owner/name`, that may be written to."""

    def __init__(self, name: str, token: str | None = None, revision: str | None = None):
        self.name, self.revision = name, revision
        self.api, self.token = HfApi(token=token), token or get_token()

    def push(self, files: dict[str, Path], message: str) -> str:
        """Make one commit of `files` (by their paths in the repository), none if nothing changed. Returns its address.

        The client repeats its requests where that helps, but for the commit itself: that is tried again here.
        Raises PushError, with a reason of one line.
        """
        limit_silence(PUSH_SILENCE)
        os.environ.setdefault("HF_XET_CLIENT_READ_TIMEOUT", f"{PUSH_SILENCE}s")  # hf_xet has connections of its own
        pauses = list(PAUSES)
        while True:
            operations = [CommitOperationAdd(path, file) for path, file in files.items()]
            try:
                made = self.api.create_commit(self.name, operations, commit_message=message, revision=self.revision)
                return made.commit_url
            except Exception as error:
                if not (pauses and _is_passing(error)):
                    raise PushError(f"push to {self.name} failed: {self.describe(error)}") from error
                logger.warning("commit to %s: %s; trying again", self.name, self.describe(error))
                time.sleep(pauses.pop(0))

    def describe(self, error: Exception) -> str:
        """`explain` without the token, which for one stands in the complaint about a header that cannot be sent."""
        reason = explain(error)
        for form in {self.token, repr(self.token)[1:-1]} if self.token else ():
            reason = reason.replace(form, "***")
        return reason


def open_repository(
    name: str, token: str | None = None, private: bool | None = True, revision: str | None = None, card: str = ""
) -> Repository:
    """Make sure, in seconds, that `name` exists and may be written to; create it, and the branch, where missing.

    private: of a new repository; one that exists stays as it is. card: a model card whose metadata the Hub is to
    accept. Raises RecipeError.
    """
    limit_silence(CHECK_SILENCE)
    repository = Repository(name, token, revision)
    api = repository.api
    try:
        if api.whoami().get("auth", {}).get("accessToken", {}).get("role") == "read":
            raise RecipeError(f"push to {name}: the token may only read; it needs the role `write`")
        if card:  # as a commit does; ModelCard.validate asks huggingface.co, whatever HF_ENDPOINT is
            api._validate_yaml(card)
        repository.name = api.create_repo(name, private=private, exist_ok=True).repo_id
        _check_permission(repository)
        if revision not in (None, "main") and not revision.startswith("refs/"):
            api.create_branch(repository.name, branch=revision, exist_ok=True)
    except RecipeError:
        raise
    except Exception as error:
        raise RecipeError(f"push to {name}: {repository.describe(error)}") from error
    return repository


def list_files(folder: Path) -> dict[str, Path]:
    """The files of a run's folder, or a checkpoint's, that a push takes, by their paths in the repository.

    Raises RecipeError where there are no weights, as in the sharded checkpoints of FSDP.
    """
    files = [path for path in folder.iterdir() if any(fnmatch.fnmatch(path.name, pattern) for pattern in PUSHED)]
    if not any(path.suffix == ".safetensors" for path in files):
        raise RecipeError(f"{folder}: no weights there (*.safetensors)")
    tensorboard = folder.glob("runs/**/*tfevents*")
    found = {path.relative_to(folder).as_posix(): path for path in sorted([*files, *tensorboard]) if path.is_file()}
    record = find_record(folder)
    return found | ({record.name: record} if record.exists() else {})


def push_folder(repository: Repository, folder: Path, message: str) -> str:
    """Write the model card into a run's folder (or a checkpoint's) and push it. Returns the commit's address.

    Raises PushError, which names the command that pushes later.
    """
    before = folder.stat()
    write_card(folder, repository.name)
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))  # the oldest checkpoint is the first to go
    try:
        return repository.push(list_files(folder), message)
    except RecipeError as error:
        command = f"make push CKPT={shlex.quote(str(folder))} REPO={repository.name}"
        if repository.revision:
            command += f' ARGS="--hub_revision {repository.revision}"'
        raise PushError(f"{error}; {folder} is whole: push it later with `{command}`") from error


class RunPusher(TrainerCallback):
    """Pushes the checkpoints of a run while it trains, as `hub_strategy` tells, and all of it at the end.

    In place of Trainer's own pushes, which fail in silence and take their files from where training goes on writing:
    a push here is of one checkpoint, complete and held fast by hard links, in one commit.
    """

    def __init__(self, args: Any, token: str | None = None):
        """Check that `hub_model_id` can be pushed to, with what the card will declare. Trainer is told not to push.

        args: a run's settings, those of training and of the card.
        """
        self.folder, self.strategy, self.queue_all = Path(args.output_dir), args.hub_strategy, args.hub_always_push
        name = args.hub_model_id or self.folder.absolute().name
        self.repository = None
        if args.process_index == 0:
            declared = ModelCardData(language=args.hub_language, license=args.hub_license)
            card = f"---\n{declared.to_yaml()}\n---\n" if declared.to_dict() else ""
            self.repository = open_repository(name, token, args.hub_private_repo, args.hub_revision, card)
        args.push_to_hub = False
        self.worker, self.running = ThreadPoolExecutor(1, "push"), Future()
        self.running.set_result(None)

    def on_save(self, args, state, control, **_):
        """Push the checkpoint just saved, beside training; not if the one before is still under way."""
        checkpoint = name_checkpoint(self.folder, state.global_step)
        if self.repository is None or self.strategy == HubStrategy.END or not checkpoint.is_dir():
            return
        if not self.running.done() and not self.queue_all:
            logger.warning("step %d is not pushed: the push before it is still under way", state.global_step)
            return
        try:
            self.running = self.worker.submit(self._push, snapshot(checkpoint), state.global_step)
        except OSError as error:  # a full disk, for one
            logger.warning("step %d is not pushed, training goes on: %s", state.global_step, error)

    def finish(self) -> None:
        """Wait for the push under way and push the finished run. Raises PushError."""
        self.worker.shutdown()
        if self.repository:
            shutil.rmtree(self.folder / SNAPSHOTS, ignore_errors=True)
            print(f"pushed to {push_folder(self.repository, self.folder, 'End of training')}")

    def _push(self, copy: Path, step: int) -> None:
        try:
            write_card(copy, self.repository.name)
            files = list_files(copy)
            if self.strategy != HubStrategy.EVERY_SAVE:
                place = "last-checkpoint" if self.strategy == HubStrategy.CHECKPOINT else f"checkpoint-{step}"
                files |= {f"{place}/{path.name}": path for path in copy.iterdir() if path.is_file()}
            self.repository.push(files, f"Training in progress, step {step}")
        except Exception as error:
            logger.warning("step %d is not pushed, training goes on: %s", step, self.repository.describe(error))
        finally:
            shutil.rmtree(copy)


def snapshot(checkpoint: Path) -> Path:
    """Make a copy of a checkpoint that outlives it, with what its run's folder says about the run. Returns its folder.

    By hard links where the file system has them: of a checkpoint nothing but its card is written after it was saved.
    """
    copy = checkpoint.parent / SNAPSHOTS / checkpoint.name
    shutil.rmtree(copy, ignore_errors=True)  # of a run that was killed
    shutil.copytree(checkpoint, copy, copy_function=_link)
    for name in ("run.yaml", ".gitignore"):
        if (checkpoint.parent / name).exists():
            shutil.copy(checkpoint.parent / name, copy / name)
    return copy


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _check_permission(repository: Repository) -> None:
    try:
        repository.api.auth_check(repository.name, write=True)
    except HfHubHTTPError as error:
        if error.response.status_code != 404:  # a mirror that does not know the question; the repository is there
            raise


def _is_passing(error: Exception) -> bool:
    """Whether it was the commit that failed, for a reason that may pass."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in BUSY and "/commit/" in error.response.request.url.path
    return isinstance(error, httpx.TransportError) and "/commit/" in error.request.url.path


def main(argv: list[str]) -> None:
    """`python -m recipe push`: push a folder."""
    parser = VerbParser(
        "push",
        "Push a finished run, or one of its checkpoints, to the Hub.",
        "python -m recipe push runs/ner/name user/name",
    )
    parser.add_argument("folder", type=Path, help="a run's folder or one of its checkpoints")
    parser.add_argument("repository", help="owner/name")
    parser.add_argument(
        "--hub_private_repo", type=string_to_bool, default=True, help="make a new repository private (true)"
    )
    parser.add_argument("--hub_revision", help="the branch to push to (main)")
    args = parser.parse_args(argv)
    if not args.folder.is_dir():
        raise RecipeError(f"{args.folder}: no such folder")
    list_files(args.folder)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    repository = open_repository(args.repository, None, args.hub_private_repo, args.hub_revision)
    print(f"pushed to {push_folder(repository, args.folder, f'Push {args.folder.name}')}")

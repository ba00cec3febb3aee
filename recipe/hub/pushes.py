"""Pushing to the Hub: checks before training, one commit for each push, and a message for each failure.

`python -m recipe push runs/ner/name user/name` pushes a finished run or one of its checkpoints at any later time.
"""

import fnmatch
import logging
import os
import shlex
import shutil
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelCardData, get_token, is_offline_mode
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import httpx, validate_repo_id
from transformers import TrainerCallback
from transformers.hf_argparser import string_to_bool
from transformers.trainer_utils import HubStrategy

from recipe.command_line import VerbParser
from recipe.connection import OFFLINE, explain, limit_silence
from recipe.errors import PushError, RecipeError
from recipe.hub.card import write_card
from recipe.hub.report import PAGE, make_report
from recipe.hub.run_folder import find_record
from recipe.inference.exports import EXPORTS, RECORD, REQUIREMENTS, find_exports, list_exports
from recipe.training.checkpoints import name_checkpoint

logger = logging.getLogger(__name__)

CHECK_SILENCE, PUSH_SILENCE = 10, 30  # seconds without a byte from the Hub, before training and while pushing
SNAPSHOTS = ".push"  # folder inside the run's folder, for checkpoints that are being pushed
PAUSES = (1, 5)  # seconds to wait before each retry of a commit
BUSY = {409, 429, 500, 502, 503, 504}  # HTTP statuses after which a commit is retried
# The files that are pushed. Not pushed: optimizer states, pickled training arguments, and predictions, which contain
# text of the data. The page does so too; a page of figures alone is pushed instead of it.
PUSHED = (
    *("config.json", "*.safetensors", "*.safetensors.index.json", "*.py"),
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.model"),
    *("README.md", "run.yaml", "report.json", "report.txt", "analysis.json", "metrics.json", ".gitignore"),
)
EXPORTED = (*PUSHED, "model.onnx", "model.onnx.data", "model.xml", "model.bin", REQUIREMENTS, RECORD)
Files = dict[str, Path | bytes]  # by their paths in the repository: a file, or what is pushed instead of it


class Repository:
    """A repository `owner/name` on the Hub, to push to."""

    def __init__(self, name: str, token: str | None = None, revision: str | None = None):
        self.name, self.revision = name, revision
        self.api, self.token = HfApi(token=token), token or get_token()

    def push(self, files: Files, message: str) -> str:
        """Push `files` (by their paths in the repository) in one commit, or none if nothing changed. Returns its URL.

        The same commit deletes exports that are not among them, because they are of other weights.
        The client retries its requests except for the commit itself, which is retried here.
        Raises PushError with a reason in one line.
        """
        limit_silence(PUSH_SILENCE)
        os.environ.setdefault("HF_XET_CLIENT_READ_TIMEOUT", f"{PUSH_SILENCE}s")  # hf_xet opens its own connections
        pauses = list(PAUSES)
        while True:
            operations: list[Any] = [CommitOperationAdd(path, file) for path, file in files.items()]
            try:
                operations += [CommitOperationDelete(path) for path in self._list_exported() if path not in files]
                made = self.api.create_commit(self.name, operations, commit_message=message, revision=self.revision)
                return made.commit_url
            except Exception as error:
                if not (pauses and _is_passing(error)):
                    raise PushError(f"push to {self.name} failed: {self.describe(error)}") from error
                logger.warning("commit to %s failed: %s: trying again", self.name, self.describe(error))
                time.sleep(pauses.pop(0))

    def _list_exported(self) -> list[str]:
        """The files of exports in the repository."""
        folders = tuple(f"{EXPORTS}/{export.name}/" for export in list_exports())
        there = self.api.list_repo_files(self.name, revision=self.revision)
        return [path for path in there if path.startswith(folders)]

    def describe(self, error: Exception) -> str:
        """`explain` with the token masked; the error for an invalid request header, for example, contains it."""
        reason = explain(error)
        for form in {self.token, repr(self.token)[1:-1]} if self.token else ():
            reason = reason.replace(form, "***")
        return reason


def open_repository(
    name: str, token: str | None = None, private: bool | None = True, revision: str | None = None, card: str = ""
) -> Repository:
    """Check in a few seconds that you can write to the repository `name`; create it and the branch if missing.

    private: for a new repository; an existing one does not change. card: a model card whose metadata the Hub checks.
    Raises RecipeError if the repository cannot be written to or the metadata are not valid.
    """
    try:
        validate_repo_id(name)
    except HFValidationError:
        raise RecipeError(f"push to {name}: is not the name of a repository on the Hub: give owner/name") from None
    if is_offline_mode():  # without a token, the client would ask for a login first
        raise RecipeError(f"push to {name}: {OFFLINE}")
    limit_silence(CHECK_SILENCE)
    repository = Repository(name, token, revision)
    api = repository.api
    try:
        if api.whoami().get("auth", {}).get("accessToken", {}).get("role") == "read":
            raise RecipeError(f"push to {name}: the token is read-only: use a token with the role `write`")
        if card:  # the check that a commit does; ModelCard.validate ignores HF_ENDPOINT
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


def list_files(folder: Path, with_text: bool = False) -> Files:
    """The files of a run or checkpoint folder to push, with its whole exports, without what `add_page` adds.

    with_text: also the page of the run, which quotes the data, if there is one.
    Raises RecipeError if there are no weights, as in sharded checkpoints of FSDP, or if a file is a link, which could
    lead to something that is not meant to be pushed.
    """
    patterns = [*PUSHED, PAGE] if with_text else PUSHED
    files = [path for path in folder.iterdir() if _matches(path, patterns)]
    if not any(path.suffix == ".safetensors" for path in files):
        raise RecipeError(f"{folder}: no weights (*.safetensors): choose the folder of a run or checkpoint")
    tensorboard = folder.glob("runs/**/*tfevents*")
    whole = [export for export, damage in find_exports(folder).items() if not damage]
    exported = [path for export in whole for path in export.glob("*") if _matches(path, EXPORTED)]
    every = sorted([*files, *tensorboard, *exported])
    found = {path.relative_to(folder).as_posix(): path for path in every if path.is_file()}
    record = find_record(folder)
    for path in [*found.values(), record]:
        within = path.absolute().relative_to(record.parent.absolute())
        parts = [record.parent.joinpath(*within.parts[: count + 1]) for count in range(len(within.parts))]
        if link := next((part for part in parts if part.is_symlink()), None):
            raise RecipeError(
                f"{link}: is a link, and only files of the folder itself are pushed: replace it by a copy"
            )
    return {**found, **({record.name: record} if record.exists() else {})}


def add_page(files: Files, folder: Path) -> Files:
    """The files and, if the folder has a page that is not among them, a page without text of the data.

    The page is taken out of the `.gitignore` that is pushed, because the Hub would leave out what it lists.
    """
    files = dict(files)
    if PAGE not in files and (folder / PAGE).exists():
        try:
            files[PAGE] = make_report(folder, with_text=False).page.encode()
        except Exception as error:  # the model can be pushed without it
            logger.warning("%s is not pushed: %s", PAGE, error)
    ignored = files.get(".gitignore")
    if PAGE in files and isinstance(ignored, Path):
        kept = [line for line in ignored.read_text(encoding="utf-8").splitlines() if line != PAGE]
        files[ignored.name] = "\n".join([*kept, ""]).encode()
    return files


def _matches(path: Path, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns)


def push_folder(repository: Repository, folder: Path, message: str, with_text: bool = False) -> str:
    """Write the model card to a run or checkpoint folder and push the folder. Returns the URL of the commit.

    with_text: whether its page quotes the data.
    Raises PushError with the command that pushes later.
    """
    before = folder.stat()
    for export, damage in find_exports(folder).items():
        if damage:  # the model can be pushed without it
            logger.warning("%s is not pushed: %s", export.relative_to(folder), damage)
    try:
        write_card(folder, repository.name)
        # Restore the times, because save_total_limit deletes the oldest checkpoints first.
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
        return repository.push(add_page(list_files(folder, with_text), folder), message)
    except RecipeError as error:
        command = f"make push CKPT={shlex.quote(str(folder))} REPO={repository.name}"
        options = [f"--hub_revision {repository.revision}"] if repository.revision else []
        if options := options + ["--with_text"] * with_text:
            command += f' ARGS="{" ".join(options)}"'
        raise PushError(f"{error}: {folder} is complete: push it later with `{command}`") from error


class RunPusher(TrainerCallback):
    """Pushes checkpoints during training, as set by `hub_strategy`, and the finished run at the end.

    This replaces the pushes of Trainer, which report no failures and read files while training writes them. Here each
    push is one commit of one complete checkpoint, protected by hard links.
    """

    def __init__(self, args: Any, token: str | None = None):
        """Check that the run can be pushed to `hub_model_id` with its card, and switch off the pushes of Trainer.

        args: the settings of training and of the card.
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
        """Push the saved checkpoint in the background, unless an earlier push is still running."""
        checkpoint = name_checkpoint(self.folder, state.global_step)
        if self.repository is None or self.strategy == HubStrategy.END or not checkpoint.is_dir():
            return
        if not self.running.done() and not self.queue_all:
            logger.warning("step %d is not pushed: the previous push is still running", state.global_step)
            return
        try:
            self.running = self.worker.submit(self._push, self.repository, snapshot(checkpoint), state.global_step)
        except OSError as error:  # for example a full disk
            logger.warning("step %d is not pushed, training continues: %s", state.global_step, error)

    def finish(self) -> None:
        """Wait for a running push, then push the finished run. Raises PushError if that fails."""
        self.worker.shutdown()
        if self.repository:
            shutil.rmtree(self.folder / SNAPSHOTS, ignore_errors=True)
            print(f"pushed to {push_folder(self.repository, self.folder, 'End of training')}")

    def _push(self, repository: Repository, copy: Path, step: int) -> None:
        try:
            write_card(copy, repository.name)
            files = list_files(copy)
            if self.strategy != HubStrategy.EVERY_SAVE:
                place = "last-checkpoint" if self.strategy == HubStrategy.CHECKPOINT else f"checkpoint-{step}"
                files |= {f"{place}/{path.name}": path for path in copy.iterdir() if path.is_file()}
            repository.push(files, f"Training in progress, step {step}")
        except Exception as error:
            logger.warning("step %d is not pushed, training continues: %s", step, repository.describe(error))
        finally:
            shutil.rmtree(copy)


def snapshot(checkpoint: Path) -> Path:
    """Copy a checkpoint, with the run.yaml of its run, so that it can be pushed even if it is deleted meanwhile.

    Uses hard links if the file system supports them; only the card of a checkpoint is written after it was saved.
    Returns the folder of the copy.
    """
    copy = checkpoint.parent / SNAPSHOTS / checkpoint.name
    shutil.rmtree(copy, ignore_errors=True)  # from a killed run
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
        if error.response.status_code != 404:  # mirrors can lack this endpoint; the repository exists
            raise


def _is_passing(error: Exception) -> bool:
    """Whether the request that failed was the commit, for a temporary reason."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in BUSY and "/commit/" in error.response.request.url.path
    return isinstance(error, httpx.TransportError) and "/commit/" in error.request.url.path


def main(argv: list[str]) -> None:
    """`python -m recipe push`: push the folder of a run or checkpoint."""
    parser = VerbParser(
        "push",
        "Push a finished run, or one of its checkpoints, to the Hub.",
        "python -m recipe push runs/ner/name user/name",
    )
    parser.add_argument("folder", type=Path, help="a run's folder or one of its checkpoints")
    parser.add_argument("repository", help="repository on the Hub: owner/name")
    parser.add_argument(
        "--hub_private_repo", type=string_to_bool, default=True, help="make a new repository private (default: true)"
    )
    parser.add_argument("--hub_revision", help="branch to push to (default: main)")
    parser.add_argument(
        "--with_text", action="store_true", help=f"push {PAGE} with its quotes of the data, not only its figures"
    )
    args = parser.parse_args(argv)
    if not args.folder.is_dir():
        raise RecipeError(f"{args.folder}: no such folder: check the path")
    if args.with_text and not (args.folder / PAGE).exists():
        raise RecipeError(f"{args.folder / PAGE}: no such file: make it with python -m recipe report {args.folder}")
    list_files(args.folder, args.with_text)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    repository = open_repository(args.repository, None, args.hub_private_repo, args.hub_revision)
    print(f"pushed to {push_folder(repository, args.folder, f'Push {args.folder.name}', args.with_text)}")

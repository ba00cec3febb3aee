"""Pushing to a Hub of our own over HTTP, in both lanes, with everything that can go wrong."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import Future
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub.utils._http
import pytest
import torch
import transformers.utils.hub
from huggingface_hub import HfApi, ModelCard, constants
from huggingface_hub.utils._xet import abort_xet_session
from transformers import AutoModelForTokenClassification, pipeline

import run_mlm
import run_ner
from conftest import ROOT, fill
from hub_server import READER, STRANGER, WRITER, HubServer
from recipe.__main__ import main as recipe_main
from recipe.arguments import NerArguments, RunArguments
from recipe.connection import limit_silence
from recipe.data.splits import load_splits
from recipe.errors import PushError, RecipeError
from recipe.folders import sync_files
from recipe.hub import pushes
from recipe.hub.pushes import RunPusher, open_repository, push_folder, snapshot
from recipe.inference.tagger import Tagger

SECRET = "zqxvk"  # a word of the data, which no push may carry
NEVER = "http://127.0.0.1:9"  # the port of the discard service, which refuses


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Two threads only wait for each other over models this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=["lfs", "xet"])
def lane(request):
    return request.param


@pytest.fixture
def point_to(monkeypatch, tmp_path):
    """Point the client at a server, as a user with this token; nothing of the machine's own login or cache counts."""

    def point(url: str, token: str | None = WRITER, xet: bool = False) -> None:
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", not xet)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-login"))
        monkeypatch.setattr(transformers.utils.hub, "_hf_api", None)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        if token:
            monkeypatch.setenv("HF_TOKEN", token)

    # The client waits between its attempts, and so do we: not in tests.
    impatient = SimpleNamespace(**vars(time) | {"sleep": lambda seconds: None})
    monkeypatch.setattr(huggingface_hub.utils._http, "time", impatient)
    monkeypatch.setattr(pushes, "PAUSES", (0, 0))
    monkeypatch.setattr(pushes, "CHECK_SILENCE", 1)
    monkeypatch.setattr(pushes, "PUSH_SILENCE", 1)
    yield point
    limit_silence(pushes.PUSH_SILENCE)  # no connection to a server that is gone


@pytest.fixture
def hub(point_to, tmp_path):
    with HubServer(tmp_path / "hub") as server:
        point_to(server.url)
        yield server


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    text = f"Mira I-PER\n{SECRET} I-PER\nleft O\nLima I-LOC\n\nNorvik I-ORG\nmet O\nDanes I-MISC\n\n"
    for name in ("train", "valid", "test"):
        (folder / f"{name}.txt").write_text(text)
    return folder


@pytest.fixture
def ner_flags(encoder, data_folder, tmp_path):
    """The command line of a run of 4 steps that saves after 2 and 4 and pushes as mara/tagger."""

    def flags(**more) -> list[str]:
        settings = {"model_name_or_path": encoder, "data_dir": data_folder, "output_dir": tmp_path / "run"}
        settings |= {"max_seq_length": 64, "do_train": True, "do_eval": True, "do_predict": True, "max_steps": 4}
        settings |= {"save_steps": 2, "logging_steps": 1, "learning_rate": 5e-3, "disable_tqdm": True}
        settings |= {"push_to_hub": True, "hub_model_id": "mara/tagger", "hub_always_push": True}
        return [f"--{name}={value}" for name, value in (settings | more).items()]

    return flags


@pytest.fixture
def pushable(encoder, tmp_path):
    """A folder that can be pushed, without a run."""
    return Path(shutil.copytree(encoder, tmp_path / "pushable"))


@pytest.fixture
def saved(pushable, tmp_path):
    """The checkpoint of step 2 of a run that is under way."""
    checkpoint = Path(shutil.copytree(pushable, tmp_path / "run" / "checkpoint-2"))
    (checkpoint / "optimizer.pt").write_bytes(b"state")
    (tmp_path / "run" / ".gitignore").write_text("predictions/\n")
    return checkpoint


@pytest.fixture
def mlm_flags(encoder, tmp_path):
    """The same for masked pretraining, as mara/filler."""
    (tmp_path / "text.txt").write_text("\n\n".join(f"article {n} of port {SECRET}" for n in range(20)))

    def flags(**more) -> list[str]:
        settings = {"model_name_or_path": encoder, "train_file": tmp_path / "text.txt", "output_dir": tmp_path / "run"}
        settings |= {"validation_split_percentage": 20, "block_size": 32, "do_train": True, "do_eval": True}
        settings |= {"max_steps": 4, "save_steps": 2, "logging_steps": 1, "disable_tqdm": True}
        settings |= {"push_to_hub": True, "hub_model_id": "mara/filler", "hub_always_push": True}
        return [f"--{name}={value}" for name, value in (settings | more).items()]

    return flags


def push_again(monkeypatch, *words) -> None:
    pushes.main([str(word) for word in words])


def warnings_of(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "recipe.hub.pushes"]


def run_snippet(card: str) -> str:
    """Run the Python code of a card; returns what it prints."""
    printed = StringIO()
    with redirect_stdout(printed):
        for code in re.findall(r"```python\n(.*?)```", card, re.DOTALL):
            exec(code, {})
    return printed.getvalue()


# What is pushed


def test_a_tagger_reads_back_from_the_hub_as_it_was(hub, lane, point_to, ner_flags, tmp_path):
    point_to(hub.url, xet=lane == "xet")
    run_ner.main(ner_flags(hub_strategy="end", learning_rate=2e-2, max_steps=20, save_steps=100))
    [(message, files)] = hub.commits("mara/tagger")
    assert message == "End of training"
    model = {".gitattributes", ".gitignore", "config.json", "model.safetensors", "tokenizer.json"}
    reports = {"README.md", "run.yaml", "report.json", "report.txt", "analysis.json", "report.html"}
    assert files.keys() == model | reports | {"tokenizer_config.json"}
    assert SECRET not in files["report.html"].content.decode()
    assert hub.repositories["models", "mara/tagger"].private
    assert any("/lfs/" in request for request in hub.requests) == (lane == "lfs")
    assert any("xet-write-token" in request for request in hub.requests) == (lane == "xet")
    text = f"mira {SECRET} left lima"
    local, remote = (
        pipeline("token-classification", name, aggregation_strategy="first")(text)
        for name in (str(tmp_path / "run"), "mara/tagger")
    )
    assert [entity["entity_group"] for entity in remote] == ["PER", "LOC"]
    assert remote == local


def test_a_masked_model_reads_back_from_the_hub_as_it_was(hub, lane, point_to, mlm_flags, tmp_path):
    point_to(hub.url, xet=lane == "xet")
    run_mlm.main(mlm_flags())
    commits = hub.commits("mara/filler")
    assert [message for message, _ in commits] == [
        *("Training in progress, step 2", "Training in progress, step 4", "End of training")
    ]
    assert {"model.safetensors", "README.md", "run.yaml", "metrics.json"} <= commits[-1][1].keys()
    text = "port [MASK] of"
    local, remote = (pipeline("fill-mask", name)(text) for name in (str(tmp_path / "run"), "mara/filler"))
    assert remote == local


def test_each_commit_holds_one_whole_checkpoint(hub, ner_flags, tmp_path):
    run_ner.main(ner_flags(max_steps=6, save_total_limit=1))
    commits = hub.commits("mara/tagger")
    assert [message for message, _ in commits] == [
        *(f"Training in progress, step {step}" for step in (2, 4, 6)),
        "End of training",
    ]
    weights = [files["model.safetensors"].oid for _, files in commits]
    assert len(set(weights)) == 3  # 2, 4, and 6 which is the end
    assert weights[-1] == hashlib.sha256((tmp_path / "run" / "model.safetensors").read_bytes()).hexdigest()
    steps = [re.findall(r"^\| (\d+) \|", files["README.md"].content.decode(), re.M) for _, files in commits]
    assert [column[-1] for column in steps] == ["2", "4", "6", "6"]  # the card's learning curve ends where weights do
    assert "None: this is an intermediate checkpoint" in commits[0][1]["README.md"].content.decode()
    assert not (tmp_path / "run" / ".push").exists()


def test_a_strategy_with_checkpoints_pushes_what_resumes(hub, ner_flags):
    run_ner.main(ner_flags(hub_strategy="checkpoint"))
    files = hub.commits("mara/tagger")[0][1]
    assert {"last-checkpoint/optimizer.pt", "last-checkpoint/trainer_state.json", "model.safetensors"} <= files.keys()


@pytest.mark.parametrize(
    ("strategy", "place"),
    [("every_save", None), ("checkpoint", "last-checkpoint"), ("all_checkpoints", "checkpoint-2")],
)
def test_a_saved_checkpoint_and_the_finished_run_are_pushed(hub, saved, pushable, capsys, caplog, strategy, place):
    pusher = RunPusher(RunArguments(output_dir=str(saved.parent), hub_model_id="mara/tagger", hub_strategy=strategy))
    pusher.on_save(None, SimpleNamespace(global_step=2), None)
    pusher.running.result()
    [(message, files)] = hub.commits("mara/tagger")
    assert message == "Training in progress, step 2"
    assert {"model.safetensors", "config.json", "README.md", ".gitignore"} <= files.keys()
    assert "optimizer.pt" not in files
    assert '"mara/tagger"' in files["README.md"].content.decode()  # in the code that loads the model
    held = {*os.listdir(saved), "README.md", ".gitignore"} if place else set()
    assert {path for path in files if "/" in path} == {f"{place}/{name}" for name in held}
    assert os.listdir(saved.parent / ".push") == []
    shutil.copytree(pushable, saved.parent, dirs_exist_ok=True)
    (saved.parent / "report.txt").write_text("good")
    pusher.finish()
    assert [message for message, _ in hub.commits("mara/tagger")][1:] == ["End of training"]
    assert capsys.readouterr().out.startswith(f"pushed to {hub.url}/mara/tagger/commit/")
    assert not (saved.parent / ".push").exists()
    assert not warnings_of(caplog)


def test_a_checkpoint_that_is_refused_is_told_and_not_held_any_longer(hub, saved, caplog):
    pusher = RunPusher(RunArguments(output_dir=str(saved.parent), hub_model_id="mara/tagger"))
    hub.fail("commit/main", status=403)
    pusher.on_save(None, SimpleNamespace(global_step=2), None)
    pusher.running.result()
    [warning] = warnings_of(caplog)
    assert warning.startswith("step 2 is not pushed, training continues: push to mara/tagger failed: 403")
    assert os.listdir(saved.parent / ".push") == []
    assert saved.exists()


def test_checkpoints_wait_for_each_other_if_all_are_to_be_pushed(hub, saved, monkeypatch):
    later = shutil.copytree(saved, saved.with_name("checkpoint-4"))
    (later / "report.txt").write_text("better")
    push, under_way = pushes.Repository.push, []

    def push_alone(*arguments):
        assert not under_way
        under_way.append(arguments)
        time.sleep(0.1)
        url = push(*arguments)
        under_way.pop()
        return url

    monkeypatch.setattr(pushes.Repository, "push", push_alone)
    pusher = RunPusher(RunArguments(output_dir=str(saved.parent), hub_model_id="mara/tagger", hub_always_push=True))
    for step in (2, 4):
        pusher.on_save(None, SimpleNamespace(global_step=step), None)
    pusher.worker.shutdown()
    assert [message[-6:] for message, _ in hub.commits("mara/tagger")] == ["step 2", "step 4"]


def test_a_second_push_without_changes_makes_no_commit(hub, lane, point_to, ner_flags, tmp_path, monkeypatch):
    point_to(hub.url, xet=lane == "xet")
    run_ner.main(ner_flags(hub_strategy="end"))
    push_again(monkeypatch, tmp_path / "run", "mara/tagger")
    assert len(hub.commits("mara/tagger")) == 1
    (tmp_path / "run" / "report.txt").write_text("changed")
    push_again(monkeypatch, tmp_path / "run", "mara/tagger")
    assert len(hub.commits("mara/tagger")) == 2


def test_a_checkpoint_is_pushed_later_without_training(hub, ner_flags, tmp_path, monkeypatch):
    run_ner.main(ner_flags(push_to_hub=False))
    assert not hub.requests
    before = (tmp_path / "run" / "checkpoint-2").stat().st_mtime_ns
    push_again(monkeypatch, tmp_path / "run" / "checkpoint-2", "mara/early", "--hub_private_repo", "false")
    assert (tmp_path / "run" / "checkpoint-2").stat().st_mtime_ns == before  # it is as old as it was
    assert not hub.repositories["models", "mara/early"].private
    assert "None: this is an intermediate checkpoint" in hub.read("mara/early", "README.md").decode()
    assert hub.read("mara/early", "run.yaml") == (tmp_path / "run" / "run.yaml").read_bytes()
    assert AutoModelForTokenClassification.from_pretrained("mara/early").config.id2label[0] == "O"


def test_a_new_repository_is_private_unless_asked_otherwise(hub, pushable):
    for flags, private in (([], True), (["--hub_private_repo", "false"], False)):
        pushes.main([str(pushable), f"mara/later-{private}", *flags])
        assert hub.repositories["models", f"mara/later-{private}"].private == private


@pytest.mark.parametrize("name", ["vocab.txt", "report.txt", "runs", "run.yaml"])
def test_links_are_refused_by_name_and_nothing_is_pushed(hub, pushable, tmp_path, name):
    secret = tmp_path / "elsewhere"
    secret.mkdir()
    (secret / "events.out.tfevents.1").write_text("secret")
    (pushable / name).symlink_to(secret if name == "runs" else secret / "events.out.tfevents.1")
    with pytest.raises(RecipeError, match=f"{name}: is a link, and only files of the folder itself are pushed"):
        pushes.main([str(pushable), "mara/tagger"])
    assert not hub.requests


def test_a_link_to_a_checkpoint_is_refused(hub, pushable, tmp_path):
    """A folder above the run's can be a link: it is the user's own path to it."""
    run = Path(shutil.copytree(pushable, tmp_path / "run"))
    (run / "run.yaml").touch()
    (run / "checkpoint-2").symlink_to(pushable)
    with pytest.raises(RecipeError, match=f"^{run}/checkpoint-2: is a link"):
        pushes.list_files(run / "checkpoint-2")
    (run / "checkpoint-2").unlink()
    shutil.copytree(pushable, run / "checkpoint-2")
    assert pushes.list_files(run / "checkpoint-2")["run.yaml"] == run / "run.yaml"
    (tmp_path / "link").symlink_to(run)
    assert pushes.list_files(tmp_path / "link").keys() == pushes.list_files(run).keys() >= {"run.yaml", "config.json"}


def test_a_folder_without_weights_is_not_pushed(hub, pushable):
    (pushable / "model.safetensors").rename(pushable / "pytorch_model.bin")
    with pytest.raises(RecipeError, match=f"{pushable}: no weights"):
        pushes.main([str(pushable), "mara/tagger"])
    with pytest.raises(RecipeError, match="no-such-folder: no such folder"):
        pushes.main(["no-such-folder", "mara/tagger"])
    assert not hub.requests


def test_the_text_of_the_data_is_never_pushed(hub, ner_flags, tmp_path):
    run_ner.main(ner_flags(hub_strategy="all_checkpoints"))
    assert SECRET in (tmp_path / "run" / "predictions" / "test.conll").read_text()
    HfApi().upload_folder(repo_id="mara/tagger", folder_path=tmp_path / "run")  # by other means, too: .gitignore
    assert "trainer_state.json" in hub.commits("mara/tagger")[-1][1]
    page = hub.read("mara/tagger", "report.html").decode()
    assert 'id="errors"' in page
    assert not [word for word in ("Mira", SECRET, "Lima", "Norvik") if word in page]
    for _, files in hub.commits("mara/tagger"):
        assert not [path for path in files if "predictions" in path]
        assert not [path for path, file in files.items() if SECRET.encode() in hub.content(file)]


def test_the_text_of_masked_pretraining_is_never_pushed(hub, mlm_flags, tmp_path):
    run_mlm.main(mlm_flags())
    pieces = re.compile("z ##q|##q ##x|##x ##v|##v ##k")  # this tokenizer has a token for each letter
    assert pieces.search((tmp_path / "run" / "predictions" / "dev.filled.jsonl").read_text())
    assert pieces.search((tmp_path / "run" / "report.html").read_text())
    page = hub.read("mara/filler", "report.html").decode()
    assert 'id="tokens"' in page
    assert not pieces.search(page)
    for _, files in hub.commits("mara/filler"):
        assert not [path for path in files if "predictions" in path]
        assert not [path for path, file in files.items() if SECRET.encode() in hub.content(file)]


def test_the_page_is_pushed_with_its_text_only_if_you_ask_for_it(hub, pushable):
    with pytest.raises(RecipeError, match=r"report.html: no such file: make it with python -m recipe report"):
        pushes.main([str(pushable), "mara/tagger", "--with_text"])
    scores = {"loss": 2.0, "perplexity": 7.4, "masked_accuracy": 0.5, "masked_tokens": 80}
    (pushable / "metrics.json").write_text(json.dumps({"dev": scores}))
    (pushable / "report.html").write_text(f"<p>{SECRET}</p>")
    (pushable / ".gitignore").write_text("predictions/\nreport.html\ntrain.log\n")
    pushes.main([str(pushable), "mara/tagger"])
    page = hub.read("mara/tagger", "report.html").decode()
    assert "7.40" in page
    assert SECRET not in page
    pushes.main([str(pushable), "mara/tagger", "--with_text"])
    assert SECRET in hub.read("mara/tagger", "report.html").decode()
    assert hub.read("mara/tagger", ".gitignore") == b"predictions/\ntrain.log\n"
    assert "report.html" in (pushable / ".gitignore").read_text()


def test_a_page_that_cannot_be_made_without_text_stays_here_and_the_model_is_pushed(hub, pushable, caplog):
    (pushable / "report.html").write_text(f"<p>{SECRET}</p>")  # beside it are no figures to make another one of
    pushes.main([str(pushable), "mara/tagger"])
    files = hub.commits("mara/tagger")[-1][1]
    assert "model.safetensors" in files
    assert "report.html" not in files
    assert "report.html is not pushed: " in warnings_of(caplog)[0]


def make_export(run, name="onnx-int8", **changes):
    """A folder like that of an export, with its record."""
    folder = fill(
        run / "export" / name, **dict.fromkeys(["config.json", "model.onnx", "notes.txt", "inputs.npz"], "{}")
    )
    scores = {"accuracy": 0.5, "sentences_per_second": 10.0, "size": 2.0}
    export = {"name": name, "passes": True, "reasons": [], "figures": scores, "different_tokens": 1, "masked_tokens": 9}
    record = {"export": export, "model": scores, "file": "dev.txt", "hardware": "a CPU"}
    record["files"], record["sha256"] = sync_files(folder)
    (folder / "measured.json").write_text(json.dumps(record | changes))
    return folder


def list_pushed_exports(hub):
    return [path for path in hub.commits("mara/tagger")[-1][1] if path.startswith("export/")]


def test_exports_are_pushed_with_their_run(hub, pushable):
    for name in ("onnx-int8", "saving-x", "mine"):
        make_export(pushable, name)
    pushes.main([str(pushable), "mara/tagger"])
    made = ["config.json", "measured.json", "model.onnx"]
    assert sorted(list_pushed_exports(hub)) == [f"export/onnx-int8/{name}" for name in made]
    assert "| onnx-int8 |" in hub.read("mara/tagger", "README.md").decode()


@pytest.mark.parametrize(
    ("name", "content", "damage"),
    [
        *(
            ("measured.json", odd, "measured.json is damaged")
            for odd in ("{", "[]", "null", "[" * 100_000, '{"export": 5}')
        ),
        ("measured.json", None, "measured.json is missing"),
        ("model.onnx", None, "model.onnx is missing"),
        ("model.onnx", "[]", "model.onnx has changed since it was saved"),
    ],
)
def test_a_damaged_export_stops_neither_the_card_nor_the_push(hub, pushable, caplog, name, content, damage):
    make_export(pushable, "onnx-fp32")
    path = make_export(pushable) / name
    path.unlink()
    if content is not None:
        path.write_text(content)
    pushes.main([str(pushable), "mara/tagger"])
    assert {path.split("/")[1] for path in list_pushed_exports(hub)} == {"onnx-fp32"}
    card = hub.read("mara/tagger", "README.md").decode()
    assert "| onnx-fp32 |" in card
    assert "onnx-int8" not in card
    assert warnings_of(caplog) == [f"export/onnx-int8 is not pushed: {path.parent}: {damage}: export the model again"]


def test_the_card_says_what_each_export_was_compared_on(hub, pushable):
    make_export(pushable, "onnx-fp32")
    make_export(pushable, "onnx-int8", file="other.txt")
    make_export(pushable, "openvino-int8")
    pushes.main([str(pushable), "mara/tagger"])
    card = hub.read("mara/tagger", "README.md").decode()
    of_dev, of_other = card.split("Compared with the model itself")[1:]
    assert ["on `dev.txt`" in of_dev, "| onnx-fp32 |" in of_dev, "| openvino-int8 |" in of_dev] == [True] * 3
    assert ["on `other.txt`" in of_other, "| onnx-int8 |" in of_other] == [True] * 2
    assert "onnx-int8" not in of_dev.replace("openvino", "")


def test_exports_of_earlier_weights_leave_the_hub_with_the_next_push(hub, pushable):
    make_export(pushable)
    pushes.main([str(pushable), "mara/tagger"])
    HfApi().upload_file(path_or_fileobj=b"mine", path_in_repo="export/mine/notes.txt", repo_id="mara/tagger")
    shutil.rmtree(pushable / "export")  # as training again does
    (pushable / "report.txt").write_text("new")
    pushes.main([str(pushable), "mara/tagger"])
    assert list_pushed_exports(hub) == ["export/mine/notes.txt"]
    assert hub.read("mara/tagger", "report.txt") == b"new"


def test_an_export_reads_back_from_the_hub_as_it_was(hub, lane, point_to, ner_flags, measured_here, tmp_path):
    pytest.importorskip("onnxscript", reason="needs the extra export: pip install -e '.[export]'")
    point_to(hub.url, xet=lane == "xet")
    folder, text = tmp_path / "run", "Mira left Lima."
    run_ner.main(ner_flags(max_steps=20, push_to_hub=False))
    recipe_main(["export", str(folder), "--backend", "onnx", "--precision", "fp32", "--force"])
    pushes.main([str(folder), "mara/tagger"])
    assert 'export="onnx-fp32"' in hub.read("mara/tagger", "README.md").decode()
    tagger = Tagger.load("mara/tagger", export="onnx-fp32")
    assert tagger(text) == Tagger.load(folder / "export" / "onnx-fp32")(text)
    assert not list((tmp_path / "cache").rglob("model.safetensors"))  # the model itself is not downloaded
    with pytest.raises(RecipeError, match="mara/tagger: has no export/onnx-int8: make it with python -m recipe export"):
        Tagger.load("mara/tagger", export="onnx-int8")
    with pytest.raises(RecipeError, match="mara/none: "):
        Tagger.load("mara/none", export="onnx-fp32")


def test_a_page_that_is_a_link_is_not_pushed(hub, pushable, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    (pushable / "report.html").symlink_to(tmp_path / "secret")
    with pytest.raises(RecipeError, match=r"report.html: is a link"):
        pushes.main([str(pushable), "mara/tagger", "--with_text"])


def test_tensorboard_logs_are_pushed_where_there_are_any(hub, pushable):
    log = pushable / "runs" / "Nov24" / "events.out.tfevents.1"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"log")
    pushes.main([str(pushable), "mara/tagger"])
    assert "runs/Nov24/events.out.tfevents.1" in hub.commits("mara/tagger")[0][1]


def test_a_name_without_an_owner_is_the_user_s(hub):
    assert open_repository("tagger").name == "mara/tagger"
    assert hub.repositories["models", "mara/tagger"].private


def test_a_run_is_pushed_under_the_name_of_its_folder(hub, tmp_path):
    arguments = RunArguments(output_dir=str(tmp_path / "filler"), push_to_hub=True)
    pusher = RunPusher(arguments)
    assert (pusher.repository.name, arguments.push_to_hub) == ("mara/filler", False)
    assert hub.repositories["models", "mara/filler"].private


def test_only_the_first_process_pushes(hub, tmp_path, capsys):
    arguments = RunArguments(output_dir=str(tmp_path))
    pusher = RunPusher(SimpleNamespace(**vars(arguments) | {"process_index": 1}))
    (tmp_path / "checkpoint-4").mkdir()
    pusher.on_save(None, SimpleNamespace(global_step=4), None)
    pusher.finish()
    assert not hub.requests
    assert not capsys.readouterr().out


def test_a_strategy_of_the_end_pushes_no_checkpoint(hub, saved, pushable, point_to):
    point_to(hub.url, None)  # the token and the branch are those of the settings
    arguments = RunArguments(output_dir=str(saved.parent), hub_strategy="end", hub_revision="trial")
    pusher = RunPusher(arguments, WRITER)
    pusher.on_save(None, SimpleNamespace(global_step=2), None)
    assert not (saved.parent / ".push").exists()
    shutil.copytree(pushable, saved.parent, dirs_exist_ok=True)
    pusher.finish()
    assert [message for message, _ in hub.commits("mara/run", "trial")] == ["End of training"]


def test_a_step_without_a_checkpoint_is_not_pushed(hub, tmp_path, caplog):
    """As when the save of a process failed."""
    pusher = RunPusher(RunArguments(output_dir=str(tmp_path)))
    before = pusher.running
    pusher.on_save(None, SimpleNamespace(global_step=4), None)
    assert pusher.running is before
    assert not warnings_of(caplog)


@pytest.mark.parametrize(("revision", "made"), [(None, 0), ("main", 0), ("refs/pr/1", 0), ("trial", 1)])
def test_a_branch_is_made_only_where_there_can_be_one(hub, revision, made):
    for _ in range(2):  # the second time, it is there
        assert open_repository("mara/tagger", revision=revision).revision == revision
    assert sum("/branch/" in request for request in hub.requests) == 2 * made


def test_a_repository_of_others_is_refused_though_it_can_be_read(hub, point_to):
    hub.publish("models", "mara/tagger", {".gitattributes": b""})
    point_to(hub.url, STRANGER)
    with pytest.raises(RecipeError, match="push to mara/tagger: 403, the token has no permission"):
        open_repository("mara/tagger")


@pytest.mark.parametrize("user", [{}, {"auth": {}}, {"auth": {"accessToken": {"displayName": "a"}}}])
def test_a_token_without_a_role_is_tried(hub, monkeypatch, user):
    monkeypatch.setattr(HfApi, "whoami", lambda self: user | {"name": "mara"})
    assert open_repository("mara/tagger").name == "mara/tagger"


def test_a_hub_without_the_check_of_permission_will_do(hub):
    hub.fail("auth-check", status=404)
    assert open_repository("mara/tagger").name == "mara/tagger"


def test_a_push_by_hand_goes_to_its_branch(hub, pushable, capsys, monkeypatch):
    monkeypatch.setenv("HF_XET_CLIENT_READ_TIMEOUT", "")  # so that it is put back
    monkeypatch.delenv("HF_XET_CLIENT_READ_TIMEOUT")
    os.utime(pushable, (1e9, 1e9))
    pushes.main([str(pushable), "mara/tagger", "--hub_revision", "trial"])
    [(message, files)] = hub.commits("mara/tagger", "trial")
    assert message == "Push pushable"
    assert '"mara/tagger"' in files["README.md"].content.decode()
    assert not hub.commits("mara/tagger")
    assert pushable.stat().st_mtime == 1e9  # the card was written, and the folder is as old as it was
    assert os.environ["HF_XET_CLIENT_READ_TIMEOUT"] == "1s"
    assert capsys.readouterr().out.startswith(f"pushed to {hub.url}/mara/tagger/commit/")


def test_a_branch_is_made_for_its_push(hub, ner_flags):
    run_ner.main(ner_flags(hub_strategy="end", hub_revision="trial"))
    assert len(hub.commits("mara/tagger", "trial")) == 1
    assert not hub.commits("mara/tagger")


def test_a_run_without_training_pushes_its_model_too(hub, ner_flags, tmp_path):
    run_ner.main(ner_flags(push_to_hub=False))
    again = {"model_name_or_path": tmp_path / "run", "output_dir": tmp_path / "again", "do_train": False}
    run_ner.main(ner_flags(**again))
    assert {"model.safetensors", "report.json"} <= hub.commits("mara/tagger")[-1][1].keys()


# The card, as it stands on the Hub


def test_the_card_of_a_tagger_gives_its_figures_and_a_snippet_that_works(hub, ner_flags, tmp_path):
    run_ner.main(ner_flags(hub_language="en", hub_license="mit", max_steps=20, save_steps=100, learning_rate=2e-2))
    text = hub.read("mara/tagger", "README.md").decode()
    card = ModelCard(text)
    assert (card.data.language, card.data.license, card.data.pipeline_tag) == ("en", "mit", "token-classification")
    assert card.data.library_name == "transformers"
    assert card.data.get("datasets") is None
    assert card.data.get("base_model") is None
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    given = {(result.dataset_split, result.metric_type): result.metric_value for result in card.data.eval_results}
    for split, name in (("dev", "validation"), ("test", "test")):
        for metric in ("precision", "recall", "f1"):
            assert given[name, metric] == report[split]["entities"]["micro avg"][metric]
    for heading in ("Results", "Use", "Training", "Learning curve", "Intended use and limits"):
        assert f"\n## {heading}\n" in text
    own = run_snippet(text.replace("Put your text here.", f"Mira {SECRET} left Oslo ."))
    assert [line.split()[0] for line in own.splitlines()][:2] == ["PER", "LOC"]  # by the Tagger; then by a pipeline


def test_the_card_of_a_masked_model_gives_its_figures_and_a_snippet_that_works(hub, mlm_flags, tmp_path):
    run_mlm.main(mlm_flags(mlm_probability=0.2))
    text = hub.read("mara/filler", "README.md").decode()
    card = ModelCard(text)
    assert card.data.pipeline_tag == "fill-mask"
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())["dev"]
    given = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert given == {
        "loss": metrics["loss"],
        "perplexity": metrics["perplexity"],
        "accuracy": metrics["masked_accuracy"],
    }
    assert "20% of the tokens" in text
    assert len(run_snippet(text).splitlines()) == 5


# Before training: seconds, one line, nothing loaded yet


@pytest.mark.parametrize(
    ("fault", "token", "message"),
    [
        ({}, None, "no token: log in with `hf auth login`, or set HF_TOKEN"),
        ({}, "hf_unknown", "401, the token is not valid"),
        ({}, READER, "the token is read-only"),
        ({}, STRANGER, "403, the token has no permission"),
        ({"pattern": "create", "status": 403}, WRITER, "403, the token has no permission"),
        ({"pattern": "auth-check", "status": 403}, WRITER, "403, the token has no permission"),
        ({"pattern": "whoami", "status": 429}, WRITER, "429, too many requests"),
        ({"pattern": "create", "status": 500}, WRITER, "500, Internal Server Error"),
        ({"pattern": "whoami", "kind": "reset"}, WRITER, "no connection"),
        ({"pattern": "create", "kind": "hang"}, WRITER, "the Hub did not answer in time"),
        ({"pattern": ".*", "kind": "hang"}, WRITER, "the Hub did not answer in time"),
    ],
)
def test_a_push_that_cannot_be_is_refused_before_anything_loads(hub, point_to, ner_flags, fault, token, message):
    point_to(hub.url, token)
    if fault:
        hub.fail(**fault)
    started = time.monotonic()
    with pytest.raises(RecipeError, match=re.escape(message)) as caught:
        run_ner.main(ner_flags(model_name_or_path="no/such-model", data_dir="no-such-folder"))
    assert time.monotonic() - started < 5
    assert caught.value.status == 2
    assert "\n" not in str(caught.value)
    assert not token or token not in str(caught.value)


def test_a_hub_that_is_not_there_is_told_before_anything_loads(point_to, ner_flags):
    point_to(NEVER)
    with pytest.raises(RecipeError, match=r"push to mara/tagger: no connection: .*refused"):
        run_ner.main(ner_flags(data_dir="no-such-folder"))


def test_a_folder_is_no_repository(tmp_path):
    with pytest.raises(RecipeError, match=f"push to {tmp_path}: is not the name of a repository on the Hub"):
        open_repository(str(tmp_path))


@pytest.mark.parametrize("token", [WRITER, None])
def test_offline_mode_forbids_a_push_before_anything_loads(hub, ner_flags, monkeypatch, token):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(RecipeError, match="HF_HUB_OFFLINE=1 is set"):
        run_ner.main(ner_flags(data_dir="no-such-folder"))


def test_a_repository_that_exists_already_will_do(hub, ner_flags):
    hub.publish("models", "mara/tagger", {".gitattributes": b""})
    run_ner.main(ner_flags(hub_strategy="end"))
    assert len(hub.commits("mara/tagger")) == 1
    assert not hub.repositories["models", "mara/tagger"].private  # it stays what it was


# While training: told at once, and training goes on


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"pattern": "preupload", "status": 403}, "403"),
        ({"pattern": "preupload", "status": 500, "times": 6}, "500"),
        ({"pattern": "PUT /lfs", "status": 500, "times": 6}, "model.safetensors.* 500"),
        ({"pattern": "commit/main", "status": 500, "times": 3}, "500"),
        ({"pattern": "preupload", "kind": "reset", "times": 6}, "no connection"),
        ({"pattern": "commit/main", "kind": "reset", "times": 3}, "no connection"),
        ({"pattern": "validate-yaml", "kind": "hang"}, "the Hub did not answer in time"),
    ],
)
def test_a_push_that_fails_while_training_is_told_and_made_up_for(hub, ner_flags, caplog, fault, reason, tmp_path):
    hub.fail(**{"times": 1} | fault)
    run_ner.main(ner_flags())
    assert re.search(f"step 2 is not pushed, training continues: .*{reason}", "\n".join(warnings_of(caplog)))
    assert [message for message, _ in hub.commits("mara/tagger")] == ["Training in progress, step 4", "End of training"]
    assert hub.read("mara/tagger", "report.json") == (tmp_path / "run" / "report.json").read_bytes()


@pytest.mark.parametrize(
    "fault",
    [
        {"pattern": "PUT /lfs", "status": 500, "times": 2},
        {"pattern": "PUT /lfs", "kind": "reset", "times": 1},
        {"pattern": "preupload", "status": 429, "times": 1, "Retry_After": "1"},
        {"pattern": "commit/main", "status": 500, "times": 2},
        {"pattern": "commit/main", "status": 409, "times": 1},
        {"pattern": "commit/main", "kind": "hang", "times": 1},
    ],
)
def test_a_fault_that_passes_costs_nothing(hub, pushable, fault):
    hub.fail(**fault)
    push_folder(open_repository("mara/tagger"), pushable, "Push")
    assert [message for message, _ in hub.commits("mara/tagger")] == ["Push"]
    assert hub.faults[0].times == 0


def test_a_save_while_a_push_is_under_way_is_told_to_be_left_out(hub, tmp_path, caplog):
    pusher = RunPusher(RunArguments(output_dir=str(tmp_path), hub_model_id="mara/tagger"))
    (tmp_path / "checkpoint-4").mkdir()
    pusher.running = under_way = Future()
    pusher.on_save(None, SimpleNamespace(global_step=4), None)
    assert warnings_of(caplog) == ["step 4 is not pushed: the previous push is still running"]
    assert pusher.running is under_way


def test_a_checkpoint_that_cannot_be_held_is_told(hub, tmp_path, caplog, monkeypatch):
    def fill_disk(*_):
        raise OSError("No space left on device")

    pusher = RunPusher(RunArguments(output_dir=str(tmp_path), hub_model_id="mara/tagger"))
    (tmp_path / "checkpoint-4").mkdir()
    monkeypatch.setattr(pushes, "snapshot", fill_disk)
    pusher.on_save(None, SimpleNamespace(global_step=4), None)
    assert warnings_of(caplog) == ["step 4 is not pushed, training continues: No space left on device"]


def test_a_checkpoint_without_hard_links_is_held_as_a_copy(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("Operation not permitted")

    (tmp_path / "checkpoint-4").mkdir()
    (tmp_path / "checkpoint-4" / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(pushes.os, "link", refuse)
    held = snapshot(tmp_path / "checkpoint-4")
    shutil.rmtree(tmp_path / "checkpoint-4")
    assert (held / "model.safetensors").read_bytes() == b"weights"


def test_a_checkpoint_is_held_by_links_with_the_record_of_its_run(tmp_path):
    weights = tmp_path / "checkpoint-4" / "model.safetensors"
    left = tmp_path / ".push" / "checkpoint-4" / "left-by-a-killed-run"
    for path in (weights, left, tmp_path / "run.yaml", tmp_path / ".gitignore"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    held = snapshot(tmp_path / "checkpoint-4")
    assert held == left.parent
    assert {path.name: path.read_text() for path in held.iterdir()} == {
        name: name for name in (".gitignore", "model.safetensors", "run.yaml")
    }
    assert (held / "model.safetensors").samefile(weights)
    assert not (held / "run.yaml").samefile(tmp_path / "run.yaml")


# At the end: all on disk, a status of its own, and a command that pushes later


@pytest.mark.parametrize(
    "fault",
    [
        {"pattern": "preupload", "status": 401},
        {"pattern": "preupload", "status": 403},
        {"pattern": "preupload", "status": 404},
        {"pattern": "commit/main", "status": 500},
        {"pattern": "commit/main", "kind": "reset"},
        {"pattern": "validate-yaml", "kind": "hang"},
    ],
)
def test_a_failed_push_names_the_command_that_makes_up_for_it(hub, pushable, monkeypatch, fault):
    repository = open_repository("mara/tagger")
    hub.fail(**fault)
    with pytest.raises(PushError, match="push to mara/tagger failed: ") as caught:
        push_folder(repository, pushable, "Push")
    assert caught.value.status == 3
    assert "\n" not in str(caught.value)
    hub.heal()
    command = shlex.split(re.search("`(make push .*)`", str(caught.value))[1])
    words = dict(word.split("=") for word in command[2:])
    for _ in range(2):
        push_again(monkeypatch, words["CKPT"], words["REPO"])
    assert [message for message, _ in hub.commits("mara/tagger")] == ["Push pushable"]


def test_the_command_that_makes_up_for_a_push_names_its_branch(hub, pushable):
    repository = open_repository("mara/tagger", revision="trial")
    hub.fail("commit/trial", status=500)
    with pytest.raises(PushError, match=r'REPO=mara/tagger ARGS="--hub_revision trial"`$'):
        push_folder(repository, pushable, "Push")


def test_a_commit_is_tried_three_times(hub, pushable, monkeypatch, caplog):
    slept = []
    monkeypatch.setattr(pushes, "PAUSES", (1, 5))
    monkeypatch.setattr(pushes.time, "sleep", slept.append)
    repository = open_repository("mara/tagger")
    hub.fail("commit/main", status=503)
    with pytest.raises(PushError, match="503"):
        push_folder(repository, pushable, "Push")
    assert sum("/commit/main" in request for request in hub.requests) == 3
    assert [seconds for seconds in slept if seconds in (1, 5)] == [1, 5]
    assert len(warnings_of(caplog)) == 2


def test_what_the_client_tries_again_is_not_tried_again_here(hub, pushable, caplog):
    repository = open_repository("mara/tagger")
    for fault in ({"status": 503}, {"kind": "reset"}):
        hub.heal()
        hub.fail("preupload", **fault)
        with pytest.raises(PushError, match="push to mara/tagger failed"):
            push_folder(repository, pushable, "Push")
    assert not warnings_of(caplog)


def test_a_failed_last_push_leaves_all_on_disk(hub, ner_flags, tmp_path):
    hub.fail("preupload", status=403)
    with pytest.raises(PushError, match=r"403, .* is complete: push it later with `make push CKPT="):
        run_ner.main(ner_flags(hub_strategy="end"))
    kept = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"model.safetensors", "report.json", "predictions", "run.yaml", "README.md"} <= kept


@pytest.mark.parametrize("fault", [{"status": 403}, {"status": 500}, {"kind": "reset"}, {"kind": "hang"}])
def test_xet_failures_are_told_like_others(hub, point_to, pushable, monkeypatch, fault):
    monkeypatch.setenv("HF_XET_CLIENT_RETRY_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("HF_XET_CLIENT_RETRY_BASE_DELAY", "10ms")
    abort_xet_session()  # a new one reads these
    point_to(hub.url, xet=True)
    repository = open_repository("mara/tagger")
    hub.fail("xet-write-token", **fault)
    started = time.monotonic()
    with pytest.raises(PushError, match=r"push to mara/tagger failed: .*xet-write-token"):
        push_folder(repository, pushable, "Push")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("declared", [{"hub_license": "Apache 2.0"}, {"hub_language": "English"}])
def test_a_licence_or_language_that_the_hub_does_not_know_is_refused_before_training(
    hub, ner_flags, tmp_path, declared
):
    [(key, value)] = declared.items()
    reason = f"Invalid metadata in README.md. - {key.removeprefix('hub_')}: {value}"
    with pytest.raises(RecipeError, match=f"push to mara/tagger: {reason}"):
        run_ner.main(ner_flags(**declared))
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_token_that_no_header_can_hold_is_not_repeated(hub, point_to, ner_flags):
    point_to(hub.url, None)
    with pytest.raises(RecipeError, match="push to mara/tagger") as caught:
        run_ner.main(ner_flags(hub_token="hf_broken\ntoken"))
    assert "Bearer ***'" in str(caught.value)
    assert "token" not in str(caught.value).replace("push to mara/tagger", "")


def test_a_script_ends_with_status_3_and_nowhere_shows_the_token(hub, ner_flags, tmp_path):
    hub.fail("preupload", status=403)
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    environment |= {"OMP_NUM_THREADS": "1"}
    environment.pop("HF_TOKEN", None)
    command = [sys.executable, str(ROOT / "run_ner.py"), *ner_flags(hub_token=WRITER)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 3
    assert run.stderr.splitlines()[-1].startswith("error: push to mara/tagger failed: 403")
    assert "Traceback" not in run.stderr
    assert "step 2 is not pushed, training continues" in run.stderr
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {"training_args.bin", "run.yaml", "README.md"} <= {path.name for path in files}
    assert WRITER not in run.stdout + run.stderr
    assert not [path for path in files if WRITER.encode() in path.read_bytes()]
    assert "--hub_token=***" in (tmp_path / "run" / "run.yaml").read_text()


# Reading


def test_a_truncated_download_is_taken_up_again(hub, ner_flags):
    run_ner.main(ner_flags(hub_strategy="end"))
    hub.fail("GET .*model.safetensors", kind="truncate", times=1)
    assert AutoModelForTokenClassification.from_pretrained("mara/tagger").num_labels == 9


def test_a_file_under_a_wrong_etag_is_still_the_file(hub, ner_flags):
    run_ner.main(ner_flags(hub_strategy="end"))
    hub.fail(".*config.json", kind="etag")
    assert AutoModelForTokenClassification.from_pretrained("mara/tagger").num_labels == 9


@pytest.mark.parametrize("offline", [True, False])
def test_without_network_or_cache_the_message_says_what_helps(point_to, ner_flags, monkeypatch, offline):
    point_to(NEVER)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    reason = "HF_HUB_OFFLINE=1 is set" if offline else "no connection"
    with pytest.raises(
        RecipeError,
        match=f"mara/absent: no such folder here, and from the Hub: not in the cache, .*{reason}.*, or minilm-l6",
    ):
        run_ner.main(ner_flags(model_name_or_path="mara/absent", push_to_hub=False))
    data = NerArguments(dataset_name="mara/entities")
    with pytest.raises(RecipeError, match=f"dataset_name mara/entities: not in the cache, .*{reason}.*data_dir"):
        load_splits(data)


def test_a_model_that_cannot_be_fetched_is_told_in_one_line(hub, ner_flags):
    with pytest.raises(RecipeError, match="mara/absent: ") as caught:
        run_ner.main(ner_flags(model_name_or_path="mara/absent", push_to_hub=False))
    assert "\n" not in str(caught.value)

"""What is prepared for several processes, tried in one; programs/test_several_processes.py and
programs/test_two_hosts.py start several."""

import os
from types import SimpleNamespace

import pytest
from transformers import AutoModelForTokenClassification

from conftest import make_config_of
from recipe.training.processes import choose_interface, shard_by_layer
from recipe.training.settings import TrainingArguments


@pytest.fixture
def sharded(monkeypatch):
    for name, value in {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("model_type", "layer"),
    [("bert", "BertLayer"), ("mpnet", "MPNetLayer"), ("distilbert", "TransformerBlock"), ("albert", None)],
)
def test_layers_are_the_units_of_sharding(model_type, layer):
    model = AutoModelForTokenClassification.from_config(make_config_of(model_type))
    embeddings = model.get_input_embeddings()
    plugin = SimpleNamespace(fsdp_version=2, transformer_cls_names_to_wrap=None)
    with shard_by_layer(model, plugin):
        assert plugin.transformer_cls_names_to_wrap == (layer and [layer])
        assert model.get_input_embeddings() is model.get_output_embeddings() is None
    assert model.get_input_embeddings() is embeddings


def test_units_that_were_named_stay():
    model = AutoModelForTokenClassification.from_config(make_config_of("bert"))
    plugin = SimpleNamespace(fsdp_version=2, transformer_cls_names_to_wrap=["BertAttention"])
    with shard_by_layer(model, plugin):
        assert plugin.transformer_cls_names_to_wrap == ["BertAttention"]


@pytest.mark.parametrize(
    ("settings", "variables", "message"),
    [
        ({}, {}, "do_train: FSDP is for training only"),
        (
            {"do_train": True},
            {"FSDP_CPU_RAM_EFFICIENT_LOADING": "true"},
            "in the first process only",
        ),
    ],
)
def test_what_sharding_cannot_do_is_refused(sharded, monkeypatch, tmp_path, settings, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        TrainingArguments(str(tmp_path), **settings)


def test_several_machines_use_the_network_between_them(monkeypatch):
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for local, network in [("2", None), ("1", "lo")]:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", local)
        monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
        choose_interface()
        assert os.environ.get("GLOO_SOCKET_IFNAME") == network
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "mine")
    choose_interface()
    assert os.environ["GLOO_SOCKET_IFNAME"] == "mine"
    monkeypatch.delenv("GLOO_SOCKET_IFNAME")
    monkeypatch.setenv("MASTER_ADDR", "no address")
    with pytest.raises(ValueError, match=r"main_process_ip: no address: .*: set it to the address of machine 0"):
        choose_interface()

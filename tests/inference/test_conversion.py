"""Exported graphs agree with their models, for every architecture and shape of input."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForMaskedLM, AutoModelForTokenClassification

from conftest import make_config_of
from recipe.inference.conversion import convert, take_positions
from recipe.inference.exports import Export, OpenvinoBackend, load_graph
from recipe.inference.masked_model import GraphPredictor
from recipe.inference.masked_torch import TorchPredictor
from recipe.inference.scores import Row
from recipe.inference.torch_backend import TorchBackend
from recipe.model.architectures import find_architecture
from recipe.model.objective import Pretraining, note_pretraining
from recipe.model.settings import ModelArguments

pytest.importorskip("openvino", reason="needs the extra export: pip install -e '.[export]'")

PADDING, VOCABULARY, LONGEST = 1, 96, 512
ARCHITECTURES = ("bert", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta")
SHAPES = st.lists(st.integers(1, LONGEST), min_size=1, max_size=8)


def make_model(model_type):
    options = {"global_attn_every_n_layers": 2, "local_attention": 8} if model_type == "modernbert" else {}
    options |= {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]} if model_type == "deberta-v2" else {}
    config = make_config_of(model_type, max_position_embeddings=LONGEST + 2, pad_token_id=PADDING, **options)
    config.num_labels = 5
    torch.manual_seed(0)
    attention = "eager" if model_type in ("deberta-v2", "mpnet") else "sdpa"
    return AutoModelForTokenClassification.from_config(config, attn_implementation=attention).eval()


def make_batch(lengths):
    """Rows of these numbers of tokens, with padding behind."""
    draw = np.random.default_rng(sum(lengths))
    seen = np.arange(max(lengths)) < np.array(lengths)[:, None]
    ids = np.where(seen, draw.integers(2, VOCABULARY, seen.shape), PADDING)
    return {"input_ids": ids, "attention_mask": seen.astype(np.int64)}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def backends(request, tmp_path_factory):
    """A tiny model on torch, and its exports in fp32."""
    model, folder = make_model(request.param), tmp_path_factory.mktemp(request.param)
    exports = [Export("onnx", "fp32"), Export("openvino", "fp32")]
    for export in exports:
        convert(model, export, folder / export.name)
    graphs = [load_graph(one, ModelArguments(model_name_or_path=str(folder / one.name)), threads=1) for one in exports]
    return TorchBackend(model), *graphs


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=SHAPES)
def test_a_graph_agrees_with_its_model_for_every_shape(backends, lengths):
    batch = make_batch(lengths)
    expected, *found = (next(iter(backend.run([batch]))) for backend in backends)
    seen = batch["attention_mask"].astype(bool)
    for logits in found:
        np.testing.assert_allclose(logits[seen], expected[seen], atol=1e-4)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """An export for OpenVINO, and its model."""
    model, folder = make_model("bert"), tmp_path_factory.mktemp("graph")
    convert(model, Export("openvino", "fp32"), folder)
    return folder / "model.xml", TorchBackend(model)


def test_several_streams_give_the_logits_in_order_also_after_a_caller_stopped_early(graph):
    path, model = graph
    backend = OpenvinoBackend(path, "fp32", threads=2, streams=2)
    batches = [make_batch([length, 2]) for length in (3, 30, 4, 5, 29)]
    next(backend.run(batches))
    found = list(backend.run(batches))
    for logits, expected, batch in zip(found, model.run(batches), batches, strict=True):
        seen = batch["attention_mask"].astype(bool)
        np.testing.assert_allclose(logits[seen], expected[seen], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["masked", "masked_autoregressive"])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_a_graph_of_a_masked_model_agrees_at_its_positions(model_type, objective, tmp_path):
    if objective == "masked_autoregressive" and not find_architecture(model_type).causal:
        pytest.skip(f"{model_type} is never causal")
    tagger = make_model(model_type)
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(tagger.config, attn_implementation=tagger.config._attn_implementation)
    note_pretraining(model.config, Pretraining(objective))
    rows = [Row(list(range(2, 2 + length)), [0, length - 1]) for length in (1, 7, 40)]
    exported = copy.deepcopy(model).eval()
    take_positions(exported)
    expected = TorchPredictor(model).run(rows, PADDING)
    convert(exported, Export("onnx", "fp32"), tmp_path)
    arguments = ModelArguments(model_name_or_path=str(tmp_path))
    found = GraphPredictor(load_graph(Export("onnx", "fp32"), arguments, threads=1), model.config).run(rows, PADDING)
    for place in range(6):
        np.testing.assert_allclose(found.row(place), expected.row(place), atol=1e-4)

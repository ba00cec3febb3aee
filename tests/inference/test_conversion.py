"""Exported graphs agree with their models, for every architecture and shape of input."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForTokenClassification

from conftest import make_config_of
from recipe.inference.conversion import convert
from recipe.inference.exports import Export, load_graph
from recipe.inference.torch_backend import TorchBackend
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

"""A loss, a metric and a model of one's own: the examples of docs/extending.md, run as they stand there."""

import json
import re

import pytest
import torch
from transformers import AutoModelForTokenClassification

import recipe
import run_mlm
import run_ner
from conftest import ROOT, fingerprint
from recipe.inputs.pretrained import resolve_name
from recipe.training.loss import token_mean_loss

PAGE = (ROOT / "docs" / "extending.md").read_text()


def load_example(name):
    """The names that an example of the page defines; what it does as a script is not done."""
    code = re.search(rf"<!-- example: {name} -->\n```python\n(.*?)```", PAGE, re.S)[1]
    names = {"__name__": "example"}
    exec(compile(code, name, "exec"), names)
    return names


@pytest.fixture
def flags(encoder, column_files, tmp_path):
    def make(folder, **more):
        settings = {"model_name_or_path": encoder, "data_dir": column_files, "output_dir": tmp_path / folder}
        settings |= {"max_seq_length": 48, "do_train": True, "do_eval": True, "num_train_epochs": 4}
        settings |= {"learning_rate": 5e-3, "precision": "fp32", "disable_tqdm": True} | more
        return [f"--{key}={value}" for key, value in settings.items()]

    return make


def test_the_weighted_loss_of_the_page_trains(flags):
    example = load_example("weighted loss")
    weighted = run_ner.main(flags("weighted"), loss=example["weighted_loss"])
    plain = run_ner.main(flags("plain"))
    assert fingerprint(weighted.folder) != fingerprint(plain.folder)


def test_the_weighted_loss_of_the_page_weighs_as_it_says():
    loss = load_example("weighted loss")["weighted_loss"]
    logits, labels = torch.randn(2, 5, 3), torch.tensor([[0, 1, -100, 2, 0], [-100, 0, 0, -100, 1]])
    one = token_mean_loss({"logits": logits}, torch.where(labels > 0, labels, -100), num_items_in_batch=1)
    all_labels = token_mean_loss({"logits": logits}, labels, num_items_in_batch=1)
    torch.testing.assert_close(loss({"logits": logits}, labels, num_items_in_batch=1), all_labels + one)


def test_the_metric_of_the_page_is_reported_and_can_choose_the_best_checkpoint(flags):
    metric = load_example("own metric")["exact_sentences"]
    best = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    outcome = run_ner.main(flags("run", metric_for_best_model="exact_sentences", **best), metrics=metric)
    assert outcome.scores["dev"]["metrics"].keys() == {"exact_sentences"}
    assert json.loads((outcome.folder / "report.json").read_text())["dev"] == outcome.scores["dev"]
    state = json.loads((outcome.folder / "trainer_state.json").read_text())
    assert [entry for entry in state["log_history"] if "eval_exact_sentences" in entry]
    assert state["best_metric"] == max(entry.get("eval_exact_sentences", 0) for entry in state["log_history"])
    assert "Your own metrics" in (outcome.folder / "report.txt").read_text()


def test_a_metric_of_masked_tokens_is_reported(encoder, articles_file, tmp_path):
    settings = {"model_name_or_path": encoder, "validation_file": articles_file, "block_size": 32, "do_eval": True}
    words = [f"--{key}={value}" for key, value in (settings | {"output_dir": tmp_path}).items()]
    outcome = run_mlm.main(words, metrics=lambda output: {"batches": len(output.predictions)})
    assert outcome.scores["dev"]["batches"] > 0
    assert outcome.folder == tmp_path


def test_the_model_of_the_page_is_trained_except_for_its_embeddings(flags):
    build_model = load_example("own model")["build_model"]
    outcome = run_ner.main(flags("own", max_steps=2, model_name_or_path="minilm-l6"), build_model=build_model)
    assert "running_text" not in outcome.scores["dev"]
    name = "bert.embeddings.word_embeddings.weight"
    weights = [
        AutoModelForTokenClassification.from_pretrained(folder).state_dict()
        for folder in (outcome.folder, resolve_name("minilm-l6"))
    ]
    assert torch.equal(weights[0][name], weights[1][name])
    layer = "bert.encoder.layer.5.output.dense.weight"
    assert not torch.equal(weights[0][layer], weights[1][layer])


def test_a_model_of_ones_own_is_trained(flags, encoder):
    def build_model(config):
        model = AutoModelForTokenClassification.from_pretrained(encoder, config=config)
        model.base_model.requires_grad_(False)
        return model

    outcome = run_ner.main(flags("run"), build_model=build_model)
    trained = AutoModelForTokenClassification.from_pretrained(outcome.folder).base_model.state_dict()
    before = AutoModelForTokenClassification.from_pretrained(encoder).base_model.state_dict()
    assert all(torch.equal(trained[name], before[name]) for name in before)


def test_the_names_that_the_page_uses_are_there():
    for name in re.findall(r"recipe\.(\w+)\(", PAGE):
        assert name in recipe.__all__

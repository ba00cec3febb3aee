"""The model card of runs whose folders are written by hand."""

import json
import re

import pytest
import yaml
from huggingface_hub import ModelCard

from hub_server import check_metadata
from recipe.arguments import MlmArguments, NerArguments
from recipe.errors import RecipeError
from recipe.hub.card import render_card
from recipe.hub.provenance import trace_origin
from recipe.model.settings import ModelArguments

ROW = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "support": 4}
FACTS = {
    "config": "configs/ner/x.yaml",
    "model": "bert-base-cased",
    "data": "conll2003",
    "seed": 7,
    "commit": "0123456789",
    "hardware": "a processor, 2 threads",
    "processes": 1,
    "precision": "fp32",
    "train_minutes": 1.5,
    "total_minutes": 2.5,
    "versions": {"torch": "2.13.0"},
    "command": "accelerate launch run_ner.py --config configs/ner/x.yaml",
}


def write_run(folder, settings=None, history=(), scores=None, normalizer=None, config=None, **facts):
    """A run's folder without weights. config: entries of `config.json` in place of those of a tagger."""
    tagger = {"architectures": ["BertForTokenClassification"], "model_type": "bert"}
    tagger["id2label"] = {"0": "O", "1": "B-LOC", "2": "I-LOC"}
    files = {
        "config.json": tagger | (config or {}),
        "tokenizer.json": {"normalizer": normalizer},
        "trainer_state.json": {"log_history": list(history)},
        "report.json": scores or {},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "run.yaml").write_text(yaml.safe_dump({"settings": settings or {}} | FACTS | facts))
    return folder


def test_metadata_name_hub_data_and_model_where_they_were_used(tmp_path):
    write_run(
        tmp_path,
        settings={"dataset_revision": "refs/convert/parquet"},
        scores={"test": {"entities": {"micro avg": ROW}, "tags": {"B-LOC": ROW}}, "run": {}},
        base_model="google-bert/bert-base-cased",
        dataset="eriktks/conll2003",
        datasets=["eriktks/conll2003"],
    )
    card = render_card(tmp_path, "mara/tagger")
    assert check_metadata(str(card)) == []
    data = ModelCard(str(card)).data
    assert data.base_model == "google-bert/bert-base-cased"
    assert data.datasets == ["eriktks/conll2003"]
    assert data.license is None
    assert data.language is None
    [precision, recall, f1] = data.eval_results
    assert (precision.metric_value, recall.metric_value, f1.metric_value) == (0.5, 0.25, 1 / 3)
    assert (f1.dataset_type, f1.dataset_revision, f1.dataset_split) == (
        *("eriktks/conll2003", "refs/convert/parquet"),
        "test",
    )


def test_an_earlier_stage_passes_on_where_its_weights_come_from(tmp_path):
    write_run(tmp_path, base_model="owner/encoder", datasets=["owner/text"])
    model = ModelArguments(model_name_or_path=str(tmp_path))
    origin = trace_origin(model, NerArguments(dataset_name="owner/entities"))
    assert origin == {
        "base_model": "owner/encoder",
        "dataset": "owner/entities",
        "datasets": ["owner/entities", "owner/text"],
    }


def test_settings_that_were_changed_are_listed(tmp_path):
    settings = {"max_seq_length": 512, "context": "none", "learning_rate": 3e-4, "seed": 42, "hub_token": "<HUB_TOKEN>"}
    settings |= {"pack_batches": False, "context_size": 0}
    text = str(render_card(write_run(tmp_path, settings), "mara/tagger"))
    changed = "context: none\ncontext_size: 0\nlearning_rate: 0.0003\npack_batches: false\n"
    assert f"```yaml\n{changed}```" in text
    assert FACTS["command"] in text


def test_the_learning_curve_is_thinned_out_and_keeps_its_end_and_all_evaluations(tmp_path):
    history = [{"step": step, "epoch": step / 100, "loss": 100.0 - step} for step in range(1, 101)]
    history += [{"step": step, "epoch": step / 100, "eval_loss": 1.5, "eval_f1": step / 100} for step in (50, 100)]
    text = str(render_card(write_run(tmp_path, history=history), "mara/tagger"))
    curve = text.split("## Learning curve")[1].split("##")[0].strip().splitlines()
    assert curve[0] == "| step | epoch | training loss | validation loss | dev F1 |"
    assert len(curve) <= 2 + 12 + 2
    assert curve[-1] == "| 100 | 1.00 | 0.000 | 1.500 | 1.000 |"
    assert any(line.startswith("| 50 |") and line.endswith("| 1.500 | 0.500 |") for line in curve)


@pytest.mark.parametrize(
    ("normalizer", "word"),
    [
        ({"type": "BertNormalizer", "lowercase": True}, "uncased."),
        ({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}, "uncased."),
        ({"type": "BertNormalizer", "lowercase": False}, "cased."),
        (None, "cased."),
        (
            {"type": "Sequence", "normalizers": [{"content": "[unused1]"}, {"lowercase": True}]},
            "uncased, with case markers. The tokenizer lowercases the text. It inserts `[unused1]` before",
        ),
    ],
)
def test_the_card_tells_whether_the_model_is_cased(tmp_path, normalizer, word):
    assert f"- Case: {word}" in str(render_card(write_run(tmp_path, normalizer=normalizer), "mara/tagger"))


def test_the_card_tells_what_was_trained_on_and_what_only_scored(tmp_path):
    extra = {"do_train": True, "extra_train_file": ["runs/ner/silver/predictions.conll"], "max_eval_samples": 10}
    scores = {"dev": {"entities": {"micro avg": ROW}, "tags": {"B-LOC": ROW}}}
    text = str(render_card(write_run(tmp_path, extra, scores=scores, resumed=True), "mara/tagger"))
    assert "trained on conll2003 and silver/predictions.conll." in text
    assert "Only the first 10 sentences of dev are scored." in text
    assert "2.5 in total, added up over all starts" in text
    text = str(render_card(write_run(tmp_path, {"do_train": False}, scores=scores), "mara/tagger"))
    assert "scored on conll2003." in text
    assert "Every word of each split is scored." in text
    assert "starts" not in text
    settings = {"do_train": False, "test_file": ["corpora/other/b.conll"]}
    scores = {"test": scores["dev"]}
    card = render_card(write_run(tmp_path, settings, scores=scores, data="conll2003"), "mara/tagger")
    assert "scored on other/b.conll." in str(card)
    assert card.data.eval_results[0].dataset_name == "other/b.conll"
    assert card.data.eval_results[0].dataset_type == "local"  # what stands there is taken for a data set of the Hub
    settings = {"do_train": True, "train_file": ["mine/a.conll"], "data_dir": "corpora/conll2003"}
    card = render_card(write_run(tmp_path, settings, scores=scores, data="files"), "mara/tagger")
    assert "trained on mine/a.conll." in str(card)
    assert card.data.eval_results[0].dataset_name == "conll2003"


def test_a_checkpoint_has_the_facts_of_the_run_that_it_lies_in(tmp_path):
    write_run(tmp_path, {"hub_license": "mit"}, base_model="owner/encoder", datasets=["owner/text"])
    (tmp_path / "checkpoint-9").mkdir()
    write_run(tmp_path / "checkpoint-9")
    (tmp_path / "checkpoint-9" / "run.yaml").unlink()
    data = render_card(tmp_path / "checkpoint-9", "mara/tagger").data
    assert (data.license, data.base_model, data.datasets) == ("mit", "owner/encoder", ["owner/text"])
    origin = trace_origin(ModelArguments(model_name_or_path=str(tmp_path / "checkpoint-9")), MlmArguments())
    assert (origin["base_model"], origin["datasets"]) == ("owner/encoder", ["owner/text"])


def test_what_is_not_recorded_is_not_made_up(tmp_path):
    write_run(tmp_path)
    (tmp_path / "run.yaml").unlink()
    text = str(render_card(tmp_path, "mara/tagger"))
    assert check_metadata(text) == []
    assert "## Training\n\nNot recorded." in text
    assert "None: this is an intermediate checkpoint" in text
    assert "No licence is set." in text


def test_the_note_on_the_data_stands_in_the_card(tmp_path):
    text = str(render_card(write_run(tmp_path, {"hub_data_note": "letters of 1820"}), "mara/tagger"))
    assert "Domain and year of the data: letters of 1820." in text


def test_masked_pretraining_before_is_named(tmp_path):
    def write(**pretraining):
        return str(render_card(write_run(tmp_path, config={"masked_lm": pretraining}), "mara/tagger"))

    sentence = "it was pretrained on 6,995,968 tokens of text by masked language modelling."
    assert sentence in write(objective="masked", new_head=True, trained_tokens=6995968)
    assert "it was pretrained" not in write(objective="masked", new_head=False, trained_tokens=0)
    with pytest.raises(RecipeError, match=r"config\.json: masked_lm\.trained_tokens: 'many' is not"):
        write(trained_tokens="many")


@pytest.mark.parametrize("spoilt", ["settings:\n  hub_language: no: en\n", "settings: {\n", "\x00"])
def test_a_record_spoilt_by_hand_is_named(tmp_path, spoilt):
    (write_run(tmp_path) / "run.yaml").write_text(spoilt)
    with pytest.raises(RecipeError, match=f"^{tmp_path}/run.yaml: .*: fix the file$"):
        render_card(tmp_path, "mara/tagger")


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("config.json", b"\xee", "config.json: "),
        ("config.json", b"[0]", "config.json: is not an object with keys"),
        ("run.yaml", b"P", "run.yaml: is not an object with keys"),
        ("run.yaml", b"[" * 1500, "run.yaml: "),
        ("run.yaml", b"settings: 1", "run.yaml: settings: 1 is not an object with keys: fix the file"),
        ("run.yaml", b"command: [a]", r"command: \['a'\] is not text: fix the file"),
        ("run.yaml", b"command: null", "restore it"),
        ("report.json", b'{"dev": {}}', "report.json: dev: has no 'loss': fix the file"),
        ("trainer_state.json", b'{"log_history": 7}', "trainer_state.json: log_history: 7 is not a list: fix the file"),
        ("config.json", b'{"architectures": 7}', "config.json: architectures: 7 is not a list: fix the file"),
        ("tokenizer.json", b"7", "tokenizer.json: is not an object with keys"),
    ],
)
def test_files_with_other_values_than_the_recipe_s_are_refused_in_one_line(tmp_path, name, content, place):
    write_run(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecipeError, match=place) as caught:
        render_card(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_each_split_that_was_cut_short_is_named(tmp_path):
    scores = {split: {"entities": {"micro avg": ROW}, "tags": {"B-LOC": ROW}} for split in ("dev", "test")}
    limits = {"max_eval_samples": 10, "max_predict_samples": 20}
    text = str(render_card(write_run(tmp_path, limits, scores=scores), "mara/tagger"))
    assert "Only the first 10 sentences of dev and the first 20 sentences of test are scored." in text


def find_tables(text):
    """The rows of each Markdown table, as lists of cells."""
    blocks = [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", text, re.M)]
    return [[re.split(r"(?<!\\)\|", row.strip("|")) for row in rows] for rows in blocks]


def test_no_name_of_a_label_breaks_a_table(tmp_path):
    names = ["A|B", "<b>", "<!--", "`", "two\nlines", "*x*", "back\\"]
    tags = {f"B-{name}": ROW for name in names}
    scores = {"dev": {"entities": dict.fromkeys([*names, "micro avg"], ROW), "tags": tags}}
    config = {"id2label": dict(enumerate(["O", *tags]))}
    text = str(render_card(write_run(tmp_path, scores=scores, config=config, data="x|y"), "mara/tagger"))
    by_type, by_tag, facts = find_tables(text)
    assert [len(by_type), len(by_tag), {len(row) for row in by_type + by_tag}] == [2 + 8, 2 + 7, {5}]
    assert [row[0].strip() for row in by_tag[2:]] == [
        *("B-A\\|B", "B-\\<b>", "B-\\<!--", "B-\\`", "B-two lines", "B-\\*x\\*", "B-back\\\\"),
    ]
    assert facts[2] == [" data ", " x\\|y "]
    assert {len(row) for row in facts} == {2}
    assert not re.search(r"(?<!\\)<(?:b>|!--)", text)  # in the running text, too


@pytest.mark.parametrize(("context", "constrained"), [("document", True), ("none", False)])
def test_the_limits_come_from_the_checkpoint_where_the_record_lacks_them(tmp_path, context, constrained):
    config = {"tagger": {"context": context, "constrained_decoding": constrained}}
    for settings in ({}, {"context": None, "constrained_decoding": None}):
        text = str(render_card(write_run(tmp_path, settings, config=config), "mara/tagger"))
        assert ("neighbouring sentences of the document as context" in text) == constrained
        assert ("best tag sequence of each sentence that IOB2 allows" in text) == constrained
    overridden = {"context": "none", "constrained_decoding": False}
    text = str(render_card(write_run(tmp_path, overridden, config=config), "mara/tagger"))
    assert "neighbouring sentences" not in text
    assert "best tag sequence" not in text


def test_a_masked_model_tells_how_it_was_masked_and_scored(tmp_path):
    settings = {"mlm_probability": 0.2, "mask_replace_prob": 0.8, "random_replace_prob": 0.1, "eval_mask_seed": 3}
    scores = {"dev": {"loss": 2.0, "perplexity": 7.389, "masked_accuracy": 0.5, "masked_tokens": 40}}
    config = {"architectures": ["BertForMaskedLM"]}
    text = str(render_card(write_run(tmp_path, settings, scores=scores, config=config), "mara/filler"))
    assert check_metadata(text) == []
    assert find_tables(text)[0][2] == [" dev ", " 2.000 ", " 7.389 ", " 0.500 ", " 40 "]
    assert "20% of the tokens are masked.\nOf these, 80% become the mask token, 10% become a random token," in text
    assert "with seed 3." in text
    assert "aggregation_strategy" not in text
    assert 'pipeline("fill-mask", model="mara/filler")' in text
    (tmp_path / "run.yaml").unlink()
    assert "masked.\n" not in str(render_card(tmp_path, "mara/filler"))


def test_a_masked_autoregressive_model_is_shown_with_the_recipe(tmp_path):
    config = {"architectures": ["BertForMaskedLM"], "masked_lm": {"objective": "masked_autoregressive"}}
    text = str(render_card(write_run(tmp_path, config=config), "mara/filler"))
    assert "predict each masked token from the text to its left" in text
    assert 'recipe.Filler.load("mara/filler")' in text
    assert "pipeline(" not in text


def test_what_was_left_out_of_the_data_is_counted(tmp_path):
    remarks = {"train": {"span(s) without a word were left out": 3}}
    text = str(render_card(write_run(tmp_path, remarks=remarks), "mara/tagger"))
    assert "- Data: train: 3 x span(s) without a word were left out.\n" in text


@pytest.mark.parametrize("architecture", ["BertForTokenClassification", "BertForMaskedLM"])
@pytest.mark.parametrize("recorded", [True, False])
def test_blocks_are_one_blank_line_apart(tmp_path, architecture, recorded):
    write_run(tmp_path, config={"architectures": [architecture]}, base_model="owner/encoder")
    if not recorded:
        (tmp_path / "run.yaml").unlink()
    text = str(render_card(tmp_path, "mara/tagger"))
    assert "\n\n\n" not in text
    assert text.endswith(".\n")
    assert len(re.findall(r"\n\n## .*\n\n", text)) == 5


def test_the_same_folder_makes_the_same_card(tmp_path):
    write_run(tmp_path)
    assert str(render_card(tmp_path, "mara/tagger")) == str(render_card(tmp_path, "mara/tagger"))


def test_a_card_has_the_pipelines_figures_and_no_folder_of_this_machine(tmp_path):
    part = {"entities": {"micro avg": ROW}, "tags": {"B-LOC": ROW}, "alone": {"micro avg": ROW | {"f1": 0.321}}}
    scores = {"dev": part | {"running_text": {"sentences": 12, "tagger": 0.8, "pipeline": 0.705}}}
    settings = {"data_dir": "/home/mara/corpora/tickets", "do_train": True}
    facts = {
        "command": "python run_ner.py --data_dir /home/mara/corpora/tickets --output_dir=../runs/x",
        "data": "tickets",
    }
    folder = tmp_path / "mara" / "mine"
    folder.mkdir(parents=True)
    text = str(render_card(write_run(folder, settings, scores=scores, sentences={"train": 44}, **facts)))
    assert "| dev | 12 | 0.800 | 0.705 |" in text
    assert "use the Tagger" in text
    assert "| micro avg | 0.500 | 0.250 | 0.321 | 4 |" in text.partition("each sentence without its context**")[2]
    assert "| training sentences | 44 |" in text
    assert 'Tagger.load("path/to/mine")' in text
    assert "python run_ner.py --data_dir corpora/tickets --output_dir=runs/x" in text
    assert "/home/mara" not in text
    assert str(tmp_path) not in text
    same = {"dev": part | {"running_text": {"sentences": 12, "tagger": 0.8, "pipeline": 0.795}}}
    assert "use the Tagger" not in str(render_card(write_run(folder, settings, scores=same)))


NOTE = "letters\n\n# Heading\n```\n| a | b |\n<script>alert(1)</script> [link](http://example.org)"


def test_notes_commands_and_names_stay_in_their_places(tmp_path):
    folder = write_run(tmp_path, {"hub_data_note": NOTE}, command="python run_ner.py --note '````\n# x'", commit="a|b")
    text = str(render_card(folder, 'path/to/a"b`c`\\d'))
    (line,) = [line for line in text.splitlines() if line.startswith("- Domain and year")]
    assert line.endswith(
        "letters # Heading \\`\\`\\` \\| a \\| b \\| \\<script>alert(1)\\</script> \\[link](http://example.org)."
    )
    assert "`````sh\npython run_ner.py --note '````\n# x'\n`````\n" in text
    assert "| commit of the recipe | a\\|b |" in text
    assert 'Tagger.load("path/to/a\\"b`c`\\\\d")' in text
    assert '# a"b\\`c\\`\\\\d\n' in text


def test_code_without_backquotes_has_a_plain_fence(tmp_path):
    assert "```sh\npython run_ner.py" in str(
        render_card(write_run(tmp_path, command="python run_ner.py"), "mara/tagger")
    )


def test_a_card_gives_the_interval_of_f1_where_the_report_has_one(tmp_path):
    scores = {"entities": {"micro avg": ROW}, "tags": {"B-LOC": ROW}}
    part = {"unit": "document", "number": 231, "intervals": {"micro avg": [0.3, 0.36]}}
    write_run(tmp_path, scores={"dev": scores, "test": scores | {"documents": part}})
    card = str(render_card(tmp_path))
    assert "\nMicro average on test: F1 33.3 (95 % interval 30.0 to 36.0, over 231 documents).\n" in card
    assert "Micro average on dev" not in card

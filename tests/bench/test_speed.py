"""The bench measures what it says: real tokens, the switches it names, each contestant's own steps."""

import json

import pytest

from bench import speed
from bench.report import format_rates, format_speed
from recipe.arguments import MlmArguments, NerArguments, RunArguments, parse
from recipe.data.conll import read_columns
from recipe.data.documents import list_sentences
from recipe.inputs.tokenizer import load_tokenizer
from recipe.model.settings import ModelArguments

TINY = "num_hidden_layers=1,hidden_size=24,num_attention_heads=2,intermediate_size=24"


@pytest.mark.parametrize("table", speed.TABLES)
def test_switches_are_settings_of_the_scripts(table, tmp_path):
    kind = MlmArguments if table.startswith("mlm") else NerArguments
    rows = speed.list_rows(table)
    assert rows[0].who == "baseline"
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        switches = {key: value for key, value in (row.switches | {"output_dir": tmp_path}).items() if value is not None}
        parse([f"--{key}={value}" for key, value in switches.items()], ModelArguments, kind, RunArguments)


@pytest.mark.parametrize("who", [pytest.param("baseline", marks=pytest.mark.slow), "recipe"])
def test_a_contestant_counts_real_tokens_of_its_steps(tmp_path, column_files, who):
    flags = {
        "data_dir": column_files,
        "context": "none",
        "max_seq_length": 32,
        "model_type": "bert",
        "config_overrides": TINY,
        "tokenizer_name": "minilm-l6",
        "per_device_train_batch_size": 3,  # all three sentences: each step sees the same tokens
        "do_train": True,
        "save_strategy": "no",
        "disable_tqdm": True,
        "output_dir": tmp_path / "run",
    }
    with open(tmp_path / "log", "w") as log:
        contestant = speed.Contestant(speed.Row("row", who, steps=4), "ner", flags, log).wait()
        first, second = contestant.measure(), contestant.measure()
        contestant.close()
    tokenizer = load_tokenizer(ModelArguments(tokenizer_name="minilm-l6"))
    sentences = [sentence.words for sentence in list_sentences(read_columns(column_files / "train.txt"))]
    tokens = sum(len(ids) for ids in tokenizer(sentences, is_split_into_words=True).input_ids)
    assert first["tokens"] == second["tokens"] == 4 * tokens
    assert first["seconds"] > 0
    assert first["peak_mb"] > 100


@pytest.mark.slow
def test_a_contestant_that_fails_is_named(tmp_path):
    with open(tmp_path / "log", "w") as log, pytest.raises(RuntimeError, match="this row: ended with status 1"):
        speed.Contestant(speed.Row("this row"), "ner", {"data_dir": tmp_path / "none", "do_train": True}, log).wait()


def test_a_row_is_its_median_and_its_worst_memory():
    results = [{"seconds": 2.0, "tokens": tokens, "peak_mb": 900 + tokens} for tokens in (100, 300, 120)]
    assert speed.summarize(results) == {"tokens_per_second": 60.0, "least": 50.0, "most": 150.0, "peak_mb": 1200}


def test_flops_are_those_of_the_arithmetic_that_counts():
    # BERT base: 85 M weights in products; 6 operations a weight and token, attention and the masked head on top
    assert speed.count_flops("ner-bert-base", 0) == 6 * 12 * (4 * 768**2 + 2 * 768 * 3072)
    assert speed.count_flops("mlm-bert-base", 128) == pytest.approx(
        6 * (85e6 + 12 * 2 * 768 * 128 + 0.15 * 24e6), rel=0.01
    )


def test_tables_compare_with_the_first_row():
    rows = {
        "plain Trainer, `python`": {"tokens_per_second": 500.0, "peak_mb": 2300.0},
        "all, fp32": {"tokens_per_second": 1000.0, "peak_mb": 2000.0},
        "all": {"tokens_per_second": 2500.0, "peak_mb": 1500.0},
    }
    gflops = {"fp32": 100.0, "onednn": 200.0, "bf16": 400.0}
    table = {"table": "mlm-minilm", "rows": rows, "gflops": gflops, "flops_per_token": 8e7}
    assert "| all | 2,500 (5.00x), 1.5 GB |" in format_speed([table])
    assert "| Masked pretraining, 6 x 384 | 100 | 200 | 400 | 40% | 40% | 50% |" in format_rates([table])


def test_written_results_hold_every_row():
    for path in sorted(speed.FOLDER.glob("*-*.json")):
        result = json.loads(path.read_text())
        assert list(result["rows"]) == [row.name for row in speed.list_rows(result["table"])]
        assert result["rounds"] >= 5

"""The service of docs/serving.md answers as the Tagger does, and refuses what it cannot answer."""

import json
from urllib.request import urlopen

import pytest

import run_ner
from bench.service import check, make_bodies, make_texts, post, post_all, read_memory, run_service
from recipe.inference.tagger import Tagger

pytest.importorskip("fastapi", reason="needs the extra serving: pip install -e '.[serving]'")
pytest.importorskip("uvicorn", reason="needs the extra serving: pip install -e '.[serving]'")

MOST_GROWTH = 100  # MB


def test_the_service_answers_as_the_tagger_does_under_load(encoder, column_files, tmp_path):
    flags = {"model_name_or_path": encoder, "data_dir": column_files, "output_dir": tmp_path, "max_seq_length": 48}
    flags |= {"do_train": True, "num_train_epochs": 60, "learning_rate": 5e-3, "save_strategy": "no"}
    run_ner.main([f"--{key}={value}" for key, value in (flags | {"disable_tqdm": True}).items()])
    texts = make_texts(400)
    with run_service(tmp_path) as (url, process):
        post_all(url, make_bodies(texts[:100]))
        before = read_memory(process)
        answers = post_all(url, make_bodies(texts))
        assert read_memory(process) < before + MOST_GROWTH
        long = post(url, json.dumps({"text": "Oslo " * 3000}).encode())
        with urlopen(url.replace("/tag", "/docs"), timeout=60) as page:
            assert page.status == 200
    assert check(Tagger.load(tmp_path), texts, answers) == []
    assert sum(answer.status == 200 and len(answer.body) > 0 for answer in answers) > 100
    assert long.body == '{"detail":"String should have at most 10000 characters: send {\\"text\\": \\"...\\"}"}'
    assert {answer.status for answer in answers} == {200, 400, 413, 422}

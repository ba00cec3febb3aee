"""Bad input, by the scripts: one line on stderr that says where and what to do, exit status 2, no traceback."""

import json
import os

import pytest
from transformers import (
    BertForMaskedLM,
    BertForTokenClassification,
    CanineTokenizer,
    PreTrainedTokenizerFast,
)

import run_mlm
import run_ner
from conftest import make_config, make_tokenizer
from recipe.data.conll import read_columns
from recipe.data.documents import list_tags
from recipe.errors import exit_with

GOOD = "Ana B-PER\nleft O\n\nOslo B-LOC\n"


@pytest.fixture
def folder(tmp_path, encoder):
    """Two splits of NER data, a text, and the place of the encoder and the output."""
    for name in ("train.txt", "valid.txt"):
        (tmp_path / name).write_text(GOOD)
    (tmp_path / "text.txt").write_text("\n\n".join(f"article {n} tells of port {n * 7}." for n in range(20)))
    return tmp_path


@pytest.fixture
def refusal(folder, encoder, capsys):
    """Run a script on `folder` with changed settings; its one line of complaint."""

    def refuse(script, **changes):
        settings = {"output_dir": folder / "out", "model_name_or_path": encoder, "max_steps": 1, "do_train": True}
        if script is run_ner:
            settings |= {"data_dir": folder, "do_eval": True, "max_seq_length": 64}
        else:
            settings |= {"train_file": folder / "text.txt", "block_size": 32}
        flags = [f"--{key}={value}" for key, value in (settings | changes).items() if value is not None]
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            exit_with(lambda: script.main(flags))
        assert caught.value.code == 2
        error = capsys.readouterr().err
        assert "Traceback" not in error
        *_, line = error.splitlines()
        assert line.startswith("error: ")
        assert sum(other.startswith("error: ") for other in error.splitlines()) == 1
        return line

    return refuse


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "valid.txt: no sentences: the file has no lines with a word and a tag: check the path"),
        (b"Ana B-PER\n\nleft\n", "valid.txt:3: too few columns (1)"),
        (b"Ana B-PER\nleft X-PER\n", "valid.txt:2: 'X-PER' is not a tag: expected O, or one of B I E S L U"),
        (b"Ana B-PER\n\nleft B-CAR\n", "valid.txt:3: the sentence that starts here has the tag B-CAR, which is"),
        (b"a I-PER\n\nb B-PER\n\nc S-PER\nd E-LOC\n", "the tags of the sentence that starts here are not"),
        (b"Ana B-PER\nR\xe9mi B-PER\n", "valid.txt:2: byte 0xe9 is not utf-8: set encoding"),
        (b"Ana B-PER\nle\0ft O\n", "valid.txt:2: a NUL byte: fix the file, or set encoding"),
        (b"Ana B-PER\nleft O\rOslo B-LOC\r\n", "valid.txt:2: a carriage return within the line"),
        (GOOD.encode("utf-16-le"), "valid.txt:1: a NUL byte: fix the file, or set encoding"),
        (b"word tag\n" + GOOD.encode(), "valid.txt:1: 'word tag' names columns: remove this line, or set"),
        (b"Wort Art\n" + GOOD.encode(), "valid.txt:1: 'Art' is not a tag, but all other lines have one: remove this"),
        (b"Ana B-PER\n" + b"x" * 1_000_000 + b" O\n", "valid.txt:2: 1000002 characters in one line"),
    ],
)
def test_a_bad_column_file_is_refused_by_file_and_line(folder, refusal, content, expected):
    (folder / "valid.txt").write_bytes(content)
    assert expected in refusal(run_ner)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "rows.jsonl: no sentences: check the path"),
        ('{"tokens": ["a"], "ner_tags": ["O"]}\n{"tokens"\n', "rows.jsonl:2: not valid JSON"),
        (
            '{"tokens": "a", "ner_tags": "O"}\n',
            "rows.jsonl:1: an object with the keys tokens ner_tags: expected a list of words in 'tokens'",
        ),
        (
            '{"tokens": [1], "ner_tags": ["O"]}\n',
            "rows.jsonl:1: an object with the keys tokens ner_tags: expected a list of words in 'tokens'",
        ),
        ('["a", "O"]\n', "rows.jsonl:1: no object: expected a list of words in 'tokens'"),
        ('{"tokens": ["\\ud800"], "ner_tags": ["O"]}\n', "rows.jsonl:1: half of a surrogate pair"),
        ("[" * 100_000, "rows.jsonl:1: not valid JSON"),
    ],
)
def test_bad_json_lines_are_refused_by_file_and_line(folder, refusal, content, expected):
    (folder / "rows.jsonl").write_text(content)
    assert expected in refusal(run_ner, validation_file=folder / "rows.jsonl")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"data_dir": "none"}, "data_dir: no folder at none: check the path"),
        ({"validation_file": "none.txt"}, "validation_file: no file at none.txt: check the path"),
        ({"data_dir": None}, "no data: set data_dir, train_file"),
        ({"encoding": "klingon"}, "encoding: Python does not know 'klingon': set another one"),
        ({"model_name_or_path": "/no/folder"}, "/no/folder: "),
        (
            {"max_seq_length": 65},
            "max_seq_length: 65 is more than the 64 tokens that the model accepts: set a lower value",
        ),
        ({"resume_from_checkpoint": "/no/folder"}, "resume_from_checkpoint: no folder at /no/folder"),
        ({"max_seq_length": 2}, "max_seq_length: 2 is too small: it must be at least 3"),
        ({"context_size": -1}, "context_size: -1 is too small: it must be at least 0"),
        ({"max_eval_samples": 0}, "max_eval_samples: 0 is too small: it must be at least 1"),
        (
            {"prediction_loss_only": True},
            "prediction_loss_only: not supported, because the reports",
        ),
        (
            {"eval_do_concat_batches": True},
            "eval_do_concat_batches: not supported, because the reports",
        ),
        (
            {"auto_find_batch_size": True},
            "auto_find_batch_size: not supported, because a resumed run",
        ),
        ({"save_on_each_node": True}, "save_on_each_node: not supported, because all machines share one output folder"),
        ({"report_to": "flytrap"}, "report_to: flytrap is not known, or not installed: choose tensorboard, trackio"),
        ({"metric_for_best_model": "overall_f1"}, "overall_f1 is not one of loss precision recall f1 f1_TYPE"),
        ({"do_train": False, "do_eval": False}, "nothing to do: set do_train, do_eval or do_predict"),
    ],
)
def test_bad_settings_of_ner_are_refused_by_name(refusal, changes, expected):
    assert expected in refusal(run_ner, **changes)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", b"", ": check the files"),
        ("a.txt", b"one\n\ntwo\n\nR\xe9mi\n", "a.txt:5: byte 0xe9 is not utf-8: set encoding"),
        ("a.txt", b"one\n\nR\xc3", "a.txt:3: byte 0xc3 is not utf-8: set encoding"),  # cut within a character
        ("a.jsonl", b'{"text": "a"}\n{"text"\n', "a.jsonl:2: not valid JSON"),
        ("a.jsonl", b'{"words": "a"}\n', "text_column_name: no column 'text' in the data: set one of words"),
        ("a.jsonl", b'{"text": 1}\n', "a.jsonl:1: 'text' is a number, expected text: fix the line"),
        ("a.jsonl", b'{"text": [1]}\n', "a.jsonl:1: 'text' is a list, expected text: fix the line"),
        ("a.jsonl", b'{"text": "a"}\n\n{"text": {"a": 1}}\n', "a.jsonl:3: 'text' is an object, expected text"),
        ("a.jsonl", b'{"text": "a"}\n{"text": null}\n{"text": ["a"]}\n', "'text' is a list, but text in line 1"),
        ("a.jsonl", b'{"text": "a"}\n[1]\n', "a.jsonl:2: a list, expected an object with a key for the text"),
        ("a.json", b'[{"text": {"a": 1}}, {"text": {"a": 1}}]', "'text'"),
        ("a.csv", b"text\n1\n2\n", "the column 'text' has no text: found 1"),
        ("a.csv", b"text\nR\xe9mi\n", "a.csv:2: byte 0xe9 is not utf-8: set encoding"),
        ("a.parquet", b"PAR1", "a.parquet"),
        ("a.pdf", b"", "expected files of one kind"),
    ],
)
def test_bad_text_is_refused(folder, refusal, name, content, expected, streaming):
    (folder / name).write_bytes(content)
    more = {"streaming": True, "do_eval": False, "disable_tqdm": True} if streaming else {}
    assert expected in refusal(run_mlm, train_file=folder / name, **more)


@pytest.mark.parametrize("script", [run_ner, run_mlm])
def test_pipes_and_devices_are_refused(folder, refusal, script):
    os.mkfifo(folder / "pipe.txt")
    for file in (folder / "pipe.txt", "/dev/zero"):
        line = refusal(script, train_file=file, validation_file=file, data_dir=None)
        assert f"{file} is a pipe or a device, which can be read only once: save it to a file" in line


def test_a_pipe_in_a_folder_of_data_is_refused(folder, refusal):
    (folder / "valid.txt").unlink()
    os.mkfifo(folder / "valid.txt")
    assert "valid.txt is a pipe, a device or a broken link: save the data to a file" in refusal(run_ner)


def test_a_refused_run_leaves_no_folder_that_it_made(folder, refusal):
    refusal(run_ner, data_dir=folder / "nowhere")
    assert not (folder / "out").exists()
    (folder / "out").mkdir()
    refusal(run_ner, data_dir=folder / "nowhere")
    assert (folder / "out").exists()


@pytest.mark.parametrize("name", ["predictions", "trainer_state.json", "README.md"])
def test_nothing_outside_the_output_folder_is_written_through_a_link(folder, refusal, name):
    (folder / "elsewhere").mkdir()
    (folder / "out").mkdir()
    (folder / "out" / name).symlink_to(folder / "elsewhere")
    line = refusal(run_ner)
    assert f"{name} is a link to {folder / 'elsewhere'}, and a run writes only to its own folder: remove" in line
    assert not list((folder / "elsewhere").iterdir())


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "text\nRain fell, in Lima.\n", "a.csv:2: 2 cells, but the header has 1: put quotes around text"),
        ("a.json", '[{"text": "a"}, {"text": 5}]', "a.json: item 2: 'text' is a number, expected text: fix the item"),
    ],
)
def test_text_that_would_be_lost_or_changed_is_refused(folder, refusal, name, content, expected):
    (folder / name).write_text(content)
    assert expected in refusal(run_mlm, train_file=folder / name)


def test_a_metric_of_a_type_that_the_data_lack_is_refused_before_training(refusal):
    changes = {"metric_for_best_model": "f1_ORG", "load_best_model_at_end": True, "eval_strategy": "steps"}
    changes |= {"eval_steps": 1, "save_strategy": "steps", "save_steps": 1}
    assert "metric_for_best_model: f1_ORG: the labels have no such type, only LOC PER" in refusal(run_ner, **changes)


@pytest.mark.parametrize("streaming", [False, True])
def test_an_unknown_encoding_of_text_is_refused(refusal, streaming):
    line = refusal(run_mlm, encoding="klingon", streaming=streaming, do_eval=False)
    assert "encoding: Python does not know 'klingon': set another one" in line


def test_bad_bytes_met_in_the_middle_of_streaming_are_named_by_file_and_line(folder, refusal):
    for number in range(3):
        (folder / f"{number}.txt").write_text("\n\n".join(["one two three"] * 2000))
    with (folder / "1.txt").open("ab") as file:
        file.write(b"R\xe9mi\n\nfour\n")
    more = {"streaming": True, "do_eval": False, "max_steps": 10**6, "disable_tqdm": True}
    assert "1.txt:3999: byte 0xe9 is not utf-8" in refusal(run_mlm, train_file=folder / "*.txt", **more)


def test_bad_bytes_in_text_to_train_a_tokenizer_on_are_named_by_file_and_line(folder, refusal):
    (folder / "a.txt").write_bytes(b"\n\n".join([b"one two three"] * 2000) + b"\nR\xe9mi\n")
    more = {"streaming": True, "do_eval": False, "max_steps": 1, "model_name_or_path": None, "model_type": "bert"}
    assert "a.txt:4000: byte 0xe9 is not utf-8" in refusal(run_mlm, train_file=folder / "a.txt", **more)


@pytest.mark.parametrize(
    ("content", "place"), [(b"one\n\ntwo\nR\xe9mi\n", "a.txt:4: byte 0xe9"), (b"one\ntwo\0\n", "a.txt:2: a NUL byte")]
)
def test_bad_bytes_in_text_are_named_by_line(folder, refusal, content, place):
    (folder / "a.txt").write_bytes(content)
    assert place in refusal(run_mlm, train_file=folder / "a.txt")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"train_file": "none.txt"}, "train_file: no file at none.txt: check the path"),
        ({"train_file": None}, "no data: set train_file or dataset_name"),
        ({"block_size": 65}, "block_size: 65 is more than the 64 tokens that the model accepts: set a lower value"),
        ({"block_size": 2}, "block_size: 2 is too small: it must be at least 3"),
        ({"streaming": True, "max_steps": -1}, "streaming: the length of streamed text is not known: set max_steps"),
        ({"mlm_probability": 2}, "mlm_probability: 2.0 is too large: it must be at most 1"),
        ({"mlm_probability": "nan"}, "mlm_probability: nan is not a number"),
        ({"validation_split_percentage": "nan"}, "validation_split_percentage: nan is not a number"),
        ({"vocab_size": -5}, "vocab_size: -5 is too small"),
        ({"preprocessing_num_workers": -1}, "preprocessing_num_workers: -1 is too small"),
        ({"encoding": "rot13"}, "rot13"),
        ({"metric_for_best_model": "eval_accuracy"}, "accuracy is not one of loss perplexity masked_accuracy"),
        ({"model_name_or_path": None}, "no model: set model_name_or_path"),
        ({"do_train": False}, "nothing to do: set do_train or do_eval"),
        (
            {"do_train": False, "do_eval": True, "model_name_or_path": None, "model_type": "bert"},
            "no model to evaluate: set model_name_or_path",
        ),
    ],
)
def test_bad_settings_of_mlm_are_refused_by_name(refusal, changes, expected):
    assert expected in refusal(run_mlm, **{"do_eval": False} | changes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"seed: 1\nlerning_rate: 1\n", "a.yaml:2: unknown key lerning_rate (did you mean learning_rate?)"),
        (b"seed: fast\n", "a.yaml:1: argument --seed"),
        (b"seed: 1\nseed: 2\n", "a.yaml:2: seed is already set in line 1: delete one of them"),
        (b"seed: 1\n\tbf16: true\n", "a.yaml:2: not valid YAML"),
        (b"seed: [1, 2]\n", "a.yaml:1: seed: expected one value, found a list"),
        (b'do_train: "a\\nb"\n', "a.yaml:1: argument --do_train/--do-train: Truthy value expected: got a b"),
        (b"seed: [1, [2]]\n", "a.yaml:1: seed: expected a list of plain values"),
        (b"? [a, b]\n: 1\n", "a.yaml:1: unknown key"),
        (b"seed: {2020-13-41: 1}\n", "a.yaml:1: seed: expected a mapping of plain values"),
        (b"seed: {a: !!binary x}\n", "a.yaml:1: seed: expected a mapping of plain values"),
        (b"seed: \xe9\n", "a.yaml: not valid YAML in UTF-8"),
        (b"seed: \0\n", "a.yaml: not valid YAML in UTF-8"),
        (b"- seed\n", "a.yaml:1: expected lines of `key: value`"),
    ],
)
def test_a_bad_configuration_is_refused_by_file_and_line(folder, refusal, text, expected):
    (folder / "a.yaml").write_bytes(text)
    assert expected in refusal(run_ner, config=folder / "a.yaml")


def test_a_missing_configuration_is_refused(folder, refusal):
    assert "none.yaml: No such file or directory: check the path" in refusal(run_ner, config="none.yaml")
    assert "Is a directory: check the path" in refusal(run_ner, config=folder)


def save_tagger(folder, labels):
    labels = dict(enumerate(labels))
    config = make_config(id2label=labels, label2id={label: number for number, label in labels.items()})
    BertForTokenClassification(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)


@pytest.mark.parametrize("labels", [["O", "B-CAR", "I-CAR"], ["O", "B-CAR", "I-CAR", "B-LOC", "I-LOC"]])
def test_a_checkpoint_of_another_label_set_is_refused(folder, refusal, labels):
    save_tagger(folder / "model", labels)
    line = refusal(run_ner, model_name_or_path=folder / "model")
    assert "was trained on the labels O B-CAR I-CAR" in line
    assert "the training data have O B-LOC I-LOC B-PER I-PER: set new_head to true, start from the encoder" in line
    assert "has the tag B-" in refusal(
        run_ner, model_name_or_path=folder / "model", do_train=False, output_dir=folder / "o"
    )


def test_a_checkpoint_of_another_scheme_is_refused(folder, refusal):
    save_tagger(folder / "model", ["O", "B-LOC", "I-LOC", "S-LOC", "B-PER", "I-PER", "S-PER"])
    line = refusal(run_ner, model_name_or_path=folder / "model", do_train=False)
    assert "the model predicts S-LOC S-PER: only IOB2 labels (O, B-TYPE, I-TYPE) can be scored" in line


def test_a_checkpoint_of_the_same_labels_keeps_their_order(folder, encoder):
    labels = ["I-LOC", "B-LOC", "O", "I-PER", "B-PER"]
    save_tagger(folder / "model", labels)
    flags = {"output_dir": folder / "out", "model_name_or_path": folder / "model", "data_dir": folder, "max_steps": 1}
    run_ner.main([*(f"--{key}={value}" for key, value in flags.items()), "--do_train", "--max_seq_length=64"])
    config = json.loads((folder / "out" / "config.json").read_text())
    assert list(config["id2label"].values()) == labels


def test_another_tokenizer_is_refused(folder, refusal):
    make_tokenizer(letters="ba").save_pretrained(folder / "tokenizer")
    line = refusal(run_mlm, tokenizer_name=folder / "tokenizer")
    assert "its vocabulary differs from that of" in line
    assert "remove tokenizer_name" in line


def test_a_vocabulary_larger_than_the_embedding_is_refused(folder, refusal):
    BertForMaskedLM(make_config(vocab_size=20)).save_pretrained(folder / "model")
    make_tokenizer().save_pretrained(folder / "model")
    line = refusal(run_mlm, model_name_or_path=folder / "model")
    assert "the tokenizer has 83 entries, but the model has embeddings for 20" in line


def test_a_model_without_a_mask_token_is_refused(folder, refusal, encoder):
    BertForMaskedLM(make_config()).save_pretrained(folder / "model")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=make_tokenizer().backend_tokenizer, pad_token="[PAD]", sep_token="[SEP]", cls_token="[CLS]"
    )
    tokenizer.save_pretrained(folder / "model")
    assert "does not have a mask token" in refusal(run_mlm, model_name_or_path=folder / "model")


def test_a_slow_tokenizer_is_refused(folder, refusal):
    BertForMaskedLM(make_config()).save_pretrained(folder / "model")
    CanineTokenizer().save_pretrained(folder / "tokenizer")
    line = refusal(run_mlm, model_name_or_path=folder / "model", tokenizer_name=folder / "tokenizer")
    assert "no fast tokenizer (tokenizer.json), which the recipe needs" in line


def test_pickled_weights_are_refused(folder, refusal, encoder):
    import torch

    model = BertForMaskedLM(make_config())
    model.config.save_pretrained(folder / "model")
    make_tokenizer().save_pretrained(folder / "model")
    torch.save(model.state_dict(), folder / "model" / "pytorch_model.bin")
    line = refusal(run_mlm, model_name_or_path=folder / "model")
    assert "pytorch_model.bin is pickled and can run code: convert it to safetensors" in line


@pytest.mark.parametrize("cut", [10, -10])
def test_damaged_weights_are_refused(folder, refusal, cut):
    BertForMaskedLM(make_config()).save_pretrained(folder / "model")
    make_tokenizer().save_pretrained(folder / "model")
    weights = folder / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:cut])
    assert str(folder / "model") in refusal(run_mlm, model_name_or_path=folder / "model")


def test_a_damaged_configuration_of_a_model_is_refused(folder, refusal):
    make_tokenizer().save_pretrained(folder / "model")
    (folder / "model" / "config.json").write_text('{"model_type": "be')
    assert "config.json" in refusal(run_mlm, model_name_or_path=folder / "model")


def test_code_of_the_checkpoint_is_not_run_unasked(folder, refusal):
    make_tokenizer().save_pretrained(folder / "model")
    config = {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForMaskedLM": "own.OwnModel"}}
    (folder / "model" / "config.json").write_text(json.dumps(config))
    (folder / "model" / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")
    line = refusal(run_mlm, model_name_or_path=folder / "model")
    assert "needs to run its own code: set trust_remote_code to true if you trust it" in line
    assert not (folder / "ran").exists()


def test_odd_words_are_kept_and_scored(folder, encoder):
    """Zero-width and control characters, what has no sub-word, an empty document, a sentence of 10,000 words."""
    words = ["\u200b", "\u00a0", "\x01", "\x0b", "\x1f", "\u2028", "\u0085", "\ufeff", "\u202e", "x" * 500]
    odd = "\n".join(f"{word} B-PER" for word in words)
    long = "\n".join("word O" for _ in range(10_000))
    text = f"-DOCSTART- O\n\n-DOCSTART- O\n\n{odd}\n\n{long}\n"
    (folder / "valid.txt").write_bytes(text.encode())
    flags = {"output_dir": folder / "out", "model_name_or_path": encoder, "data_dir": folder, "max_steps": 1}
    flags |= {"max_seq_length": 64, "do_train": True, "do_eval": True, "disable_tqdm": True}
    run_ner.main([f"--{key}={value}" for key, value in flags.items()])
    report = json.loads((folder / "out" / "report.json").read_text())["dev"]
    assert report["tags"]["B-PER"]["support"] == len(words)
    assert report["tags"]["O"]["support"] == 10_000
    predicted = list_tags(read_columns(folder / "out" / "predictions" / "dev.conll", tag_column=2))
    assert [len(tags) for tags in predicted] == [len(words), 10_000]


def test_an_article_of_one_long_line_is_read(folder, encoder):
    (folder / "text.txt").write_text("word " * 200_000 + "\n\n\n\n" + "\n\n".join(["short"] * 20))
    flags = {"output_dir": folder / "out", "model_name_or_path": encoder, "train_file": folder / "text.txt"}
    flags |= {"block_size": 64, "max_steps": 1, "do_train": True, "disable_tqdm": True}
    run_mlm.main([f"--{key}={value}" for key, value in flags.items()])
    assert (folder / "out" / "model.safetensors").exists()

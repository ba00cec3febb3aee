import json
import random
import re
import warnings

import conlleval
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from recipe.data.conll import read_conll
from recipe.data.schemes import to_iob2
from recipe.errors import RecipeError
from recipe.evaluation.scoring import (
    MOST_DIFFERENCE,
    REFERENCE,
    differs,
    format_report,
    format_reports,
    main,
    score,
    score_entities,
    score_file,
    score_tags,
    summarize_entities,
)

GOLD = ["B-PER I-PER O B-LOC", "O B-ORG"]


def split(lines):
    return [line.split() for line in lines]


@pytest.mark.parametrize(
    ("predicted", "precision", "recall", "f1"),
    [
        (GOLD, 1, 1, 1),
        (["B-PER I-PER O O", "O B-ORG"], 1, 2 / 3, 0.8),
        (["B-PER O O B-LOC", "O B-ORG"], 2 / 3, 2 / 3, 2 / 3),  # a wrong end
        (["B-ORG I-ORG O B-LOC", "O B-ORG"], 2 / 3, 2 / 3, 2 / 3),  # a wrong type
        (["B-PER I-PER O I-LOC", "O B-ORG"], 1, 2 / 3, 0.8),  # an I- that continues nothing is no entity
        (["O O O O", "O O"], 0, 0, 0),
    ],
)
def test_entity_scores(predicted, precision, recall, f1):
    row = score_entities(split(GOLD), split(predicted))["micro avg"]
    assert row == {
        "precision": pytest.approx(precision),
        "recall": pytest.approx(recall),
        "f1": pytest.approx(f1),
        "support": 3,
    }


def test_entity_report_has_a_row_for_each_type_and_average():
    rows = score_entities(split(GOLD), split(GOLD))
    assert list(rows) == ["LOC", "ORG", "PER", "micro avg", "macro avg", "weighted avg"]
    assert [row["support"] for row in rows.values()] == [1, 1, 1, 3, 3, 3]


def test_tag_scores():
    rows = score_tags(split(GOLD), split(["B-PER O O B-ORG", "O B-ORG"]))
    assert list(rows) == ["B-LOC", "B-ORG", "B-PER", "I-PER", "O"]
    assert rows["B-ORG"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1}
    assert rows["I-PER"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert rows["O"] == {"precision": pytest.approx(2 / 3), "recall": 1.0, "f1": pytest.approx(0.8), "support": 2}


def test_tags_are_listed_by_type_and_o_comes_last():
    tags = split(["O B-PER I-PER B-LOC I-LOC"])
    assert list(score_tags(tags, tags)) == ["B-LOC", "I-LOC", "B-PER", "I-PER", "O"]


def test_report_is_plain_json():
    report = score(split(GOLD), split(GOLD))
    assert json.loads(json.dumps(report)) == report


def random_tags(draw, length):
    return [draw.choice(["O", "O", "B-X", "I-X", "B-Y", "I-Y"]) for _ in range(length)]


def run_seqeval(gold, predicted):
    """The strict report, with our name of the column f1; seqeval calls the mean over no types at all NaN, we say 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        report = classification_report(gold, predicted, mode="strict", scheme=IOB2, zero_division=0, output_dict=True)
    return {
        name: {key.removesuffix("-score"): float(np.nan_to_num(value)) for key, value in row.items()}
        for name, row in report.items()
    }


ANY_TAGS = st.sampled_from(["O", *(f"{prefix}-{kind}" for prefix in "BI" for kind in ("X", "Y", "work-of-art"))])
ANY_SENTENCES = st.lists(st.lists(st.tuples(ANY_TAGS, ANY_TAGS), max_size=12), min_size=1, max_size=8)


@settings(deadline=None, database=None, max_examples=300)
@given(ANY_SENTENCES, st.booleans())
def test_every_row_and_average_is_seqevals_whatever_was_predicted(sentences, well_formed):
    """Gold tags too may be ill formed: with them, and where nothing is found, both still say the same."""
    gold, predicted = ([[pair[side] for pair in pairs] for pairs in sentences] for side in (0, 1))
    gold = [to_iob2(tags) for tags in gold] if well_formed else gold
    found, expected = score_entities(gold, predicted), run_seqeval(gold, predicted)
    assert list(found) == list(expected)
    for name, row in expected.items():
        assert found[name] == pytest.approx(row, rel=0, abs=1e-12), name


def test_many_entities_have_seqevals_rows_too():
    draw = random.Random(2)
    gold = [to_iob2(random_tags(draw, 25)) for _ in range(400)]
    predicted = [
        [tag if draw.random() < 0.8 else draw.choice(["O", "I-X", "B-Y", "B-Z"]) for tag in tags] for tags in gold
    ]
    found, expected = score_entities(gold, predicted), run_seqeval(gold, predicted)
    assert list(found) == list(expected) == ["X", "Y", "Z", "micro avg", "macro avg", "weighted avg"]
    assert 0.2 < found["micro avg"]["f1"] < 0.9
    for name, row in expected.items():
        assert found[name] == pytest.approx(row, rel=0, abs=1e-12), name


def run_conlleval(gold, predicted):
    lines = [
        line
        for gold_tags, tags in zip(gold, predicted, strict=True)
        for line in (*(f"w {true} {guess}" for true, guess in zip(gold_tags, tags, strict=True)), "")
    ]
    return conlleval.evaluate(lines)["overall"]["chunks"]["stats"]


def count(gold, predicted):
    """Our scores as conlleval counts them: entities in gold, predicted, correct."""
    row = score_entities(gold, predicted)["micro avg"]
    correct = row["recall"] * row["support"]
    found = correct / row["precision"] if row["precision"] else None
    return {"gold": row["support"], "correct": pytest.approx(correct), "pred": pytest.approx(found)}


def test_scores_agree_with_conlleval_where_iob2_is_well_formed():
    draw = random.Random(0)
    for _ in range(200):
        gold, predicted = ([to_iob2(random_tags(draw, 12)) for _ in range(8)] for _ in range(2))
        counts = run_conlleval(gold, predicted)
        assert counts["correct"] > 0
        assert counts == count(gold, predicted)


def test_ill_formed_predictions_agree_with_conlleval_once_turned_into_iob2():
    draw = random.Random(1)
    for _ in range(200):
        gold = [to_iob2(random_tags(draw, 12)) for _ in range(8)]
        predicted = [random_tags(draw, 12) for _ in range(8)]
        assert run_conlleval(gold, predicted) == count(gold, [to_iob2(tags) for tags in predicted])


@pytest.mark.parametrize(
    ("predicted", "conlleval_finds", "strict_finds"), [("O I-PER", 1, 0), ("B-LOC I-PER", 2, 1), ("B-LOC I-LOC", 1, 1)]
)
def test_strict_scores_count_fewer_ill_formed_entities_than_conlleval(predicted, conlleval_finds, strict_finds):
    gold = [["O", "O"]]
    assert run_conlleval(gold, [predicted.split()])["pred"] == conlleval_finds
    found = score_entities([predicted.split()], [predicted.split()])["micro avg"]["support"]
    assert found == strict_finds


def test_score_file_reads_the_last_two_columns(tmp_path, capsys, monkeypatch):
    path = tmp_path / "predictions.conll"
    path.write_text("-DOCSTART- O O\n\na NN B-X B-X\nb NN I-X O\n\nc NN O O\n")
    assert score_file(path)["tags"]["B-X"]["f1"] == 1.0
    assert score_file(path)["entities"]["micro avg"]["f1"] == 0.0
    main([str(path)])
    assert "Entities (strict)" in capsys.readouterr().out


def test_score_file_turns_iob1_into_iob2(tmp_path):
    path = tmp_path / "predictions.conll"
    path.write_text("a I-X I-X\nb O O\nc I-X I-X\nd B-X B-X\n")
    assert score_file(path)["entities"]["X"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 3}


def test_score_file_turns_iob1_predictions_beside_iob2_into_iob2(tmp_path):
    path = tmp_path / "predictions.conll"
    path.write_text("a B-X I-X\nb O O\nc B-X I-X\nd B-X B-X\n")
    assert score_file(path)["entities"]["X"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 3}
    path.write_text("a B-X I-X\nb O O\nc B-X B-X\n")  # IOB2, one of them ill-formed
    assert score_file(path)["entities"]["X"]["recall"] == 0.5


def test_score_file_turns_predictions_of_another_scheme_into_iob2(tmp_path):
    path = tmp_path / "predictions.conll"
    path.write_text("a B-X S-X\nb O O\nc B-X B-X\nd I-X E-X\n")
    assert score_file(path)["entities"]["X"]["f1"] == 1.0


def test_scoring_without_a_file_says_what_is_missing():
    with pytest.raises(RecipeError, match="required: file: see python -m recipe score --help"):
        main([])


def test_reference_is_shown_for_its_own_test_split_only(conll2003):
    gold = [s.tags for document in read_conll(conll2003 / "eng.testb") for s in document.sentences]
    report = score(gold, gold)
    assert {tag: row["support"] for tag, row in report["tags"].items()} == {
        tag: row[3] for tag, row in REFERENCE.items()
    }
    assert sum(row["support"] for row in report["tags"].values()) == 46_435
    assert "0.926 (+0.074)" in format_report(report)
    assert "reference" not in format_report(score(gold[:-1], gold[:-1]))


def test_the_scheme_of_a_file_can_be_given(tmp_path, capsys):
    """Predictions that all begin with I- are read as IOB1, unless the scheme is said to be IOB2."""
    path = tmp_path / "both.conll"
    path.write_text("a B-X I-X\nb O O\n")
    assert score_file(str(path))["entities"]["micro avg"]["f1"] == 1.0
    assert score_file(str(path), "IOB2")["entities"]["micro avg"]["f1"] == 0.0
    path.write_text("a I-X I-X\nb O O\n" + "c O O\nd I-X I-X\n" * 3)
    main([str(path), "--tag_scheme", "IOB1", "--json"])
    assert json.loads(capsys.readouterr().out)["entities"]["micro avg"] == {
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
        "support": 4,
    }
    path.write_text("a I-X\n")
    with pytest.raises(RecipeError, match=r"both\.conll:1: expected lines of a word, its gold tag and its predicted"):
        score_file(str(path))


REPORT = """\
Entities (strict)
               precision    recall        f1   support
LOC                1.000     0.500     0.667         2
PER                0.000     0.000     0.000         0
micro avg          0.500     0.500     0.500         2
macro avg          0.500     0.250     0.333         2
weighted avg       1.000     0.500     0.667         2

Tags
               precision    recall        f1   support
B-LOC              1.000     0.500     0.667         2
B-PER              0.000     0.000     0.000         0
O                  0.500     1.000     0.667         1
"""


def test_a_report_is_a_table_of_entities_and_one_of_tags():
    gold, predicted = split(["B-LOC O", "B-LOC"]), split(["B-LOC O", "B-PER"])
    report = score(gold, predicted)
    expected = REPORT.replace("0.500     1.000     0.667         1", "1.000     1.000     1.000         1")
    assert format_report(report) == expected
    alone = report | {"alone": {"LOC": {"precision": 1.0, "recall": 0.5, "f1": 0.25, "support": 7}}}
    alone["running_text"] = {"sentences": 3, "tagger": 0.8, "pipeline": 0.7899}
    alone["metrics"] = {"share": 1 / 3}
    assert format_report(alone) == expected + (
        "\nEntities, each sentence without its context\n"
        "               precision    recall        f1   support\n"
        "LOC                1.000     0.500     0.250         7\n"
        "\nRunning text (3 sentences, each alone), entity F1: Tagger 0.800, transformers' pipeline 0.790\n"
        "The pipeline splits text into other words than the training data: use the Tagger.\n"
        "\nYour own metrics\n"
        "share              0.333\n"
    )
    assert format_reports({"dev": report, "test": report}) == f"== dev ==\n{expected}\n== test ==\n{expected}"


def test_the_f1_of_a_file_has_an_interval_over_its_documents(tmp_path):
    draw = random.Random(3)
    lines = []
    for number in range(30):
        lines += ["-DOCSTART- O O", ""] + [f"a B-X {draw.choice(['B-X', 'B-X', 'O'])}\n" for _ in range(number % 7 + 1)]
    path = tmp_path / "predictions.conll"
    path.write_text("\n".join(lines))
    report = score_file(str(path))
    low, high = report["documents"]["intervals"]["micro avg"]
    f1 = report["entities"]["micro avg"]["f1"]
    assert 0 < low < f1 < high < 1
    text = format_report(report)
    assert f"\nF1 {100 * f1:.1f} (95 % interval {100 * low:.1f} to {100 * high:.1f}, over 30 documents)\n" in text
    assert text.splitlines()[1].endswith("   support   95 % of f1")
    assert text.splitlines()[2].endswith(f"   {low:.3f} to {high:.3f}")
    path.write_text("\n".join(line for line in lines if "DOCSTART" not in line))
    report = score_file(str(path))
    assert f"over {len([line for line in lines if line.startswith('a')])} sentences)" in format_report(report)
    assert json.loads(json.dumps(report)) == report


def test_a_perfect_score_has_no_interval(tmp_path):
    path = tmp_path / "predictions.conll"
    path.write_text("a B-X B-X\n\nb O O\n\n")
    assert "\nF1 100.0 (no interval: 2 sentences)\n" in format_report(score_file(str(path)))


def test_a_pipeline_as_good_as_the_tagger_needs_no_warning():
    assert not differs(0.5, 0.5)
    assert differs(0.5, 0.52)
    assert differs(0.52, 0.5)
    assert not differs(0.75, 0.75 + MOST_DIFFERENCE / 2)
    running = {"sentences": 3, "tagger": 0.8, "pipeline": 0.795}
    assert "use the Tagger" not in format_report(score(split(GOLD), split(GOLD)) | {"running_text": running})


def test_the_reference_is_shown_for_as_many_tags_as_it_has():
    tags = [[tag] * row[3] for tag, row in REFERENCE.items()]
    predicted = [["O"] * len(row) if row[0] == "I-LOC" else row for row in tags]
    text = format_report(score(tags, predicted))
    assert text.startswith("Entities (strict)\n")
    header, first, second, *_ = text.partition("\n\nTags: reference and difference to it\n")[2].splitlines()
    assert header == "                       precision            recall                f1"
    assert first == "B-LOC             0.926 (+0.074)    0.906 (+0.094)    0.916 (+0.084)"
    assert second == "I-LOC             0.900 (-0.900)    0.805 (-0.805)    0.850 (-0.850)"
    assert len(text.partition("Tags: reference")[2].splitlines()) == 2 + len(REFERENCE)
    tags[0].pop()
    assert "reference" not in format_report(score(tags, tags))


def test_a_summary_has_the_micro_average_and_the_f1_of_each_type():
    summary = summarize_entities(split(["B-LOC O B-PER"]), split(["B-LOC B-LOC O"]))
    assert summary == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "f1_LOC": pytest.approx(2 / 3), "f1_PER": 0.0}


def test_own_metrics_are_given_gold_and_predicted_tags():
    predicted = split(["B-PER O O O", "O O"])
    report = score(
        split(GOLD), predicted, lambda gold, guessed: {"gold": len(set(gold[0])), "guessed": len(set(guessed[0]))}
    )
    assert report["metrics"] == {"gold": 4, "guessed": 2}
    assert "metrics" not in score(split(GOLD), split(GOLD))


def test_sentences_of_other_lengths_are_not_scored():
    with pytest.raises(ValueError, match="2 gold tags but 1 predicted tags in one sentence"):
        score_entities([["O", "O"]], [["O"]])
    for scored in (score_entities, score_tags):
        with pytest.raises(ValueError, match="zip"):
            scored([["O"], ["O"]], [["O"]])


def test_predictions_of_a_given_scheme_are_turned_into_iob2(tmp_path):
    path = tmp_path / "predictions.conll"
    path.write_text("a U-X B-X\nb O O\nc B-X B-X\nd L-X I-X\n\ne U-X O\n")
    row = score_file(str(path), "BILOU")["entities"]["X"]
    assert row == {"precision": 1.0, "recall": pytest.approx(2 / 3), "f1": 0.8, "support": 3}
    assert score_file(str(path)) == score_file(str(path), "BILOU")


@pytest.mark.parametrize(("scheme", "prefix"), [("BILOU", "E"), ("IOB2", "E"), ("IOBES", "L")])
def test_tags_of_another_scheme_than_the_given_one_are_refused(tmp_path, scheme, prefix):
    path = tmp_path / "predictions.conll"
    path.write_text(f"a B-X B-X\nb {prefix}-X O\n")
    with pytest.raises(RecipeError, match=f"prefix {prefix}, which is not in the scheme {scheme}"):
        main([str(path), "--tag_scheme", scheme])


def test_a_file_that_cannot_be_scored_is_refused_by_line(tmp_path):
    path = tmp_path / "predictions.conll"
    path.write_text("a O O\nb O\n")
    with pytest.raises(RecipeError, match=f"^{path}:2: expected lines of a word, its gold tag and its predicted tag$"):
        score_file(str(path))
    with pytest.raises(RecipeError, match="no-such-file"):
        score_file("no-such-file")


def test_the_report_of_a_file_is_printed_as_it_is_or_as_json(tmp_path, capsys):
    path = tmp_path / "predictions.conll"
    path.write_text("a B-LOC B-LOC\nb B-LOC O\nc O O\n")
    report = score_file(str(path))
    main([str(path)])
    assert capsys.readouterr().out == format_report(report)
    main([str(path), "--json"])
    assert capsys.readouterr().out == json.dumps(report, indent=2) + "\n"


@pytest.mark.parametrize(
    ("separator", "space"), [("\t", " "), ("\t", "  "), ("\t", "\u00a0"), (" ", "\u00a0"), (" ", "\u3000")]
)
@pytest.mark.parametrize("last", "IE")
def test_types_with_white_space_are_the_same_in_both_columns(tmp_path, separator, space, last):
    kind = f"work{space}of{space}art"
    rows = [["Mona", f"B-{kind}", f"B-{kind}"], ["Lisa", f"{last}-{kind}", f"{last}-{kind}"], ["hung", "O", "O"]]
    (tmp_path / "a.txt").write_text("".join(separator.join(row) + "\n" for row in rows))
    report = score_file(str(tmp_path / "a.txt"))
    name = kind.replace(" ", "_").replace("\u00a0", "_").replace("\u3000", "_")
    assert list(report["tags"]) == [f"B-{name}", f"I-{name}", "O"]
    assert report["entities"][name] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1}


def test_predictions_beside_columns_of_conllu_are_read_from_the_last_column(tmp_path):
    middle = "\t_" * 7
    rows = "".join(f"{number}{middle}\t{tag}\t{tag}\n" for number, tag in ((1, "B-X"), (2, "O")))
    (tmp_path / "a.txt").write_text(rows)
    assert score_file(str(tmp_path / "a.txt"))["entities"]["X"]["f1"] == 1.0


TRAINING = "Mara NNP I-NP I-PER\nleft VBD I-VP O\nOslo NNP I-NP I-LOC\n. . O O\n\n"


@pytest.mark.parametrize("text", [TRAINING, f"-DOCSTART- -X- O O\n\n{TRAINING * 20}", TRAINING.replace("I-", "B-")])
def test_training_data_with_chunks_are_no_predictions(tmp_path, text):
    path = tmp_path / "train.txt"
    path.write_text(text)
    message = (
        f"{path}: gold and predicted tags have no type in common (gold: NP, VP; predicted: LOC, PER), as in training "
        "data with syntactic chunks: expected lines of a word, its gold tag and its predicted tag"
    )
    with pytest.raises(RecipeError, match=f"^{re.escape(message)}$"):
        score_file(str(path))


def test_chunks_and_what_a_model_predicts_of_them_are_scored(tmp_path):
    path = tmp_path / "chunks.txt"
    path.write_text("Mara B-NP B-VP\n" * 30)
    assert score_file(str(path))["entities"]["NP"]["support"] == 30
    path.write_text(TRAINING.replace("I-PER", "O").replace("I-LOC", "O"))  # a model that finds nothing
    assert score_file(str(path))["entities"]["micro avg"]["support"] == 3


@pytest.mark.parametrize("prefix", ["B", "I", "S"])
@pytest.mark.parametrize(("gold", "predicted", "warned"), [(10, 10, True), (9, 50, False), (50, 9, False)])
def test_many_entities_without_a_common_type_are_scored_with_a_warning(
    tmp_path, caplog, prefix, gold, predicted, warned
):
    rows = [f"a {prefix}-PER O" for _ in range(gold)]
    rows += [f"a O {prefix}-ORG" for _ in range(predicted)]
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(rows) + "\n")
    assert score_file(str(path))["entities"]["micro avg"]["f1"] == 0
    expected = (
        f"{path}: gold and predicted tags have no type in common (gold: PER; predicted: ORG): check that the last two "
        "columns are gold and predicted tags"
    )
    assert caplog.messages == [expected] * warned
    path.write_text("\n\n".join([*rows, f"a O {prefix}-PER"]) + "\n")
    caplog.clear()
    score_file(str(path))
    assert caplog.messages == []


def test_a_terminal_gets_no_control_characters_of_types(tmp_path, capsys, caplog):
    path = tmp_path / "a.txt"
    path.write_text("a B-P\x1b[31mER B-P\x1b[31mER\n")
    main([str(path)])
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert r"P\x1b[31mER" in printed
    path.write_text("a B-P\x1b[31mER O\n\nb O B-Q\u202eER\n\n" * 10)
    score_file(str(path))
    assert r"(gold: P\x1b[31mER; predicted: Q\u202eER)" in caplog.text

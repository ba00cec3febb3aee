"""`python -m recipe compare`: what it says of runs, seeds and files, and what it refuses to compare."""

import json
import random
import re
import shutil
from collections import Counter
from pathlib import Path
from time import process_time

import pytest

from recipe.data import conll
from recipe.data.conll import write_conll
from recipe.data.documents import Document, Sentence, list_sentences, list_tags
from recipe.data.schemes import list_entities, to_iob2
from recipe.errors import RecipeError
from recipe.evaluation.comparison import compare, compare_systems, main
from recipe.evaluation.disagreements import find_disagreements, tabulate_disagreements
from recipe.evaluation.predictions import read_predictions
from recipe.evaluation.rendering import FORMATS, Part, render
from recipe.evaluation.scored import read_result
from recipe.evaluation.scoring import score, score_documents
from recipe.evaluation.systems import _find_paths, read_systems

RUN = {"seed": 1, "train_minutes": 2.0, "total_minutes": 3.0, "model": "m", "data": "d", "hardware": "h"}


def make_gold(documents=20, left="left"):
    draw = random.Random(0)
    return [
        Document(
            [
                Sentence(
                    [draw.choice(["Oslo", "Lima", left, "met"]) for _ in range(9)],
                    to_iob2([draw.choice(["O", "B-LOC", "I-LOC", "B-PER"]) for _ in range(9)]),
                )
                for _ in range(4)
            ]
        )
        for _ in range(documents)
    ]


GOLD = make_gold()


def predict(mistakes, seed=0, gold=GOLD):
    """The gold tags, of which a share was replaced at random."""
    draw = random.Random(seed)
    return [
        to_iob2([draw.choice(["O", "B-LOC", "B-PER"]) if draw.random() < mistakes else tag for tag in tags])
        for tags in list_tags(gold)
    ]


def write_file(path, mistakes, seed=0, gold=GOLD):
    write_conll(path, gold, predict(mistakes, seed, gold))
    return str(path)


def write_run(folder, mistakes, seed=1, gold=GOLD, counted=True, **changed):
    """A run's folder with the scores of both splits, and the predictions."""
    report = {}
    for split in ("dev", "test"):
        predicted = predict(mistakes, f"{seed}{split}", gold)
        report[split] = score(list_tags(gold), predicted)
        if counted:
            report[split]["documents"] = score_documents(gold, predicted)
        write_conll(folder / "predictions" / f"{split}.conll", gold, predicted)
    report["run"] = RUN | {"seed": seed, "changed": {"seed": seed, **changed}}
    (folder / "report.json").write_text(json.dumps(report))
    return str(folder)


def copy_report(folder, path):
    path.write_text((Path(folder) / "report.json").read_text())
    return str(path)


def find_part(parts, title):
    return next(part for part in parts if part.title == title)


def test_a_better_run_is_called_better_with_its_interval_and_p_value(tmp_path):
    paths = [write_run(tmp_path / "plain", 0.3), write_run(tmp_path / "clever", 0.1)]
    for split in ("dev", "test"):
        part = find_part(compare(paths), f"{split}: B compared with A")
        assert part.header == ["F1", "A", "B", "B - A", "95 % interval", "p"]
        assert [row[0] for row in part.rows] == ["LOC", "PER", "micro avg"]
        assert re.match(
            r"B is better than A: \+\d+\.\d points \(95 % interval \+.* to \+.*, p < 0\.001\)\.", part.notes[0]
        )
        assert part.notes[1].startswith("20 documents. ")
    back = find_part(compare(paths[::-1]), "test: B compared with A")
    assert back.notes[0].startswith("B is worse than A: -")


def test_the_differences_are_those_of_the_reports(tmp_path):
    paths = [write_run(tmp_path / "a", 0.3), write_run(tmp_path / "b", 0.2)]
    reports = [json.loads((Path(path) / "report.json").read_text())["test"]["entities"] for path in paths]
    for name, *cells in find_part(compare(paths), "test: B compared with A").rows:
        a, b = (100 * report[name]["f1"] for report in reports)
        assert cells[:3] == [f"{a:.1f}", f"{b:.1f}", f"{b - a:+.1f}"]
        low, high = map(float, cells[3].split(" to "))
        assert low < b - a < high
        assert cells[4] == "< 0.001" or 0 < float(cells[4]) <= 1


def test_runs_that_say_the_same_have_no_difference(tmp_path):
    part = find_part(compare([write_run(tmp_path / name, 0.2) for name in "ab"]), "test: B compared with A")
    assert part.notes[0].startswith("No difference between these trained models is shown: +0.0 points")
    assert [row[3:] for row in part.rows] == [["+0.0", "-", "1.000"]] * 3


@pytest.mark.parametrize("kind", ["folder", "report", "copy", "file", "old folder"])
def test_all_ways_to_name_a_run_give_the_same_figures(tmp_path, kind):
    first, other = write_run(tmp_path / "a", 0.3), write_run(tmp_path / "b", 0.1, counted=kind != "old folder")
    expected = find_part(compare([first, write_run(tmp_path / "same", 0.1)]), "test: B compared with A")
    named = {"report": f"{other}/report.json", "file": f"{other}/predictions/test.conll"}
    if kind == "copy":
        named["copy"] = copy_report(other, tmp_path / "copy.json")
    assert find_part(compare([first, named.get(kind, other)]), "test: B compared with A") == expected


def test_a_file_whose_name_says_no_split_is_compared_with_the_split_of_the_same_gold(tmp_path):
    run, file = write_run(tmp_path / "a", 0.3), write_file(tmp_path / "crf.conll", 0.1)
    assert find_part(compare([run, file]), "dev: B compared with A")  # the splits of this run have the same gold
    other = write_file(tmp_path / "other.conll", 0.2, gold=make_gold(12))
    with pytest.raises(
        RecipeError, match=r"other\.conll: its gold is that of no split of .* \(dev: 12 documents, in the"
    ):
        compare([run, other])
    two = compare([file, write_file(tmp_path / "svm.conll", 0.3)])
    assert find_part(two, "predictions: B compared with A").notes[0].startswith("B is worse")


def test_other_documents_are_refused_by_their_number(tmp_path):
    paths = [write_run(tmp_path / "a", 0.1), write_run(tmp_path / "b", 0.1, gold=GOLD[:-1])]
    with pytest.raises(RecipeError, match=r"b/report.json: dev: its gold is not .*: 19 documents, in the other 20"):
        compare(paths)


def test_other_support_is_refused_by_the_document_and_type(tmp_path):
    changed = make_gold()
    changed[6].sentences[0].tags = ["B-PER"] + ["O"] * 8
    for counted in (True, False):
        paths = [write_run(tmp_path / "a", 0, counted=counted), write_run(tmp_path / "b", 0, gold=changed)]
        place = "document 7"
        if not counted:
            paths = [copy_report(path, tmp_path / f"{name}.json") for name, path in zip("ab", paths, strict=True)]
            place = "the split"
        with pytest.raises(RecipeError, match=rf"{place} has \d+ entities LOC, in the other \d+"):
            compare(paths)


@pytest.mark.parametrize(
    ("place", "word", "tag", "found"),
    [
        (1, "Quito", "O", "'Quito' O"),
        (1, "left\x1b[31m\u202e", "O", "'left\\x1b[31m\\u202e' O"),
        (3, "met", "O", "'met' O"),  # an entity moved to another word
    ],
)
def test_other_words_and_tags_with_the_same_counts_are_refused_by_their_line(tmp_path, place, word, tag, found):
    sentence = Sentence(["Mara", "left", "Oslo", "met", "Lima"], ["B-PER", "O", "O", "B-LOC", "I-LOC"])
    changed = Sentence([*sentence.words], [*sentence.tags])
    changed.words[place], changed.tags[place] = word, tag
    changed.tags[4] = "B-LOC" if place == 3 else "I-LOC"
    for number in (1, 12):  # sentences are compared, and documents
        same = [Document([sentence])] * number
        files = [write_file(tmp_path / "a.conll", 0, gold=same)]
        files.append(write_file(tmp_path / "b.conll", 0, gold=[*same[1:], Document([changed])]))
        unit, line = ("sentence 1" if number == 1 else "document 12"), 8 * number - 5 + place
        message = f"b.conll:{line} has {found} in {unit}, but {files[0]}:{line} has {sentence.words[place]!r} "
        with pytest.raises(RecipeError, match=re.escape(message)):
            compare(files)
        run = write_run(tmp_path / f"run{number}", 0, gold=same)
        with pytest.raises(RecipeError, match=re.escape(f" has {found} in {unit}, but {run}/predictions/dev.conll")):
            compare([run, files[1]])


def test_words_with_no_break_spaces_are_those_that_the_recipe_writes(tmp_path):
    file = Path(write_file(tmp_path / "a.conll", 0))
    run = write_run(tmp_path / "run", 0, gold=make_gold(left="le_ft"))
    file.write_text(file.read_text().replace("left", "le\u00a0ft"))
    assert compare([run, str(file)])


def test_a_file_with_words_at_its_end_that_the_other_lacks_is_refused(tmp_path):
    longer = make_gold()
    longer[-1].sentences[-1] = Sentence(["Oslo"], ["O"])
    gold = make_gold()
    gold[-1].sentences[-1] = Sentence(["Oslo", "left"], ["O", "O"])
    files = [write_file(tmp_path / f"{name}.conll", 0, gold=one) for name, one in (("a", gold), ("b", longer))]
    with pytest.raises(RecipeError, match=r"b\.conll ends, but .*a\.conll:\d+ has 'left' O in document 20$"):
        compare(files)
    with pytest.raises(RecipeError, match=r"a\.conll:\d+ has 'left' O in document 20, but .*b\.conll ends$"):
        compare(files[::-1])


def test_files_with_and_without_marked_documents_are_not_compared(tmp_path):
    whole = [Document([sentence for document in GOLD for sentence in document.sentences])]
    paths = [write_file(tmp_path / "a.conll", 0.1), write_file(tmp_path / "b.conll", 0.1, gold=whole)]
    with pytest.raises(RecipeError, match="divided into sentences, the other into documents: mark documents"):
        compare(paths)


def test_other_words_are_named_before_the_documents_that_are_not_marked(tmp_path):
    other = [Document([Sentence(["Lima", "left"], ["B-LOC", "O"]), *GOLD[0].sentences])]
    run, file = write_run(tmp_path / "run", 0.1), write_file(tmp_path / "b.conll", 0.1, gold=other)
    with pytest.raises(RecipeError, match=r"b\.conll:\d+ has 'Lima' B-LOC in sentence 1, but .* in document 1$"):
        compare([write_file(tmp_path / "a.conll", 0.1), file])
    shutil.rmtree(tmp_path / "run" / "predictions")
    with pytest.raises(RecipeError, match=r"the split has \d+ entities LOC, in the other \d+"):
        compare([run, file])


@pytest.mark.parametrize("name", ["no-such-run", "a.json", "empty"])
def test_what_is_no_system_is_refused_in_one_line(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.json").write_text('{"run": {}}')
    with pytest.raises(RecipeError, match=rf"{name}.*: (no such file: expected a scored run|has no scores)"):
        compare([write_run(tmp_path / "run", 0.1), str(tmp_path / name)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Oslo B-LOC\n", ":1: expected lines of a word, its gold tag and its predicted tag"),
        (b"Oslo\tO\t\nLima\tO\tO\n", ":1: expected lines of a word, its gold tag and its predicted tag"),
        (b"R\xe9mi B-PER O\n", ":1: byte 0xe9 is not utf-8: convert the file to UTF-8"),
        (b"Os\0lo O O\n", ":1: a NUL byte: convert the file to UTF-8"),
        (b"Oslo S-LOC O\nis I-LOC O\nLima L-PER O\n" * 9, "fix the tags"),
    ],
)
def test_errors_of_a_file_advise_no_setting_that_the_verbs_do_not_have(tmp_path, content, message):
    (tmp_path / "predictions").mkdir()
    file = tmp_path / "predictions" / "test.conll"
    file.write_bytes(content)
    with pytest.raises(RecipeError, match=rf"^{file}.*{message}$"):
        compare([str(file)])
    if "tags" not in message:  # the page takes tags as the recipe writes them
        with pytest.raises(RecipeError, match=rf"^{file}{message}$"):
            read_predictions(tmp_path, "test")


def test_an_empty_name_and_a_masked_language_model_are_no_systems(tmp_path):
    with pytest.raises(RecipeError, match="a system without a name: give a run's folder, a copy of"):
        compare([""])
    (tmp_path / "metrics.json").write_text('{"dev": {"loss": 1.0, "perplexity": 2.7}, "run": {}}')
    for name in (tmp_path, tmp_path / "metrics.json"):
        with pytest.raises(RecipeError, match=r"metrics\.json: a masked language model has no entities to compare"):
            compare([str(name)])


def test_systems_without_a_common_split_are_refused(tmp_path):
    paths = [write_file(tmp_path / f"{split}.conll", 0.1) for split in ("dev", "test")]
    with pytest.raises(
        RecipeError, match=r"no split is scored in all systems \(.*dev.conll: dev; .*test.conll: test\)"
    ):
        compare(paths)


def test_damaged_counts_are_refused_by_file_and_split(tmp_path):
    folder = write_run(tmp_path / "a", 0.1)
    file = Path(folder) / "report.json"
    report = json.loads(file.read_text())
    report["test"]["documents"]["hits"] = {}
    file.write_text(json.dumps(report))
    with pytest.raises(RecipeError, match=r"a/report.json: test: damaged counts \(KeyError: 'LOC'\): restore the file"):
        compare([folder, write_run(tmp_path / "b", 0.1)])


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [("hits", "LOC", "micro avg: f1"), ("guesses", "PER", "micro avg: f1"), ("support", "LOC", "micro avg: support")],
)
def test_counts_that_do_not_add_up_to_the_scores_are_refused(tmp_path, kind, name, found):
    run = write_run(tmp_path / "a", 0.3)
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    counts = report["test"]["documents"][kind][name].split()
    place = next(place for place, count in enumerate(counts) if count != "0")
    step = -1 if kind == "hits" else 1
    report["test"]["documents"][kind][name] = " ".join(
        [*counts[:place], str(int(counts[place]) + step), *counts[place + 1 :]]
    )
    (tmp_path / "a" / "report.json").write_text(json.dumps(report))
    message = rf"a/report\.json: test: its counts by document do not add up to its scores \({found} .*, reported .*\)"
    for systems in ([run], [run, write_run(tmp_path / "b", 0.1)]):
        with pytest.raises(RecipeError, match=message):
            compare(systems)


def test_counts_whose_types_are_exchanged_are_refused(tmp_path):
    run = write_run(tmp_path / "a", 0.3)
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    for kind in ("hits", "guesses", "support"):
        counts = report["test"]["documents"][kind]
        counts["LOC"], counts["PER"] = counts["PER"], counts["LOC"]
    (tmp_path / "a" / "report.json").write_text(json.dumps(report))
    with pytest.raises(RecipeError, match=r"do not add up to its scores \(LOC: support \d+, reported \d+\)"):
        compare([run])


@pytest.mark.parametrize("counted", [True, False])
def test_predictions_that_are_not_those_of_the_report_beside_them_are_refused(tmp_path, counted):
    run = write_run(tmp_path / "a", 0.3, counted=counted)
    write_file(tmp_path / "a" / "predictions" / "test.conll", 0.1)
    message = (
        r"a/predictions/test\.conll: not the predictions that report\.json scores \(micro avg: f1 .*, reported .*\)"
    )
    with pytest.raises(RecipeError, match=message):
        compare([run, write_run(tmp_path / "b", 0.1)])


def test_ill_formed_predictions_of_a_run_are_scored_strictly_even_if_all_of_them_are_iob1(tmp_path):
    gold = [Document([Sentence(["Oslo", "Mara"], ["B-LOC", "B-PER"]), Sentence(["Oslo"], ["B-LOC"])])]
    predicted = [["I-LOC", "I-PER"], ["O"]]
    (tmp_path / "predictions").mkdir()
    write_conll(tmp_path / "predictions" / "dev.conll", gold, predicted)
    report = {"dev": score(list_tags(gold), predicted), "run": RUN}
    (tmp_path / "report.json").write_text(json.dumps(report))
    counts = read_result(tmp_path).count("dev")
    assert counts.types == ["LOC", "PER"]
    assert counts.select(counts.types).sum((0, 1)).tolist() == [0, 0, 6]  # of types and of all: hits, guesses, support


def test_ill_formed_predictions_of_a_run_are_shown_as_they_are_scored(tmp_path):
    gold = [Document([Sentence(["Oslo", "left"], ["B-LOC", "O"]), Sentence(["Mara"], ["B-PER"])])]
    for name, predicted in (("a", [["I-LOC", "O"], ["O"]]), ("b", [["B-LOC", "O"], ["B-PER"]])):
        (tmp_path / name / "predictions").mkdir(parents=True)
        write_conll(tmp_path / name / "predictions" / "dev.conll", gold, predicted)
        report = {"dev": score(list_tags(gold), predicted), "run": RUN}
        (tmp_path / name / "report.json").write_text(json.dumps(report))
    part = find_part(compare([str(tmp_path / "a"), str(tmp_path / "b")]), "dev: B right, A wrong")
    assert [row[2:] for row in part.rows] == [["LOC: Oslo", "-", "LOC: Oslo"], ["PER: Mara", "-", "PER: Mara"]]


def test_types_with_white_space_are_the_same_in_all_systems(tmp_path):
    kinds = {"a.txt": "work of art", "b.txt": "work_of_art", "c.txt": "work\u00a0of\u00a0art"}
    for name, kind in kinds.items():
        (tmp_path / name).write_text(f"Mona\tB-{kind}\tB-{kind}\nLisa\tI-{kind}\tI-{kind}\n\nhung\tO\tO\n")
    parts = compare([str(tmp_path / name) for name in kinds])
    for letter in "BC":
        rows = find_part(parts, f"predictions: {letter} compared with A").rows
        assert [row[:3] for row in rows] == [["work_of_art", "100.0", "100.0"], ["micro avg", "100.0", "100.0"]]


def test_training_data_with_chunks_are_no_system(tmp_path):
    (tmp_path / "train.txt").write_text("Mara NNP I-NP I-PER\nleft VBD I-VP O\n")
    with pytest.raises(
        RecipeError, match=r"train\.txt: gold and predicted tags have no type in common \(gold: NP, VP; "
    ):
        compare([str(tmp_path / "train.txt")])


def test_each_file_is_read_once_and_equal_gold_is_kept_once(tmp_path, monkeypatch):
    runs = [write_run(tmp_path / name, 0.2, seed) for seed, name in enumerate("abcd")]
    files = [write_file(tmp_path / f"{name}.conll", 0.3) for name in "ef"]
    read, times = conll.read_lines, Counter()
    monkeypatch.setattr(conll, "read_lines", lambda path, encoding: times.update([str(path)]) or read(path, encoding))
    systems = read_systems([runs[0], runs[1], f"{runs[2]},{runs[3]}", *files])
    assert len(compare_systems(systems)) > 8
    assert set(times) == {*files, *(f"{run}/predictions/{split}.conll" for run in runs for split in ("dev", "test"))}
    assert set(times.values()) == {1}
    tagged = [part for system in systems for result in system.results for part in result.tagged.values()]
    assert len(tagged) == 10
    for kind in ("words", "tags"):
        assert len({id(getattr(list_sentences(part.documents)[0], kind)) for part in tagged}) == 1
    places = {list_sentences(part.documents)[0].place for part in tagged}
    assert places == {f"{file}:3" for file in times}


def write_seeds(folder, name, mistakes, seeds=(1, 2, 3), **options):
    return [write_run(folder / f"{name}-seed{seed}", mistakes, seed, **options) for seed in seeds]


def test_groups_of_seeds_have_mean_spread_best_and_worst_and_a_test_of_their_own(tmp_path):
    write_seeds(tmp_path, "plain", 0.3)
    write_seeds(tmp_path, "clever", 0.1)
    parts = compare([str(tmp_path / "plain-seed*"), str(tmp_path / "clever-seed*")])
    assert find_part(parts, "Systems").rows == [["A", "plain", "3", "1 2 3"], ["B", "clever", "3", "1 2 3"]]
    assert find_part(parts, "test: B compared with A").notes[0].startswith("B is better than A")
    seeds = find_part(parts, "Seeds")
    assert [row[:2] for row in seeds.rows] == [["dev", "A"], ["dev", "B"], ["test", "A"], ["test", "B"]]
    assert [row[-1] for row in seeds.rows] == ["-", "0.100", "-", "0.100"]
    for _, _, mean, best, worst, _ in seeds.rows:
        assert float(worst) <= float(mean.split(" ± ")[0]) <= float(best)
    notes = " ".join(seeds.notes)
    assert "A: 3 seeds. The F1 of a further seed has a chance of 50% to be above the best or below the worst, " in notes
    assert "or less where seeds have equal F1." in notes
    assert "a p over seeds is 0.10 at best, so these runs cannot show that the recipes differ" in notes
    assert "4 seeds of each could" in notes


def test_four_seeds_of_each_are_said_to_suffice(tmp_path):
    write_seeds(tmp_path, "plain", 0.3, (1, 2, 3, 4))
    write_seeds(tmp_path, "clever", 0.1, (1, 2, 3, 4))
    seeds = find_part(compare([str(tmp_path / "plain-seed*"), str(tmp_path / "clever-seed*")]), "Seeds")
    assert "A and B, 4 and 4 runs: the p over seeds is about the recipes, with other seeds too" in seeds.notes[-1]
    assert seeds.rows[1][-1] == "0.029"


def test_a_group_can_be_given_with_commas_and_alone(tmp_path):
    group = ",".join(write_seeds(tmp_path, "plain", 0.3))
    parts = compare([group])
    assert find_part(parts, "Systems").rows == [["A", "plain", "3", "1 2 3"]]
    assert [row[0] for row in find_part(parts, "test: A").rows] == ["LOC", "PER", "micro avg"]
    assert all(re.fullmatch(r"\d+\.\d to \d+\.\d", row[2]) for row in find_part(parts, "test: A").rows)


def test_a_pattern_leaves_out_runs_that_were_set_aside_unless_it_names_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("a-seed1", "a-seed2", "a-seed1.aside-1", "a-seed2.aside-10", "a-seed3.aside-x", "b/aside-1", "b/c"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "report.json").touch()

    def find(argument):
        return list(map(str, _find_paths(argument)))

    assert find("a-seed*") == ["a-seed1", "a-seed2", "a-seed3.aside-x"]
    assert find("a-seed[12]*/report.json") == ["a-seed1/report.json", "a-seed2/report.json"]
    assert find(f"{tmp_path}/a-seed1*,b/*") == [f"{tmp_path}/a-seed1", "b/c"]
    assert find("a-seed1.aside-1") == ["a-seed1.aside-1"]
    assert find("a-seed?.aside-*,a-seed1") == ["a-seed1.aside-1", "a-seed2.aside-10", "a-seed3.aside-x", "a-seed1"]
    assert find("*-seed1.*") == ["*-seed1.*"]  # which is then refused by its name


def test_runs_with_other_settings_or_the_same_seed_are_no_group(tmp_path):
    write_run(tmp_path / "a-seed1", 0.1, 1, learning_rate=0.1)
    write_run(tmp_path / "a-seed2", 0.1, 2, learning_rate=0.2)
    with pytest.raises(RecipeError, match=r"not another seed of .*, because learning_rate differ: compare them as two"):
        compare([str(tmp_path / "a-seed*")])
    write_run(tmp_path / "a-seed2", 0.1, 1, learning_rate=0.1)
    with pytest.raises(RecipeError, match=r"a-seed2/report\.json: seed 1 is in this group twice"):
        compare([str(tmp_path / "a-seed*")])


def test_a_report_of_an_earlier_version_says_nothing_about_its_settings_and_can_be_a_seed(tmp_path):
    paths = [write_run(tmp_path / f"a-seed{seed}", 0.1, seed, learning_rate=0.1) for seed in (1, 2, 3)]
    file = Path(paths[0]) / "report.json"
    report = json.loads(file.read_text())
    del report["run"]["changed"]
    file.write_text(json.dumps(report))
    assert find_part(compare([str(tmp_path / "a-seed*")]), "Systems").rows == [["A", "a", "3", "1 2 3"]]
    write_run(tmp_path / "a-seed3", 0.1, 3, learning_rate=0.2)
    with pytest.raises(RecipeError, match=r"a-seed3/report\.json: not another seed of .*a-seed2/report\.json"):
        compare([str(tmp_path / "a-seed*")])


@pytest.mark.parametrize(
    "other", ["a-seed1", "./a-seed1", "../{}/a-seed1/", "link", "a-seed1/report.json", "a-seed1/predictions/dev.conll"]
)
def test_a_run_twice_in_one_group_is_refused(tmp_path, monkeypatch, other):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "a-seed1", 0.1)
    (tmp_path / "link").symlink_to("a-seed1")
    other = other.format(tmp_path.name)
    with pytest.raises(RecipeError, match=r": is in this group twice, also as a-seed1/report\.json: give each run"):
        compare([f"a-seed1,{other}"])
    if other != "a-seed1":
        with pytest.raises(RecipeError, match=r"is in this group twice, also as"):
            compare([f"{other},a-seed*"])


@pytest.mark.parametrize("other", ["a.conll", "./a.conll", "link.conll", "hard.conll"])
def test_a_file_twice_in_one_group_is_refused(tmp_path, monkeypatch, other):
    monkeypatch.chdir(tmp_path)
    write_file(tmp_path / "a.conll", 0.1)
    (tmp_path / "link.conll").symlink_to("a.conll")
    (tmp_path / "hard.conll").hardlink_to("a.conll")
    with pytest.raises(RecipeError, match=r"\.conll: is in this group twice, also as a\.conll: give each run once"):
        compare([f"a.conll,{other}"])


@pytest.mark.parametrize("name", ["report.json", "predictions/dev.conll", "predictions/link.conll"])
def test_an_input_is_not_overwritten(tmp_path, name):
    run = write_run(tmp_path / "a", 0.1)
    (tmp_path / "a" / "predictions" / "link.conll").symlink_to("test.conll")
    with pytest.raises(RecipeError, match=rf"output .*{name}: is one of the input files: set another file"):
        main([run, "--output", f"{run}/{name}"])
    file = str(tmp_path / "a" / "predictions" / "test.conll")
    with pytest.raises(RecipeError, match=r"output .*test\.conll: is one of the input files: set another file"):
        main([f"{tmp_path}/*/predictions/test.conll", "--output", file])


@pytest.mark.parametrize(
    ("output", "found"), [("", "output .: is a folder: set a file"), ("-", "output -: reads like standard output")]
)
def test_an_output_that_is_no_file_is_refused(tmp_path, monkeypatch, output, found):
    monkeypatch.chdir(tmp_path)
    file = write_file(tmp_path / "a.conll", 0.1)
    with pytest.raises(RecipeError, match=found):
        main([file, "--output", output])
    assert [path.name for path in tmp_path.iterdir()] == ["a.conll"]


def test_reports_of_an_earlier_version_are_compared_without_intervals(tmp_path):
    for name, mistakes in (("a", 0.3), ("b", 0.1)):
        for folder in write_seeds(tmp_path, name, mistakes, counted=False):
            copy_report(folder, tmp_path / f"{Path(folder).name}.json")
    parts = compare([str(tmp_path / "a-seed*.json"), str(tmp_path / "b-seed*.json")])
    assert find_part(parts, "Systems").notes[0].startswith("A has reports of an earlier version, without counts")
    part = find_part(parts, "test: B compared with A")
    assert part.notes == []
    assert all(row[4:] == ["-", "-"] and row[3].startswith("+") for row in part.rows)
    assert find_part(parts, "Seeds").rows[1][-1] == "0.100"


def test_settings_that_differ_and_costs_are_shown(tmp_path):
    paths = [write_run(tmp_path / "a", 0.1, learning_rate=1e-4), write_run(tmp_path / "b", 0.1, context="none")]
    (tmp_path / "b" / "model.safetensors").write_bytes(b"0" * 3_000_000)
    parts = compare(paths)
    settings = find_part(parts, "Settings that differ")
    assert settings.rows == [["learning_rate", "0.0001", "default"], ["context", "default", "none"]]
    costs = find_part(parts, "Time and size").rows
    assert ["minutes of training", "2.0", "2.0"] in costs
    assert ["weights, MB", "-", "3"] in costs
    assert "these trained models: another seed gives another F1" in find_part(parts, "Seeds").notes[0]


def test_three_systems_are_each_compared_with_the_first(tmp_path):
    paths = [write_file(tmp_path / f"{name}.conll", share) for name, share in (("a", 0.2), ("b", 0.1), ("c", 0.3))]
    titles = [part.title for part in compare(paths, examples=0)]
    assert "predictions: B compared with A" in titles
    assert "predictions: C compared with A" in titles
    assert not any("compared with B" in title for title in titles)


def test_disagreements_are_missed_and_invented_entities():
    gold = [["B-LOC", "O", "O", "B-PER", "I-PER"]]
    right, wrong = [["B-LOC", "O", "O", "B-PER", "I-PER"]], [["B-LOC", "O", "B-ORG", "B-PER", "O"]]
    assert find_disagreements(gold, right, wrong) == [(0, (2, 3, "ORG")), (0, (3, 5, "PER"))]
    assert find_disagreements(gold, wrong, right) == []
    assert find_disagreements(gold, wrong, wrong) == []


def find_slowly(gold, right, wrong):
    """The same as `find_disagreements`, by its definition."""
    found = []
    for number, tags in enumerate(zip(gold, right, wrong, strict=True)):
        true, good, bad = (set(list_entities(one)) for one in tags)
        taken = {word for start, stop, _ in true | good for word in range(start, stop)}
        invented = {entity for entity in bad if not taken & set(range(*entity[:2]))}
        found += [(number, entity) for entity in sorted((true & good) - bad | invented)]
    return found


@pytest.mark.parametrize("common", [0, 0.5, 0.9])
def test_disagreements_are_those_of_their_definition(common):
    draw = random.Random(common)
    tags = [f"{prefix}-{kind}" for prefix in "BI" for kind in "XY"] + ["O"]
    for _ in range(30):
        gold = [draw.choices(tags, k=draw.randrange(30)) for _ in range(10)]
        right, wrong = (
            [[tag if draw.random() < common else draw.choice(tags) for tag in one] for one in gold] for _ in "ab"
        )
        assert find_disagreements(gold, right, wrong) == find_slowly(gold, right, wrong)


def test_a_file_without_blank_lines_is_compared_in_seconds():
    draw = random.Random(0)
    gold, right, wrong = ([draw.choices(["O", "B-X", "B-Y"], [8, 1, 1], k=100_000)] for _ in "abc")
    start = process_time()
    documents = [Document([Sentence(["a"] * len(gold[0]), gold[0])])]
    total, rows = tabulate_disagreements(documents, (right, wrong), 0, 1_000)
    assert process_time() - start < 10  # half a second on a slow machine; each entity with each other takes minutes
    assert (len(rows), total) == (1_000, len(find_disagreements(gold, right, wrong)))


def test_examples_show_gold_and_both_predictions_in_context(tmp_path):
    words = [f"w{number}" for number in range(20)]
    gold = [Document([Sentence(words, ["O"] * 9 + ["B-LOC", "I-LOC"] + ["O"] * 9)])]
    good, bad = gold[0].sentences[0].tags, ["O"] * 9 + ["B-PER"] + ["O"] * 10
    for name, tags in (("good", good), ("bad", bad)):
        write_conll(tmp_path / f"{name}.conll", gold, [tags])
    parts = compare([str(tmp_path / "good.conll"), str(tmp_path / "bad.conll")])
    part = find_part(parts, "predictions: A right, B wrong")
    assert part.header == ["sentence", "context", "gold", "A", "B"]
    marked = "... w3 w4 w5 w6 w7 w8 [w9 w10] w11 w12 w13 w14 w15 w16 ..."
    assert part.rows == [["1", marked, "LOC: w9 w10", "LOC: w9 w10", "PER: w9"]]
    assert find_part(parts, "predictions: B right, A wrong").notes == ["Entities: 0, of which shown: 0."]


@pytest.mark.parametrize("number", [0, 1, 7, 10_000])
def test_the_number_of_examples_can_be_set(tmp_path, number):
    paths = [write_file(tmp_path / f"{name}.conll", 0.3, seed) for seed, name in enumerate("ab")]
    part = find_part(compare(paths, number), "predictions: A right, B wrong")
    total = int(part.notes[0].removeprefix("Entities: ").partition(",")[0])
    assert len(part.rows) == min(number, total)
    assert total > 7
    assert len({tuple(row) for row in part.rows}) == len(part.rows)


def test_files_whose_sentences_are_cut_elsewhere_have_no_examples(tmp_path):
    def halve(sentence):
        halves = (slice(4), slice(4, None))
        return [Sentence(sentence.words[half], to_iob2(sentence.tags[half])) for half in halves]

    cut = [Document([half for s in document.sentences for half in halve(s)]) for document in GOLD]
    joined = [
        Document([Sentence(s.words, [tag for half in halve(s) for tag in half.tags]) for s in document.sentences])
        for document in GOLD
    ]
    paths = [write_file(tmp_path / f"{name}.conll", 0, gold=gold) for name, gold in (("a", joined), ("b", cut))]
    part = find_part(compare(paths), "predictions: A right, B wrong")
    assert part.notes == ["No examples: the two files are divided into other sentences."]


@pytest.mark.parametrize("kind", FORMATS)
def test_text_of_the_data_cannot_break_a_page(kind):
    part = Part("a <b> | c", ["1 < 2 <script>alert(1)</script>"], ["x", "y"], [["<i>|", "a|b"], ["&", ""]])
    page = render("T", [part, Part("left out")], kind)
    assert "left out" not in page
    if kind == "html":
        assert "<script>" not in page
        assert "<td><bdi>&lt;i&gt;|</bdi></td><td><bdi>a|b</bdi></td>" in page
        assert page.startswith("<!doctype html>")
        assert not re.search(r"(src|href)=|url\(", page)
    if kind == "markdown":
        assert "| \\<i>\\| | a\\|b |" in page
        assert "<script>" not in page.replace("\\<script>", "")
    if kind == "text":
        assert page.splitlines()[-2:] == ["<i>|  a|b", "&"]


@pytest.mark.parametrize("kind", FORMATS)
def test_controls_of_a_terminal_and_of_directions_are_shown_as_escapes(kind):
    hostile = "a\x1b[2Jb\u202ec\u2066d\x07e\x9bf\u2028g\u0085"
    kept = "\u05e9\u05dc\u05d5\u05dd \u200d caf\u00e9\u00a0\u4e2d"  # letters of any direction, joiners and spaces
    page = render("T", [Part(hostile, [hostile], [hostile, "y"], [[hostile, kept]])], kind)
    assert not {"\x1b", "\u202e", "\u2066", "\x07", "\x9b", "\u2028", "\u0085"} & set(page)
    assert page.count("u202ec") == 4
    assert "\\x1b" in page
    assert kept.split()[0] in page
    if kind != "markdown":  # which has its own escapes and spaces
        assert r"a\x1b[2Jb\u202ec\u2066d\x07e\x9bf\u2028g\x85" in page
        assert kept in page
    if kind == "html":
        assert f"<td><bdi>{kept}</bdi></td>" in page


@pytest.mark.parametrize("kind", FORMATS)
def test_the_verb_prints_or_writes_each_format(tmp_path, capsys, kind):
    paths = [write_file(tmp_path / f"{name}.conll", 0.2, seed) for seed, name in enumerate("ab")]
    main([*paths, "--format", kind, "--examples", "1"])
    printed = capsys.readouterr().out
    assert "B compared with A" in printed
    assert printed.endswith("\n")
    main([*paths, "--format", kind, "--examples", "1", "--output", str(tmp_path / "page")])
    assert (tmp_path / "page").read_text() == printed
    assert capsys.readouterr().out == ""


def test_a_negative_number_of_examples_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="--examples -1: must be at least 0"):
        main(["a", "b", "--examples", "-1"])

"""Augmentation of training documents: what stays and what changes, whatever the documents."""

import copy
from collections import Counter, defaultdict
from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from test_properties import make_documents

import recipe.data.augmentation as augmentation
import run_ner
from conftest import ROOT, fingerprint
from recipe.arguments import NerArguments, RunArguments, parse
from recipe.data.augmentation import METHODS, augment
from recipe.data.conll import read_columns
from recipe.data.documents import Document, Sentence, list_sentences, list_tags
from recipe.data.schemes import is_well_formed, list_entities, to_iob2
from recipe.data.settings import AUGMENTATIONS, AugmentationArguments
from recipe.data.splits import take_share
from recipe.errors import RecipeError
from recipe.evaluation.buckets import count_mentions
from recipe.evaluation.predictions import read_mentions
from recipe.inference.augmentation import read_copies, write_copies
from recipe.model.settings import ModelArguments
from recipe.training.trainer import RecipeTrainer

WORDS = st.sampled_from(
    ["Oslo", "OSLO", "Mara", "Okello", "the", "The", "left", "1996", ",", "straße", "東京", "Ørsted"]
)
TRAIN = ROOT / "data" / "newswire-mini" / "train.conll"
NAMES = st.sampled_from(list(METHODS))
RATES = st.sampled_from([0.3, 1.0])


def convert(documents):
    for sentence in list_sentences(documents):
        sentence.tags = to_iob2(sentence.tags)
    return documents


DOCUMENTS = make_documents(WORDS).map(convert)


def make_copies(documents, name, rate=1.0, seed=1):
    return augment(documents, {name: METHODS[name]}, 1, rate, seed)[name]


def list_mentions(document):
    """Type and words of each entity of a document, in order."""
    return [
        (kind, sentence.words[start:stop])
        for sentence in document.sentences
        for start, stop, kind in list_entities(sentence.tags)
    ]


def fold(words):
    return " ".join(words).casefold()


def count_words(documents):
    return sum(len(sentence.words) for sentence in list_sentences(documents))


def read(text):
    """A document from lines of words; `Oslo/LOC` is an entity, and `Mara_Okello/PER` one of two words."""
    document = Document()
    for line in text.strip().splitlines():
        words, tags = [], []
        for part in line.split():
            name, _, kind = part.partition("/")
            own = name.split("_")
            words += own
            tags += [f"B-{kind}", *[f"I-{kind}"] * (len(own) - 1)] if kind else ["O"] * len(own)
        document.sentences.append(Sentence(words, tags))
    return document


@given(DOCUMENTS, NAMES, RATES, st.integers(0, 99))
def test_copies_are_well_formed_and_have_as_many_documents_and_sentences(documents, name, rate, seed):
    copies = make_copies(documents, name, rate, seed)
    assert [len(document.sentences) for document in copies] == [len(document.sentences) for document in documents]
    for sentence in list_sentences(copies):
        assert len(sentence.words) == len(sentence.tags)
        assert is_well_formed(sentence.tags, "IOB2")
        assert all(sentence.words)


@given(DOCUMENTS, NAMES, RATES, st.integers(0, 99))
def test_each_sentence_keeps_its_types_and_their_numbers(documents, name, rate, seed):
    copies = make_copies(documents, name, rate, seed)
    for before, after in zip(list_sentences(documents), list_sentences(copies), strict=True):
        kinds = [[kind for _, _, kind in list_entities(sentence.tags)] for sentence in (before, after)]
        assert kinds[0] == kinds[1]


@given(DOCUMENTS, NAMES, RATES, st.integers(0, 99))
def test_a_mention_is_changed_alike_wherever_its_document_has_it(documents, name, rate, seed):
    for before, after in zip(documents, make_copies(documents, name, rate, seed), strict=True):
        changed = defaultdict(set)
        for (kind, old), (_, new) in zip(list_mentions(before), list_mentions(after), strict=True):
            changed[kind, fold(old)].add(fold(new))
        assert all(len(new) == 1 for new in changed.values())
        if name == "mentions":  # different ones stay different
            assert len({(kind, *new) for (kind, _), new in changed.items()}) == len(changed)


@given(DOCUMENTS, NAMES, RATES, st.integers(0, 99))
def test_the_documents_stay_as_they_are(documents, name, rate, seed):
    before = copy.deepcopy(documents)
    made = make_copies(documents, name, rate, seed)
    assert documents == before
    assert not {id(s.words) for s in list_sentences(made)} & {id(s.words) for s in list_sentences(documents)}


@given(DOCUMENTS, NAMES, RATES, st.integers(0, 99))
def test_words_come_from_the_training_data_alone(documents, name, rate, seed):
    known = {word.casefold() for sentence in list_sentences(documents) for word in sentence.words}
    assert {
        word.casefold() for one in list_sentences(make_copies(documents, name, rate, seed)) for word in one.words
    } <= known


@given(DOCUMENTS, RATES, st.integers(0, 99))
def test_replaced_mentions_are_mentions_of_their_types_and_other_words_stay(documents, rate, seed):
    known = {(kind, fold(words)) for document in documents for kind, words in list_mentions(document)}
    copies = make_copies(documents, "mentions", rate, seed)
    assert {(kind, fold(words)) for document in copies for kind, words in list_mentions(document)} <= known
    for before, after in zip(list_sentences(documents), list_sentences(copies), strict=True):
        outside = [[w for w, tag in zip(one.words, one.tags, strict=True) if tag == "O"] for one in (before, after)]
        assert outside[0] == outside[1]


@given(DOCUMENTS, RATES, st.integers(0, 99))
def test_replaced_tokens_have_occurred_with_their_tags(documents, rate, seed):
    known = {
        (word.casefold(), tag)
        for one in list_sentences(documents)
        for word, tag in zip(one.words, one.tags, strict=True)
    }
    copies = make_copies(documents, "tokens", rate, seed)
    assert list_tags(copies) == list_tags(documents)
    assert {
        (w.casefold(), tag) for one in list_sentences(copies) for w, tag in zip(one.words, one.tags, strict=True)
    } <= known


@given(DOCUMENTS, RATES, st.integers(0, 99))
def test_a_shuffled_segment_keeps_its_words(documents, rate, seed):
    copies = make_copies(documents, "segments", rate, seed)
    assert list_tags(copies) == list_tags(documents)
    for before, after in zip(list_sentences(documents), list_sentences(copies), strict=True):
        for start, stop, _ in augmentation._list_segments(before.tags):
            words = [Counter(word.casefold() for word in one.words[start:stop]) for one in (before, after)]
            assert words[0] == words[1]


@given(DOCUMENTS, NAMES)
def test_copies_depend_on_the_seed_alone(documents, name):
    """Not on other methods, and not on how many copies are made."""
    [first, second] = [augment(documents, {name: METHODS[name]}, copies, 0.3, 7)[name] for copies in (1, 2)]
    together = augment(documents, METHODS, 2, 0.3, 7)
    assert second[: len(documents)] == first
    assert together[name] == second


def test_seeds_and_copies_differ():
    documents = read_columns(TRAIN)
    for name in METHODS:
        made = augment(documents, {name: METHODS[name]}, 2, 0.3, 1)[name]
        copies = [made[: len(documents)], made[len(documents) :], make_copies(documents, name, 0.3, 2), documents]
        assert all(one != other for number, one in enumerate(copies) for other in copies[:number]), name


@pytest.mark.parametrize(("name", "share"), [("mentions", 0.3), ("tokens", 0.3)])
def test_the_rate_is_the_share_that_changes(name, share):
    documents = read_columns(TRAIN)
    copies = make_copies(documents, name, share)
    if name == "mentions":  # each mention of a document counts once
        pairs = [
            pair
            for before, after in zip(documents, copies, strict=True)
            for pair in {
                ((k, fold(old)), (k, fold(new)))
                for (k, old), (_, new) in zip(list_mentions(before), list_mentions(after), strict=True)
            }
        ]
    else:
        pairs = [
            (a, b)
            for old, new in zip(list_sentences(documents), list_sentences(copies), strict=True)
            for a, b in zip(old.words, new.words, strict=True)
        ]
    assert sum(old != new for old, new in pairs) / len(pairs) == pytest.approx(share, abs=0.03)


def test_a_mention_is_written_in_capitals_in_a_headline_in_capitals():
    documents = [
        read("MARA_OKELLO/PER WINS IN OSLO/LOC .\nMara_Okello/PER won in Oslo/LOC ."),
        read("Bo/PER saw the Congo_River/LOC"),
    ]
    [copy, _] = make_copies(documents, "mentions")
    assert [sentence.words for sentence in copy.sentences] == [
        ["BO", "WINS", "IN", "CONGO", "RIVER", "."],
        ["Bo", "won", "in", "Congo", "River", "."],
    ]
    assert copy.sentences[0].tags == ["B-PER", "O", "O", "B-LOC", "I-LOC", "O"]


def test_the_spelling_of_a_mention_is_not_taken_from_a_headline_in_capitals():
    documents = [read("Oslo/LOC waits"), read("LIMA/LOC WAITS\nQuito/LOC waits"), read("LIMA/LOC\nBY BO/PER")]
    for seed in range(20):
        [copy, *_] = make_copies(documents, "mentions", seed=seed)
        assert copy.sentences[0].words == ["Quito", "waits"]


def test_a_sentence_keeps_its_first_capital():
    documents = [read("The ship left Oslo/LOC"), read("a boat of Lima/LOC sank")]
    for name in ("tokens", "segments"):
        for seed in range(20):
            assert make_copies(documents, name, seed=seed)[0].sentences[0].words[0][0].isupper()


def test_a_mention_without_another_of_its_type_stays():
    documents = [read("Oslo/LOC and Lima/LOC met Bo/PER"), read("Ada/PER slept")]
    [copy, _] = make_copies(documents, "mentions")
    assert list_mentions(copy) == [("LOC", ["Oslo"]), ("LOC", ["Lima"]), ("PER", ["Ada"])]


def test_the_settings_name_the_methods_there_are():
    assert set(AUGMENTATIONS) == {*METHODS, "fill"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--augmentation", "mention"],
            "command line: augmentation: mention is not one of mentions tokens segments fill",
        ),
        (["--augmentation", "tokens", "tokens"], "augmentation: tokens tokens: name each one only once"),
        (["--augmentation", "fill"], "augmentation_model: fill needs a masked language model: set a folder or Hub id"),
        (["--augmentation_rate", "0.2"], "augmentation_rate: has no effect without augmentation: set augmentation, or"),
        (["--augmentation_copies", "2"], "augmentation_copies: has no effect without augmentation"),
        (["--augmentation", "tokens", "--augmentation_model", "x"], "augmentation_model: has no effect without fill"),
        (
            ["--augmentation", "tokens", "--augmentation_rate", "0"],
            "augmentation_rate: 0.0 is too small: it must be at least 0.001",
        ),
        (
            ["--augmentation", "tokens", "--augmentation_rate", "1.1"],
            "augmentation_rate: 1.1 is too large: it must be at most 1",
        ),
        (
            ["--augmentation", "tokens", "--augmentation_copies", "0"],
            "augmentation_copies: 0 is too small: it must be at least 1",
        ),
        (["--train_share", "0"], "train_share: 0.0 is too small"),
        (["--train_share", "5"], "train_share: 5.0 is too large: it must be at most 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(flags, message):
    with pytest.raises(RecipeError, match=message):
        parse(flags, ModelArguments, NerArguments, RunArguments)


def test_shares_are_whole_documents_in_order_and_smaller_ones_are_parts_of_larger_ones():
    documents = [Document([Sentence([str(number)], ["O"])]) for number in range(200)]
    drawn = [take_share(documents, share, 42) for share in (0.0001, 0.01, 0.05, 0.1, 1)]
    assert [len(one) for one in drawn] == [1, 2, 10, 20, 200]
    for small, large in pairwise(drawn):
        assert [document for document in large if document in small] == small
    assert take_share(documents, 0.1, 42) == drawn[3] != take_share(documents, 0.1, 43)


def test_a_share_of_a_single_document_is_refused():
    with pytest.raises(RecipeError, match="train_share: the training data are a single document, which cannot be"):
        take_share([Document()], 0.5, 42)


@pytest.fixture
def start(encoder, tmp_path):
    """Train a tiny model on newswire-mini with further settings; returns the folder."""

    def start(name, *flags, **settings):
        config = tmp_path / f"{name}.yaml"
        lines = {"data_dir": ROOT / "data" / "newswire-mini", "context": "none", "max_seq_length": 64}
        lines |= {"model_name_or_path": encoder, "output_dir": tmp_path / name, "precision": "fp32", "do_train": True}
        lines |= {"per_device_train_batch_size": 4, "max_steps": 6, "save_steps": 2, "train_share": 0.1}
        lines |= {"max_eval_samples": 20, "do_eval": True, "compare_pipeline": False, "threads": 1}
        config.write_text("".join(f"{key}: {value}\n" for key, value in (lines | settings).items()))
        run_ner.main(["--config", str(config), *flags])
        return tmp_path / name

    return start


AUGMENTED = {"augmentation": "[mentions, tokens, segments]", "augmentation_copies": 2}


def test_a_run_trains_on_the_copies_and_says_so(start, capsys, monkeypatch):
    trained = []
    step = RecipeTrainer.training_step

    def note(self, *args, **options):
        trained[:] = self.train_dataset
        return step(self, *args, **options)

    monkeypatch.setattr(RecipeTrainer, "training_step", note)
    folder = start("augmented", **AUGMENTED)
    train = take_share(read_columns(TRAIN), 0.1, 42)
    sentences, words = len(list_sentences(train)), count_words(train)
    record = yaml.safe_load((folder / "run.yaml").read_text())
    added = record["augmentation"]
    assert record["sentences"]["train"] == sentences
    assert added.keys() == METHODS.keys()
    assert all((one["documents"], one["sentences"]) == (2 * 11, 2 * sentences) for one in added.values())
    assert added["tokens"]["words"] == added["segments"]["words"] == 2 * words
    assert added["mentions"]["words"] == count_words(read_copies(folder / "augmentation")["mentions"]) != 2 * words
    labels = sum(label != -100 for window in trained for label in window["labels"])
    assert labels == words + sum(one["words"] for one in added.values())
    line = f"augmentation: tokens: 22 documents, {2 * sentences:,} sentences, {2 * words:,} words added"
    assert line in capsys.readouterr().out
    row = f"| added by augmentation (tokens) | 22 documents, {2 * sentences} sentences, {2 * words} words |"
    assert row in (folder / "README.md").read_text()
    assert "augmentation/" in (folder / ".gitignore").read_text().splitlines()
    assert read_mentions(folder) == count_mentions(list_sentences(train))  # those of the data, not of the copies


def test_without_augmentation_nothing_is_added(start):
    folder = start("plain")
    assert "augmentation" not in yaml.safe_load((folder / "run.yaml").read_text())
    assert not (folder / "augmentation").exists()
    assert "added by augmentation" not in (folder / "README.md").read_text()


def test_an_interrupted_run_ends_with_the_weights_of_an_undisturbed_one(start, monkeypatch):
    whole = start("whole", **AUGMENTED)
    step = RecipeTrainer.training_step

    def stop(self, *args, **options):
        if self.state.global_step == 3:
            raise KeyboardInterrupt
        return step(self, *args, **options)

    monkeypatch.setattr(RecipeTrainer, "training_step", stop)
    with pytest.raises(KeyboardInterrupt):
        start("broken", **AUGMENTED)
    monkeypatch.undo()
    monkeypatch.setattr(augmentation, "derive_seed", None)  # the copies of the first start are used again
    broken = start("broken", **AUGMENTED)
    assert fingerprint(broken) == fingerprint(whole)
    assert yaml.safe_load((broken / "run.yaml").read_text())["resumed"]


def test_a_run_is_not_resumed_with_another_augmentation(start):
    start("fixed", **AUGMENTED)
    with pytest.raises(RecipeError, match="made with other settings, augmentation_rate"):
        start("fixed", **AUGMENTED, augmentation_rate=0.5)


def test_a_run_that_is_resumed_all_the_same_has_the_copies_of_its_settings(start):
    folder = start("forced", **AUGMENTED)
    before = read_copies(folder / "augmentation")
    start("forced", **AUGMENTED, augmentation_rate=0.9, max_steps=8, resume_from_checkpoint="last")
    after = read_copies(folder / "augmentation")
    assert after == read_copies(start("fresh", **AUGMENTED, augmentation_rate=0.9, max_steps=8) / "augmentation")
    assert after != before


def test_words_of_any_signs_are_kept(tmp_path):
    words = ["two words", "a\tb\n", "\u2028", "", "-DOCSTART-", "\ud800", "x" * 300_000]
    documents = [Document([Sentence(words, ["O"] * len(words), "odd.json:3"), Sentence(["a"], ["B-X"])]), Document()]
    write_copies(documents, AugmentationArguments(augmentation=["segments"]), 1, None, tmp_path / "copies")
    copies = read_copies(tmp_path / "copies")["segments"]
    assert sorted(copies[0].sentences[0].words) == sorted(words)
    assert copies[0].sentences[0].place == "odd.json:3"
    assert copies[0].sentences[1:] == documents[0].sentences[1:]
    assert copies[1] == Document()

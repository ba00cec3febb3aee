"""Words outside of entities that a masked language model chooses anew: which ones, and what may stand there."""

import copy

import pytest
import torch
import yaml
from test_filler import make_filler, make_word_tokenizer
from transformers import BertForMaskedLM

import run_ner
from conftest import fingerprint, make_config
from recipe.data.conll import write_conll
from recipe.data.documents import Document, Sentence, list_sentences, list_tags
from recipe.data.settings import AugmentationArguments
from recipe.errors import RecipeError
from recipe.inference.augmentation import read_copies, refill, write_copies
from recipe.inference.filler import Filler
from recipe.training.trainer import RecipeTrainer

TAGS = {"Mara": "B-PER", "Okello": "I-PER", "Oslo": "B-LOC", "oslo": "B-LOC"}
TEXTS = [
    "Mara Okello left Oslo on Monday .",
    "she left it to play today",
    "NATO left",
    ", 1996 .",
    "Lima and oslo play on",
]


def make_even_filler():
    """A model without a preference for any token."""
    tokenizer = make_word_tokenizer()
    torch.manual_seed(0)
    return Filler(BertForMaskedLM(make_config(vocab_size=len(tokenizer), initializer_range=0.01)), tokenizer)


@pytest.fixture
def model(tmp_path):
    """The folder of that model."""
    filler = make_even_filler()
    filler.model.save_pretrained(tmp_path / "model")
    filler.tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def read(*texts):
    sentences = [Sentence(text.split(), [TAGS.get(word, "O") for word in text.split()]) for text in texts]
    return Document(sentences)


DOCUMENTS = [read(*TEXTS[:3]), read(*TEXTS[3:])]


@pytest.mark.parametrize("markers", [False, True])
def test_only_plain_words_outside_of_entities_change(markers):
    before = copy.deepcopy(DOCUMENTS)
    filler = make_filler(markers)
    changed = set()
    for seed in range(5):
        copies = refill(filler, DOCUMENTS, 1.0, seed)
        assert list_tags(copies) == list_tags(DOCUMENTS)
        for old, new in zip(list_sentences(DOCUMENTS), list_sentences(copies), strict=True):
            for word, other, tag in zip(old.words, new.words, old.tags, strict=True):
                if word != other:
                    assert tag == "O"
                    assert (word.isalpha(), word.islower(), other.isalpha(), other.islower()) == (True,) * 4
                    changed.add(word)
    assert changed >= {"left", "on", "play", "today"}
    assert before == DOCUMENTS


def test_a_name_is_not_put_where_no_entity_is():
    def list_chosen(documents):
        made = [refill(filler, documents, 1.0, seed) for seed in range(120)]
        return {word for copies in made for sentence in list_sentences(copies) for word in sentence.words}

    filler = make_even_filler()
    assert list_chosen([read("we left on monday to play")]) >= {"okello", "lima"}
    with_names = list_chosen(DOCUMENTS)  # in which `lima` occurs outside of entities too
    assert "lima" in with_names
    assert "okello" not in with_names


def test_the_rate_is_the_share_that_is_masked():
    document = read(*["play today how are you"] * 200)
    [made] = refill(make_even_filler(), [document], 0.2, 1)
    pairs = zip(document.sentences, made.sentences, strict=True)
    changed = sum(word != other for old, new in pairs for word, other in zip(old.words, new.words, strict=True))
    assert 0.08 < changed / 1000 < 0.2  # numbers and signs, which do not count, are as likely as words


def test_a_sentence_that_is_too_long_for_the_model_stays():
    document = read("play " * 80, "how are you")
    changed = False
    for seed in range(5):
        [made] = refill(make_filler(), [document], 1.0, seed)
        assert made.sentences[0] == document.sentences[0]
        changed |= made.sentences[1] != document.sentences[1]
    assert changed


def test_the_same_seed_gives_the_same_words_and_loading_draws_no_numbers(tmp_path, model):
    documents = [read(*["play today how are you"] * 20)]
    arguments = AugmentationArguments(augmentation=["tokens", "fill"], augmentation_model=str(model))
    made, state = [], torch.random.get_rng_state()
    for number, seed in enumerate((1, 1, 2)):
        write_copies(documents, arguments, seed, None, tmp_path / str(number))
        assert torch.equal(torch.random.get_rng_state(), state)
        made.append(read_copies(tmp_path / str(number)))
    assert list(made[0]) == ["fill", "tokens"]
    assert made[0] == made[1]
    assert made[0]["fill"] != made[2]["fill"]


def test_a_model_that_is_missing_is_refused(tmp_path):
    arguments = AugmentationArguments(augmentation=["fill"], augmentation_model=str(tmp_path / "none"))
    with pytest.raises(RecipeError, match="none: no such folder"):
        write_copies(DOCUMENTS, arguments, 1, None, tmp_path / "copies")
    assert not (tmp_path / "copies").exists()


def test_a_run_resumes_with_the_words_of_its_first_start(encoder, model, tmp_path, monkeypatch):
    documents = [read(*["she left Oslo on Monday", "play today how are you"] * 20)]
    write_conll(tmp_path / "train.txt", documents)

    def start(name):
        settings = {"train_file": tmp_path / "train.txt", "model_name_or_path": encoder, "context": "none"}
        settings |= {"max_seq_length": 64, "do_train": True}
        settings |= {"augmentation": "fill", "augmentation_model": model, "precision": "fp32", "threads": 1}
        settings |= {"max_steps": 6, "save_steps": 2, "compare_pipeline": False, "output_dir": tmp_path / name}
        run_ner.main([f"--{key}={value}" for key, value in settings.items()])
        return tmp_path / name

    whole = start("whole")
    [copy] = read_copies(whole / "augmentation")["fill"]
    assert list_tags([copy]) == list_tags(documents)
    assert [copy] != documents
    step = RecipeTrainer.training_step

    def stop(self, *args, **options):
        if self.state.global_step == 3:
            raise KeyboardInterrupt
        return step(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(RecipeTrainer, "training_step", stop)
        with pytest.raises(KeyboardInterrupt):
            start("broken")
    (model / "model.safetensors").unlink()  # which is no longer needed
    broken = start("broken")
    assert fingerprint(broken) == fingerprint(whole)
    record = yaml.safe_load((broken / "run.yaml").read_text())
    assert record["resumed"]
    assert record["augmentation"]["fill"]["sentences"] == 40

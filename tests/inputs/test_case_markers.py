import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, BertForTokenClassification, pipeline

from conftest import make_config
from recipe.data.documents import Document, Sentence
from recipe.errors import RecipeError
from recipe.inputs.case_markers import MARKERS, find_markers
from recipe.inputs.tokenizer import load_tokenizer
from recipe.inputs.windows import build_windows
from recipe.model.settings import ModelArguments

CAPITALISED, UPPER = MARKERS


@pytest.fixture(scope="module")
def plain():
    return load_tokenizer(ModelArguments(model_name_or_path="minilm-l6"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("marked")
    load_tokenizer(ModelArguments(model_name_or_path="minilm-l6", case_markers=True)).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def marked(folder):
    """As anybody would load it."""
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("word", "marker"),
    [
        ("oslo", None),
        ("Oslo", CAPITALISED),
        ("O'Neill", CAPITALISED),
        ("Élan", CAPITALISED),
        ("A", CAPITALISED),
        ("USAir", CAPITALISED),
        ("Anglo-French", CAPITALISED),
        ("EU", UPPER),
        ("U.S.", UPPER),
        ("AT&T", UPPER),
        ("EU-wide", UPPER),
        ("ÉÀ", UPPER),
        ("eBay", None),
        ("1996", None),
        ("东京", None),
    ],
)
def test_a_word_gets_at_most_one_marker(marked, plain, word, marker):
    tokens = marked.tokenize(word)
    assert tokens == ([marker] if marker else []) + plain.tokenize(word)


TEXT = st.text(st.sampled_from("aA éÉ.'\u2019(-1 &BßXx\u4e2d\u0301\u200b\u00a0\n\t"), max_size=20)


@given(TEXT)
def test_without_its_markers_any_text_is_the_plain_tokenizer_s(marked, plain, text):
    ids = [token_id for token_id in marked(text).input_ids if token_id not in find_markers(marked)]
    assert ids == plain(text).input_ids


@pytest.mark.parametrize("text", [" " * 10_000 + "oslo", "\n" * 10_000, "a" + " " * 10_000 + "b", "A" * 10_000 + "a"])
def test_long_runs_of_one_character_are_searched_to_their_end(marked, plain, text):
    assert [token_id for token_id in marked(text).input_ids if token_id not in find_markers(marked)] == plain(
        text
    ).input_ids


@given(TEXT)
def test_words_and_text_have_the_same_ids(marked, text):
    words = text.split() or ["a"]
    assert marked(" ".join(words)).input_ids == marked(words, is_split_into_words=True).input_ids


@given(TEXT)
def test_offsets_of_tokens_are_those_of_the_plain_tokenizer(marked, plain, text):
    own, given = (tokenizer(text, return_offsets_mapping=True) for tokenizer in (marked, plain))
    pairs = zip(own.input_ids, own.offset_mapping, strict=True)
    assert [offsets for token_id, offsets in pairs if token_id not in find_markers(marked)] == given.offset_mapping


def test_decoding_leaves_markers_out(marked):
    assert marked.decode(marked("Oslo met the EU").input_ids, skip_special_tokens=True) == "oslo met the eu"


def test_a_tokenizer_that_marks_case_is_left_as_it_is(folder, marked, plain):
    for case_markers in (True, False):
        again = load_tokenizer(ModelArguments(model_name_or_path=folder, case_markers=case_markers))
        assert again.tokenize("Oslo, EU") == [CAPITALISED, "oslo", ",", UPPER, "eu"]
    assert find_markers(marked) == frozenset(marked.convert_tokens_to_ids(list(MARKERS)))
    assert not find_markers(plain)


def test_transformers_4_knows_the_class_of_what_is_saved_and_saved_again(folder, tmp_path):
    load_tokenizer(ModelArguments(model_name_or_path=folder)).save_pretrained(tmp_path)
    for place in (Path(folder), tmp_path):
        saved = json.loads((place / "tokenizer_config.json").read_text())
        assert saved["tokenizer_class"] == "PreTrainedTokenizerFast"


def test_a_checkpoint_that_is_only_scored_gets_no_markers(plain):
    arguments = ModelArguments(model_name_or_path="minilm-l6", case_markers=True)
    assert load_tokenizer(arguments, training=False)("Oslo").input_ids == plain("Oslo").input_ids


def test_labels_stand_behind_markers(marked):
    document = Document([Sentence(["Oslo", "met", "McKinley", "(EU"], ["B-X", "O", "B-Y", "O"])])
    window = build_windows([document], marked, ["O", "B-X", "B-Y"], 32)[0]
    tokens = marked.convert_ids_to_tokens(window["input_ids"])
    labels = dict(zip(zip(range(len(tokens)), tokens, strict=True), window["labels"], strict=True))
    assert labels == {
        (0, "[CLS]"): -100,
        (1, CAPITALISED): 0,
        (2, "oslo"): 1,
        (3, "met"): 0,
        (4, CAPITALISED): 0,
        (5, "mckinley"): 2,
        (6, "("): 0,
        (7, UPPER): -100,
        (8, "eu"): -100,
        (9, "[SEP]"): -100,
    }
    assert [word for word in window["word_ids"] if word >= 0] == [0, 1, 2, 3]
    assert [window["word_ids"][at] for at in (2, 3, 5, 6)] == [0, 1, 2, 3]


class Oracle(BertForTokenClassification):
    """Predicts the label that a table gives for each token id, O elsewhere."""

    table: dict

    def forward(self, input_ids=None, **inputs):
        output = super().forward(input_ids, **inputs)
        wanted = torch.tensor([[self.table.get(int(i), 0) for i in row] for row in input_ids])
        output.logits = 9.0 * torch.nn.functional.one_hot(wanted, self.config.num_labels)
        return output


@pytest.mark.parametrize(
    ("labels", "length", "expected"),
    [
        (["O", "B-X"], 8, [-100, 0, 1, -100]),
        (["B-X"], 8, [-100, -100, 0, -100]),  # without O, a marker has no label
        (["O", "B-X"], 3, [-100, 1, -100]),  # where the marker alone has room, it has the label of its word
    ],
)
def test_a_marked_word_is_labelled_once(marked, labels, length, expected):
    document = Document([Sentence(["Oslo"], ["B-X"])])
    assert [window["labels"] for window in build_windows([document], marked, labels, length)] == [expected]


def test_the_pipeline_finds_entities_at_their_offsets(marked):
    """transformers' own pipeline on raw text, by the words' first sub-words, for which a marker is no word."""
    labels = ["O", "B-PER", "I-PER", "B-LOC"]
    config = make_config(vocab_size=len(marked), id2label=dict(enumerate(labels)), max_position_embeddings=512)
    model = Oracle(config).eval()
    model.table = dict(zip(marked.convert_tokens_to_ids(["mary", "jones", "oslo", "paris"]), (1, 2, 3, 3), strict=True))
    tag = pipeline("token-classification", model=model, tokenizer=marked, aggregation_strategy="first")
    text = "Oslo: Mary  Jones Monday left (Paris) for OSLO, said Mary JONES's aunt."
    found = [(entity["entity_group"], text[entity["start"] : entity["end"]]) for entity in tag(text)]
    assert found == [
        ("LOC", "Oslo"),
        ("PER", "Mary  Jones"),
        ("LOC", "Paris"),
        ("LOC", "OSLO"),
        ("PER", "Mary JONES"),
    ]


def test_cased_and_unfit_tokenizers_are_refused(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match=r"no \[unused1\] \[unused2\]: set case_markers"):
        load_tokenizer(ModelArguments(model_name_or_path=str(tmp_path), case_markers=True))
    cased = AutoTokenizer.from_pretrained(tmp_path)
    normalizer = cased.backend_tokenizer.normalizer
    normalizer.lowercase = False
    cased.backend_tokenizer.normalizer = normalizer
    cased.save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match="not an uncased tokenizer"):
        load_tokenizer(ModelArguments(model_name_or_path=str(tmp_path), case_markers=True))

import random

import numpy as np
import pytest

from recipe.data.documents import Document, Sentence, list_sentences
from recipe.errors import RecipeError
from recipe.inputs.tokens import special_tokens, tokenize_words
from recipe.inputs.windows import Span, build_windows, collect_logits, plan_spans

LABELS = ["O", "B-X", "I-X"]


@pytest.mark.parametrize(
    ("sizes", "starts", "capacity", "context", "expected"),
    [
        ([], [], 4, 0, []),
        ([1, 1], [], 4, 0, [(0, 2, 0, 2)]),
        ([1] * 4, [2], 3, 0, [(0, 2, 0, 2), (2, 4, 2, 4)]),  # cut between sentences
        ([1] * 5, [], 3, 0, [(0, 3, 0, 3), (3, 5, 3, 5)]),  # a sentence longer than the window
        ([1] * 8, [2, 4, 6], 6, 1, [(0, 6, 0, 4), (2, 8, 4, 8)]),  # neighbours on both sides of the seam
        ([4], [], 4, 9, [(0, 1, 0, 1)]),
        ([1] * 3, [], 2, 1, [(0, 2, 0, 2), (2, 3, 2, 3)]),  # a quarter of 2 tokens is no token
        ([1] * 3, [1], 2, 0, [(0, 1, 0, 1), (1, 3, 1, 3)]),  # a sentence of one word ends its window
    ],
)
def test_plan_spans(sizes, starts, capacity, context, expected):
    assert plan_spans(sizes, starts, capacity, context) == [Span(*span) for span in expected]


@pytest.mark.parametrize("seed", range(300))
def test_every_word_is_labelled_once_with_its_context(seed):
    draw = random.Random(seed)
    capacity, largest = draw.choice([(1, 1), (7, 7), (40, 3), (60, 1)])
    sizes = [draw.randint(1, largest) for _ in range(draw.randint(0, 200))]
    starts = [word for word in range(len(sizes)) if draw.random() < draw.choice([0.02, 0.3])]
    context = draw.choice([0, 2, 5, 100])
    spans = plan_spans(sizes, starts, capacity, context)
    assert [word for s in spans for word in range(s.labelled_start, s.labelled_stop)] == list(range(len(sizes)))
    for s in spans:
        assert s.start <= s.labelled_start < s.labelled_stop <= s.stop
        assert sum(sizes[s.start : s.stop]) <= capacity
        if largest <= 3:
            wanted = min(context, capacity // 4)
            assert s.start == 0 or sum(sizes[s.start : s.labelled_start]) >= wanted
            assert s.stop == len(sizes) or sum(sizes[s.labelled_stop : s.stop]) >= wanted
    if context == 0:
        assert all((s.start, s.stop) == (s.labelled_start, s.labelled_stop) for s in spans)


def make_documents(tag_seed=0):
    draw = random.Random(tag_seed)
    documents = []
    for size in ([3, 1, 12], [1], [40], [2] * 30):
        sentences = []
        for words in size:
            tags = [draw.choice(["O", "B-X"]) for _ in range(words)]
            sentences.append(Sentence(["".join(draw.choices("abc", k=draw.randint(1, 4))) for _ in range(words)], tags))
        documents.append(Document(sentences))
    return documents


@pytest.mark.parametrize("context", ["none", "document"])
@pytest.mark.parametrize("context_size", [0, 5, 64])
@pytest.mark.parametrize("length", [8, 30, 64])
def test_scores_come_back_word_by_word(tokenizer, context, context_size, length):
    documents = make_documents()
    windows = build_windows(documents, tokenizer, LABELS, length, context, context_size)
    assert max(len(window["input_ids"]) for window in windows) <= length
    rows = np.full((len(windows), length + 2, len(LABELS)), -100.0)  # padded, as Trainer does
    for row, window in zip(rows, windows, strict=True):
        row[: len(window["labels"])] = np.eye(len(LABELS))[np.maximum(window["labels"], 0)]
    gold = [LABELS.index(tag) for sentence in list_sentences(documents) for tag in sentence.tags]
    assert np.array_equal(collect_logits(rows, windows), np.eye(len(LABELS))[gold])


def test_labels_stand_on_first_sub_words(tokenizer):
    window = build_windows([Document([Sentence(["ab", "c"], ["B-X", "O"])])], tokenizer, LABELS, 8)[0]
    assert tokenizer.convert_ids_to_tokens(window["input_ids"]) == ["[CLS]", "a", "##b", "c", "[SEP]"]
    assert window["labels"] == [-100, 1, -100, 0, -100]
    assert window["word_ids"] == [-1, 0, -1, 1, -1]


def test_training_windows_hold_each_token_once(tokenizer):
    documents = make_documents()
    pieces = tokenize_words(tokenizer, [s.words for d in documents for s in d.sentences])
    total = sum(len(word) for sentence in pieces for word in sentence)
    windows = build_windows(documents, tokenizer, LABELS, 30, "document")
    assert sum(len(window["input_ids"]) - 2 for window in windows) == total
    assert [len(w["input_ids"]) for w in windows] == sorted((len(w["input_ids"]) for w in windows), reverse=True)


def test_document_windows_join_sentences_of_one_document_only(tokenizer):
    documents = [Document([Sentence(["a"], ["O"]), Sentence(["b"], ["O"])]), Document([Sentence(["c"], ["O"])])]
    tokens = [
        tokenizer.decode(w["input_ids"][1:-1]) for w in build_windows(documents, tokenizer, LABELS, 8, "document")
    ]
    assert tokens == ["a b", "c"]
    assert len(build_windows(documents, tokenizer, LABELS, 8)) == 3  # by default, each sentence is alone


def test_a_window_knows_where_its_sentences_start(tokenizer):
    sentences = [Sentence(words, ["O"] * len(words)) for words in (["abc"], ["a", "b"], ["ab", "c"], ["ac"], ["b"])]
    windows = build_windows([Document(sentences)], tokenizer, LABELS, 8, "document")
    tokens = [tokenizer.convert_ids_to_tokens(window["input_ids"][1:-1]) for window in windows]
    assert tokens == [["a", "##b", "c", "a", "##c", "b"], ["a", "##b", "##c", "a", "b"]]
    assert [window["sentence_starts"] for window in windows] == [[4, 6], [4]]


def test_a_window_has_room_for_a_token_or_is_refused(tokenizer):
    documents = [Document([Sentence(["ab", "c"], ["B-X", "O"])])]
    assert [window["labels"] for window in build_windows(documents, tokenizer, LABELS, 3)] == [
        [-100, 1, -100],
        [-100, 0, -100],
    ]
    with pytest.raises(RecipeError, match="max_seq_length: 2 leaves no room"):
        build_windows(documents, tokenizer, LABELS, 2)


def test_logits_of_other_windows_are_refused(tokenizer):
    windows = build_windows(make_documents(), tokenizer, LABELS, 30)
    rows = [np.zeros((len(window["labels"]), len(LABELS))) for window in windows]
    assert len(collect_logits(rows, windows)) == 117
    with pytest.raises(ValueError, match="zip"):
        collect_logits(rows[:-1], windows)


def test_a_word_without_sub_words_is_still_scored(tokenizer):
    documents = [Document([Sentence(["a", "\u200b", "b"], ["O", "B-X", "O"])])]
    window = build_windows(documents, tokenizer, LABELS, 8)[0]
    assert tokenizer.convert_ids_to_tokens(window["input_ids"]) == ["[CLS]", "a", "[UNK]", "b", "[SEP]"]
    assert window["labels"] == [-100, 0, 1, 0, -100]


def test_a_sentence_of_ten_thousand_words_keeps_every_word(tokenizer):
    documents = [Document([Sentence(["a"] * 10_000, ["O"] * 10_000)])]
    windows = build_windows(documents, tokenizer, LABELS, 64, "none", 16)
    words = sorted(word for window in windows for word in window["word_ids"] if word >= 0)
    assert words == list(range(10_000))
    repeated = sum(len(window["input_ids"]) - 2 for window in windows) - 10_000
    assert repeated == 2 * 15 * (len(windows) - 1)  # a quarter of a window on both sides of each seam


def test_special_tokens(tokenizer):
    assert special_tokens(tokenizer) == ([2], [3])

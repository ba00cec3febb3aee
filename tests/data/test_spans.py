"""Spans of characters: how annotation tools write them, and the words that they cover."""

import json
import re

import pytest

from recipe.data.documents import Notes
from recipe.data.spans import Span, read_spans, tag_text
from recipe.errors import RecipeError


@pytest.mark.parametrize(
    ("annotation", "spans"),
    [
        ([0, 4, "PER"], [Span(0, 4, "PER")]),
        ([0, 4, [" PER "]], [Span(0, 4, "PER")]),
        ({"start": 0, "end": 4, "label": "PER", "text": "Mara"}, [Span(0, 4, "PER", "Mara")]),
        ({"start_offset": 0, "end_offset": 4, "type": "PER", "text": 7}, [Span(0, 4, "PER")]),
        ({"begin": 0, "stop": 4, "entity": "PER"}, [Span(0, 4, "PER")]),
        ({"start_char": 0, "end_char": 4, "tag": "PER"}, [Span(0, 4, "PER")]),
        ({"start": 0, "end": 4, "labels": ["PER"]}, [Span(0, 4, "PER")]),
        ({"start": 0, "end": 4, "entity_type": "PER"}, [Span(0, 4, "PER")]),
        ({"start": 0, "end": 4, "entity_group": "PER"}, [Span(0, 4, "PER")]),
        (
            {
                "result": [
                    {"value": {"choices": ["good"]}},
                    {"value": {"start": 3, "end": 4}},
                    {"value": {"labels": ["PER"]}},
                    "note",
                    {"value": None},
                    {"value": {"start": 0, "end": 4, "labels": ["PER"], "text": "Mara"}},
                    {"value": {"start": 5, "end": 6, "label": "LOC"}},
                ]
            },
            [Span(0, 4, "PER", "Mara"), Span(5, 6, "LOC")],
        ),
        (
            {
                "label": ["PER"],
                "points": ["note", {"start": 0}, {"start": 0, "end": 3, "text": "Mara"}, {"start": 5, "end": 5}],
            },
            [Span(0, 4, "PER", "Mara"), Span(5, 6, "PER")],
        ),
    ],
)
def test_annotations_of_each_tool_are_spans(annotation, spans):
    assert list(read_spans(annotation, "a:1")) == spans


@pytest.mark.parametrize(
    "annotation",
    [
        *([0, 4], [0, 4, "Ä", 1], ["0", 4, "PER"], [0, True, "PER"], [0.0, 4, "PER"], [0, 4, ["PER", "LOC"]]),
        *([0, 4, " "], [0, 4, []], [0, 4, None], {"start": 0, "end": 4}, {"end": 4, "label": "PER"}, "PER", None, 3),
    ],
)
def test_other_annotations_are_refused(annotation):
    shown = re.escape(json.dumps(annotation, ensure_ascii=False))
    with pytest.raises(RecipeError, match=rf"^a:1: {shown}: expected a span \[start, end, label\], in characters"):
        list(read_spans(annotation, "a:1"))


@pytest.mark.parametrize(
    "annotation", [{"result": [{"value": {"start": 0, "labels": ["PER"]}}]}, {"points": [{"start": 0, "end": 3}]}]
)
def test_wrong_spans_in_annotations_of_tools_are_refused_with_their_place(annotation):
    with pytest.raises(RecipeError, match=r"^a:1: .*: expected a span"):
        list(read_spans(annotation, "a:1"))


def tag(text, *spans, notes=None):
    document = tag_text(text, [Span(*span) for span in spans], "a:1", notes or Notes())
    assert all(sentence.place == "a:1" for sentence in document.sentences)
    return [list(zip(sentence.words, sentence.tags, strict=True)) for sentence in document.sentences]


def test_words_that_a_span_covers_are_its_entity():
    assert tag("Mara Oz saw Rio", (12, 15, "LOC"), (0, 7, "PER")) == [
        [("Mara", "B-PER"), ("Oz", "I-PER"), ("saw", "O"), ("Rio", "B-LOC")]
    ]
    assert tag("Mara Oz", (4, 7, "PER")) == [[("Mara", "O"), ("Oz", "B-PER")]]  # with the blank before it


def test_of_spans_that_share_a_word_the_longest_is_kept_and_then_the_first():
    notes = Notes()
    found = tag("one two three", (4, 13, "B"), (0, 7, "A"), (8, 13, "C"), notes=notes)
    assert found == [[("one", "O"), ("two", "B-B"), ("three", "I-B")]]
    found = tag("ab cd ef", (3, 8, "B"), (0, 5, "A"))
    assert found == [[("ab", "B-A"), ("cd", "I-A"), ("ef", "O")]]


def test_a_span_that_cuts_words_is_extended_to_them():
    assert tag("Oslo based", (1, 7, "A")) == [[("Oslo", "B-A"), ("based", "I-A")]]
    assert tag("Oslo based", (1, 3, "A")) == [[("Oslo", "B-A"), ("based", "O")]]


@pytest.mark.parametrize("span", [(-1, 3, "A"), (3, 3, "A"), (4, 3, "A"), (0, 5, "A")])
def test_a_span_that_is_not_in_its_text_is_refused(span):
    with pytest.raises(
        RecipeError, match=rf"^a:1: the span {span[0]} to {span[1]} \(A\) is not in the text, which has 4 "
    ):
        tag("Mara", span)


def test_a_quoted_text_may_differ_in_white_space_alone():
    assert tag("Mara\nOz", (0, 7, "A", "Mara Oz")) == [[("Mara", "B-A"), ("Oz", "I-A")]]
    with pytest.raises(RecipeError, match="is 'Mara' in the text, but 'Mira' in the data"):
        tag("Mara Oz", (0, 4, "A", "Mira"))


def test_an_entity_that_goes_on_in_the_next_sentence_joins_both():
    assert len(tag("He left. She met Ana. They ate.")) == 3
    joined = tag("He left. She met Ana. They ate.", (3, 12, "A"))
    assert [[word for word, _ in sentence] for sentence in joined] == [
        ["He", "left", ".", "She", "met", "Ana", "."],
        ["They", "ate", "."],
    ]
    assert len(tag("He left. She met Ana. They ate.", (7, 12, "A"))) == 2
    assert [tag for _, tag in joined[0]] == ["O", "B-A", "I-A", "I-A", "O", "O", "O"]

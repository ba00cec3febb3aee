"""Words of raw text: split as entity corpora split them, each at its place in the text as given."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipe.data.raw_text import choose_splitter, find_sentences, find_words, join_words

ODD = [
    *("e\u0301", "\U0001f469\u200d\U0001f4bb", "\U0001d4d0", "\u200b", "\u200d", "\ufeff", "\u202e", "\u05d0\u05d1"),
    *("\r\n", "\t", "\u00a0", "\u2028", "\x0b", "\x00", "\ud800", "&amp;", "&#39;", "&nbsp;", "&notanentity;", "&"),
    *("121.0", "HAProxy/2.8", "can't", "U.S.", "O'Neill", "\u4e2d\u6587\u3002", "\u30ab\u30ca\u30fc", "\u0e44\u0e21"),
    *(" ", "\n\n", "a", "Oslo", ".", "!", "\u2019s", "<script>"),
]
texts = st.lists(st.sampled_from(ODD) | st.text(max_size=4)).map("".join)


@settings(max_examples=500, deadline=None)
@given(texts)
def test_words_are_pieces_of_the_text_in_order_and_leave_out_white_space_alone(text):
    words = find_words(text)
    places = [(word.start, word.end) for word in words]
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert all(before[1] <= after[0] or before == after for before, after in pairwise(places))
    assert all(word.text and not word.text.isspace() for word in words)
    word_characters = {place for start, end in places for place in range(start, end)}
    missed = "".join(character for place, character in enumerate(text) if place not in word_characters)
    assert not [character for character in missed if character.isalnum() and "&" not in text]


@settings(max_examples=300, deadline=None)
@given(texts)
def test_sentences_hold_the_words_of_the_text(text):
    found = [word for words in find_sentences(text) for word in words]
    assert [word.start for word in found] == sorted(word.start for word in found)
    assert all(text[word.start : word.end].strip() for word in found if "&" not in text)
    places = {place for word in found for place in range(word.start, word.end)}
    assert all(word.start in places for word in find_words(text))  # a full stop can belong to the word before it


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hill &amp; Sons of AT&amp;T", ["Hill", "&amp;", "Sons", "of", "AT&amp;T"]),
        ("121.0 of HAProxy/2.8 can't", ["121.0", "of", "HAProxy/2.8", "ca", "n't"]),
        ("cafe\u0301, na\u00efve", ["cafe\u0301", ",", "na\u00efve"]),
        ("\u5317\u4eac\u5f88\u5927\u3002", ["\u5317", "\u4eac", "\u5f88", "\u5927", "\u3002"]),
        ("\u0601 Oslo", ["\u0601", "Oslo"]),  # a sign that combines with what follows it
        ("\U0001f469\u200d\U0001f4bb ok", ["\U0001f469\u200d\U0001f4bb", "ok"]),
    ],
)
def test_a_words_place_is_that_in_the_text_as_given(text, words):
    assert [text[word.start : word.end] for word in find_words(text)] == words


def test_the_model_reads_resolved_and_composed_words():
    assert [word.text for word in find_words("AT&amp;T cafe\u0301 \ud800")] == ["AT&T", "caf\u00e9", "?"]


def test_blank_lines_end_sentences_and_line_breaks_do_not():
    text = "Mara Okello met\nDr. Orr. She left\n\nOslo again\n \nLima"
    sentences = [[word.text for word in words] for words in find_sentences(text)]
    assert sentences == [["Mara", "Okello", "met", "Dr.", "Orr", "."], ["She", "left"], ["Oslo", "again"], ["Lima"]]


def test_chinese_sentences_end_at_their_full_stops():
    assert len(find_sentences("\u4f60\u597d\u3002\u6211\u5728\u3002\u201c\u597d\uff01\u201d\u4ed6")) == 4


@pytest.mark.parametrize(
    ("sentence", "splitter"),
    [
        ("Mara Okello , of Norvik , left Oslo .", "punctuation"),
        ("Mara Okello, of Norvik, left Oslo.", "spaces"),
        ("the disk of node-7 ( 121.0 GB ) failed : see U.S. docs , p. 3 !", "punctuation"),
        ("", "punctuation"),
    ],
)
def test_text_is_split_as_the_words_of_the_training_data_are(sentence, splitter):
    assert choose_splitter(sentence.split()) == splitter


def test_words_are_joined_as_text_is_printed_and_keep_their_places():
    words = ['"', "We", "left", "(", "late", ")", ",", '"', "said", "Mara", "O'Neill", "'s", "aide", "."]
    text, places = join_words(words)
    assert text == "\"We left (late),\" said Mara O'Neill's aide."
    assert [text[start:end] for start, end in places] == words


def test_a_sentence_does_not_end_inside_a_character():
    sentences = [[word.text for word in words] for words in find_sentences("\u4e2d\u3002\u200d\u00e9")]
    assert sentences == [["\u4e2d", "\u3002\u200d"], ["\u00e9"]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("M. Orr of Orr Corp. left St. Ives.", "M. Orr of Orr Corp. left St. Ives ."),
        ('She met "Dr. Orr of Orr Inc."', 'She met " Dr. Orr of Orr Inc . "'),
        ("1. Mara Okello 1:18.48 .496 +48 10= -- ... 1.8", "1. Mara Okello 1:18.48 .496 +48 10= -- ... 1.8"),
        ("1,250M and 64.73-point C$ 5", "1,250M and 64.73-point C$ 5"),
        ("It costs 5. He left", "It costs 5 . He left"),
    ],
)
def test_full_stops_and_numbers_are_split_as_in_entity_corpora(text, words):
    assert " ".join(word.text for sentence in find_sentences(text) for word in sentence) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pain,GTN given", ["pain", ",", "GTN", "given"]),
        ("1,250.75 of 3mg,twice", ["1,250.75", "of", "3mg", ",", "twice"]),
        ("aspirin/clopidogrel", ["aspirin/clopidogrel"]),
    ],
)
def test_a_comma_separates_words_unless_it_stands_between_digits(text, words):
    assert [word.text for word in find_words(text)] == words

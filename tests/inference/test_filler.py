"""Filling of masks: what is masked, the three orders, and the text that comes out."""

import json
import math
import re

import numpy as np
import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import BertForMaskedLM, PreTrainedTokenizerFast

from conftest import make_config, make_tokenizer
from recipe.__main__ import main
from recipe.errors import RecipeError
from recipe.inference.fill_options import FillOptions
from recipe.inference.filler import Filler
from recipe.inference.masks import (
    ANY,
    FIRST,
    INNER,
    MARKER,
    START,
    Vocabulary,
    fill_text,
    mask_fraction,
    mask_positions,
    mask_typed,
    mask_words,
)
from recipe.inference.scorer import Scorer
from recipe.inputs.case_markers import MARKERS, add_case_markers
from recipe.model.objective import Pretraining, note_pretraining

HELLO = "Hello, how are you today?"
WORDS = [
    "hello",
    "how",
    "are",
    "you",
    "today",
    "oslo",
    "lima",
    "left",
    "on",
    "monday",
    "mara",
    "okello",
    "nato",
    "play",
]


def make_word_tokenizer(markers=False):
    """WordPiece with whole words, so that texts are short; other words are cut into characters."""
    tokenizer = make_tokenizer(words=[*MARKERS, *WORDS])
    return add_case_markers(tokenizer) if markers else tokenizer


def make_filler(markers=False, objective="masked"):
    tokenizer = make_word_tokenizer(markers)
    torch.manual_seed(0)
    model = BertForMaskedLM(make_config(vocab_size=len(tokenizer) + 3, initializer_range=0.5))
    note_pretraining(model.config, Pretraining(objective))
    return Filler(model, tokenizer)


@pytest.fixture(scope="module")
def filler():
    return make_filler()


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary(make_word_tokenizer(), 200)


def test_the_documented_example(vocabulary):
    """Nine tokens, of which position 0 is special and position 9 does not exist."""
    masked = mask_positions(HELLO, vocabulary, [6, 1, 4])
    assert len(masked.ids) == 9
    assert [slot.place for slot in masked.slots] == [1, 4, 6]
    assert [HELLO[gap.start : gap.end] for gap in masked.gaps] == ["Hello", "are", "today"]
    for positions, message in [
        ([0], "mask_positions: 0 is a special token: choose among 0 \\[CLS\\] \\(special\\), 1 hello, 2 ,, 3 how"),
        ([9], "mask_positions: 9 is out of range: choose among .*8 \\[SEP\\] \\(special\\)$"),
        ([-1], "mask_positions: -1 is out of range"),
        ([2, 3, 2], "mask_positions: 2 is given twice"),
    ]:
        with pytest.raises(RecipeError, match=message):
            mask_positions(HELLO, vocabulary, positions)


def test_words_are_masked_whole_and_counted_from_one(vocabulary):
    masked = mask_words("Norvik left Oslo.", vocabulary, [3, 1])
    assert [len(gap.slots) for gap in masked.gaps] == [6, 1]
    assert masked.gaps[0].slots[1].kind == INNER
    for words, message in [
        ([0], "0 is out of range: choose among 1 Norvik, 2 left, 3 Oslo, 4 ."),
        ([5], "5 is out of"),
    ]:
        with pytest.raises(RecipeError, match=message):
            mask_words("Norvik left Oslo.", vocabulary, words)
    with pytest.raises(RecipeError, match="mask_words: 1 is given twice"):
        mask_words("Norvik left Oslo.", vocabulary, [1, 1])


def test_a_token_that_two_chosen_words_share_is_masked_once(vocabulary):
    """The Tagger splits "can't" into "ca" and "n't", the tokenizer into "can", "'" and "t"."""
    text = "She can't go."
    masked = mask_words(text, vocabulary, [2, 3])
    places = [slot.place for slot in masked.slots]
    assert places == sorted(set(places))
    assert fill_text(masked, masked.ids, vocabulary)[0].startswith("She ")
    assert masked.gaps[0].end <= masked.gaps[1].start


def test_a_random_share_depends_on_the_seed_and_the_text_alone(vocabulary):
    first = mask_fraction(HELLO, vocabulary, 0.43, seed=3)
    assert len(first.slots) == 3
    assert mask_fraction(HELLO, vocabulary, 0.43, seed=3) == first
    assert any(mask_fraction(HELLO, vocabulary, 0.43, seed=seed) != first for seed in range(5))
    assert len(mask_fraction("Oslo", vocabulary, 0.01, seed=0).slots) == 1


def test_masks_in_the_text_are_found_whatever_the_model_calls_them(vocabulary):
    [masked] = mask_typed(["[MASK] left [MASK:3]."], vocabulary)
    assert [len(gap.slots) for gap in masked.gaps] == [1, 3]
    assert [(gap.start, gap.end) for gap in masked.gaps] == [(0, 6), (12, 20)]
    roberta = Vocabulary(make_byte_tokenizer(), 400)
    [masked] = mask_typed(["Oslo [MASK] to <mask>"], roberta)
    assert masked.ids.count(roberta.tokenizer.mask_token_id) == 2


def make_byte_tokenizer():
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        ["Mara left Oslo on Monday"] * 9, vocab_size=330, special_tokens=["<s>", "</s>", "<pad>", "<mask>"]
    )
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "mask_token": "<mask>"}
    return PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, **names)


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("Mara  left Oslo.", {2: "lima"}, "Mara  lima Oslo."),
        ("Mara left (Oslo), today.", {4: "lima"}, "Mara left (lima), today."),
        ("MARA left", {1: "mara"}, "MARA left"),  # found again: as it was written
        ("\tMara\nleft", {2: "on"}, "\tMara\non"),
    ],
)
def test_the_text_around_the_gaps_stays_as_it_is(vocabulary, text, words, expected):
    masked = mask_words(text, vocabulary, words)
    ids = list(masked.ids)
    for gap, word in zip(masked.gaps, words.values(), strict=True):
        ids[gap.slots[0].place] = vocabulary.tokenizer.convert_tokens_to_ids(word)
    filled, places = fill_text(masked, ids, vocabulary)
    assert filled == expected
    assert [filled[start:end].lower() for start, end in places] == list(words.values())


@pytest.mark.parametrize(
    ("text", "token", "expected"),
    [
        ("play[MASK]", "##s", "plays"),
        ("play[MASK]", "on", "play on"),
        ("[MASK].", "lima", "lima."),
        ("x-[MASK]", "a", "x-a"),
        ("left[MASK]Oslo", "on", "left on Oslo"),
        ("left[MASK]Oslo", "##s", "leftsOslo"),
        ("left[MASK].", "on", "left on."),
        ("\u65e5[MASK]\u672c", "on", "\u65e5on\u672c"),  # no spaces between words of Chinese and Japanese
    ],
)
def test_pieces_are_attached_and_words_are_not(vocabulary, text, token, expected):
    [masked] = mask_typed([text], vocabulary)
    mask = vocabulary.tokenizer.mask_token_id
    ids = [vocabulary.tokenizer.convert_tokens_to_ids(token) if one == mask else one for one in masked.ids]
    assert fill_text(masked, ids, vocabulary)[0] == expected


def test_byte_level_tokens_are_written_without_their_spaces():
    vocabulary = Vocabulary(make_byte_tokenizer(), 400)
    text = "Mara left Oslo"
    ids = vocabulary.tokenizer(text).input_ids
    names = vocabulary.tokenizer.convert_ids_to_tokens(ids)
    place = names.index("\u0120left")
    masked = mask_positions(text, vocabulary, [place])
    filled = list(masked.ids)
    filled[place] = vocabulary.tokenizer.convert_tokens_to_ids("\u0120Monday")
    assert fill_text(masked, filled, vocabulary)[0] == "Mara Monday Oslo"


def test_case_markers_are_applied_and_not_shown():
    vocabulary = Vocabulary(make_word_tokenizer(markers=True), 200)
    name = vocabulary.tokenizer.convert_tokens_to_ids
    masked = mask_words("Mara left Oslo", vocabulary, [3])
    assert masked.slots[0].kind == MARKER
    places = [slot.place for slot in masked.slots]
    for marker, word, expected in [(0, "lima", "Mara left Lima"), (1, "nato", "Mara left NATO")]:
        ids = list(masked.ids)
        ids[places[0]], ids[places[1]] = name(MARKERS[marker]), name(word)
        assert fill_text(masked, ids, vocabulary)[0] == expected
    alone = mask_positions("Mara left Oslo", vocabulary, [places[1]])  # the marker before it is not masked
    ids = list(alone.ids)
    ids[places[1]] = name("lima")
    assert fill_text(alone, ids, vocabulary)[0] == "Mara left Lima"


def test_a_marker_and_its_word_are_masked_by_their_positions_at_the_start_too():
    vocabulary = Vocabulary(make_word_tokenizer(markers=True), 200)
    name = vocabulary.tokenizer.convert_tokens_to_ids
    masked = mask_positions("Mara left Oslo", vocabulary, [1, 2])
    ids = list(masked.ids)
    ids[1], ids[2] = name(MARKERS[0]), name("lima")
    assert fill_text(masked, ids, vocabulary)[0] == "Lima left Oslo"


def test_a_threshold_is_refused_where_the_own_order_of_a_model_would_ignore_it(monkeypatch):
    filler = make_filler()
    monkeypatch.setattr(type(filler.pretraining), "is_causal", property(lambda self: True))
    with pytest.raises(RecipeError, match="threshold: has no effect with the order left_to_right"):
        filler("[MASK] left.", threshold=0.5)


def test_pieces_of_a_word_in_capitals_are_in_capitals():
    vocabulary = Vocabulary(make_word_tokenizer(markers=True), 200)
    convert = vocabulary.tokenizer.convert_tokens_to_ids
    for text, expected in [("MIRAX left", "MIRBX left"), ("Mirax left", "Mirbx left"), ("mirax left", "mirbx left")]:
        encoded = vocabulary.tokenizer(text).tokens()
        masked = mask_positions(text, vocabulary, [encoded.index("##a")])
        ids = [convert("##b") if token == vocabulary.tokenizer.mask_token_id else token for token in masked.ids]
        assert fill_text(masked, ids, vocabulary)[0] == expected


def test_the_parts_of_a_word_that_are_no_pieces_can_be_found_again(vocabulary):
    masked = mask_words("the U.S. left", vocabulary, [2])
    assert len(masked.slots) > 1
    assert all(vocabulary.allowed[slot.kind, slot.original] for slot in masked.slots)


def test_a_model_with_markers_decides_about_case(monkeypatch):
    filler = make_filler(markers=True)
    found = filler("Mara left [MASK] on Monday.")
    assert not any(marker in found.text for marker in MARKERS)
    assert len(found.predictions) == 1  # a marker is not shown as a prediction of its own


def predict_alone(filler, ids, place):
    """Log-probabilities at one position, from the plain model."""
    with torch.no_grad():
        return filler.model(input_ids=torch.tensor([ids])).logits[0, place].log_softmax(-1)


def predict_allowed(filler, ids, place):
    """The same with -inf for tokens that may not stand anywhere."""
    allowed = torch.from_numpy(filler.vocabulary.allowed[ANY])
    return predict_alone(filler, ids, place).masked_fill(~allowed, -math.inf)


@pytest.mark.parametrize("objective", ["masked", "masked_autoregressive"])
def test_left_to_right_feeds_each_prediction_back(objective):
    filler = make_filler(objective=objective)
    found = filler(HELLO, mask_positions=[1, 4, 6], order="left_to_right")
    masked = mask_positions(HELLO, filler.vocabulary, [1, 4, 6])
    ids, total = list(masked.ids), 0.0
    for place, prediction in zip([1, 4, 6], found.predictions, strict=True):
        scores = predict_allowed(filler, ids, place)
        ids[place] = int(scores.argmax())
        assert prediction.token == filler.tokenizer.convert_ids_to_tokens(ids[place])
        assert prediction.log_probability == pytest.approx(float(scores.max()), abs=1e-4)
        total += float(scores.max())
    assert found.log_probability == pytest.approx(total, abs=1e-3)
    assert found.passes == 3


def test_parallel_predicts_all_from_one_pass(filler):
    found = filler(HELLO, mask_positions=[1, 4, 6], order="parallel")
    ids = mask_positions(HELLO, filler.vocabulary, [1, 4, 6]).ids
    for place, prediction in zip([1, 4, 6], found.predictions, strict=True):
        scores = predict_allowed(filler, ids, place)
        assert prediction.log_probability == pytest.approx(float(scores.max()), abs=1e-4)
    assert found.passes == 1


def test_confidence_fills_the_most_certain_first(filler):
    found = filler(HELLO, mask_positions=[1, 4, 6], order="confidence")
    ids = list(mask_positions(HELLO, filler.vocabulary, [1, 4, 6]).ids)
    remaining, expected = {1, 4, 6}, {}
    while remaining:
        scores = {place: predict_allowed(filler, ids, place) for place in remaining}
        best = max(remaining, key=lambda place: float(scores[place].max()))
        ids[best] = int(scores[best].argmax())
        expected[best] = float(scores[best].max())
        remaining.remove(best)
    assert {item.position: item.log_probability for item in found.predictions} == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ({"order": "confidence", "steps": 2}, 2),
        ({"order": "left_to_right", "steps": 2}, 2),
        ({"order": "confidence", "steps": 99}, 5),
        ({"order": "confidence", "threshold": 1e-9}, 1),
        ({"order": "confidence", "threshold": 1.0}, 5),
    ],
)
def test_steps_and_threshold_set_the_number_of_passes(filler, options, passes):
    found = filler(HELLO, mask_positions=[1, 3, 4, 5, 6], **options)
    assert found.passes == passes
    assert len(found.predictions) == 5


def test_what_is_filled_later_does_not_change_an_earlier_prediction(filler):
    """Left to right, a prediction depends on masks to its right, not on what becomes of them."""
    short = filler(HELLO, mask_positions=[1, 4, 6], order="left_to_right")
    sampled = filler(HELLO, mask_positions=[1, 4, 6], order="left_to_right", temperature=5.0, seed=1)
    assert short.predictions[0].candidates == sampled.predictions[0].candidates


def test_samples_depend_on_the_seed_and_not_on_the_batch(filler):
    texts = [HELLO, "Mara left [MASK] on Monday."]
    options = {"temperature": 2.0, "seed": 4}
    together = filler([texts[1], *["Oslo [MASK]"] * 7], **options)
    assert filler(texts[1], **options).text == together[0].text
    assert len({filler(texts[1], temperature=9.0, seed=seed).text for seed in range(8)}) > 2


def test_the_best_number_of_pieces_is_the_one_with_the_highest_mean(filler):
    text = "Mara left [MASK] on Monday."
    lengths = {k: filler(text.replace("[MASK]", f"[MASK:{k}]")) for k in (1, 2, 3)}
    means = {k: found.log_probability / k for k, found in lengths.items()}
    best = max(means, key=means.__getitem__)
    assert filler(text, pieces=(1, 2, 3)).text == lengths[best].text


def test_no_special_tokens_and_no_unused_rows_of_the_model_are_predicted(filler):
    special = set(filler.tokenizer.all_special_tokens)
    for found in filler([f"{word} [MASK] [MASK:2]" for word in WORDS], top=1000):
        for prediction in found.predictions:
            names = {token for token, _ in prediction.candidates}
            assert None not in names
            assert not names & special
            assert sum(probability for _, probability in prediction.candidates) < 1.0001


def test_the_original_is_told_apart(filler):
    known = filler(HELLO, mask_words=[3])
    assert known.predictions[0].original == "how"
    assert known.predictions[0].is_recovered in (True, False)
    assert filler("Mara [MASK]").predictions[0].is_recovered is None


def test_bad_options_and_texts_are_refused(filler):
    for options, message in [
        ({}, r"no masks in 'Mara left': write \[MASK\]"),
        ({"mask_words": [1], "mask_fraction": 0.5}, "mask_words and mask_fraction: set only one"),
        ({"mask_fraction": 0.0}, "mask_fraction: 0.0 is not valid: expected a number above 0 and at most 1"),
        ({"temperature": -1.0}, "temperature: -1.0 is not valid: expected 0, or a number from 0.001 to 1000"),
        ({"temperature": math.nan}, "temperature: nan is not valid"),
        ({"temperature": None}, "temperature: None is not valid"),
        ({"order": "random"}, "order: 'random' is not valid: expected parallel left_to_right confidence"),
        ({"steps": 0}, "steps: 0 is not valid: expected a whole number of at least 1"),
        ({"steps": 1.5}, "steps: 1.5 is not valid"),
        ({"seed": "3"}, "seed: '3' is not valid"),
        ({"threshold": 2.0}, "threshold: 2.0 is not valid"),
        ({"threshold": 0.5, "order": "parallel"}, "threshold: has no effect"),
        ({"threshold": 0.5, "steps": 2}, "steps and threshold: set only one"),
        ({"steps": 2, "order": "parallel"}, "steps: has no effect with the order parallel"),
        ({"pieces": [1, 2], "mask_words": [1]}, "pieces: has no effect with mask_words"),
        ({"temperature": 1e-320}, "temperature: 1e-320 is not valid"),
        ({"pieces": ()}, r"pieces: \(\) is not valid: expected whole numbers from 1 to 20"),
        ({"pieces": 3}, "pieces: 3 is not valid"),
        ({"pieces": [21]}, r"pieces: \[21\] is not valid"),
        ({"mask_words": 2}, "mask_words: 2 is not valid: expected a list of numbers of words"),
        ({"mask_positions": []}, r"mask_positions: \[\] is not valid: expected a list of token positions"),
    ]:
        with pytest.raises(RecipeError, match=message):
            filler("Mara left", **options)
    with pytest.raises(RecipeError, match="has 83 tokens, but the model accepts 64: shorten it"):
        filler("m" * 80 + "[MASK]")


@pytest.mark.parametrize("mask", ["[MASK:0]", "[MASK:21]", "[MASK:]", "[MASK:two]"])
def test_a_mask_with_a_bad_number_of_pieces_is_refused_beside_a_good_one(filler, mask):
    with pytest.raises(RecipeError, match=rf"text 2: {re.escape(mask)}: expected 1 to 20 pieces, such as \[MASK:3\]"):
        filler(["[MASK] left", f"[MASK] left {mask}"])


@pytest.mark.parametrize("options", [{"mask_words": [1]}, {"mask_positions": [1]}, {"mask_fraction": 0.5}])
def test_masks_in_a_text_and_an_option_that_masks_exclude_each_other(filler, options):
    with pytest.raises(RecipeError, match=f"has masks already: remove the masks, or leave out {next(iter(options))}"):
        filler("Mara left [MASK]", **options)


@pytest.mark.parametrize("texts", [None, 3, b"[MASK]", ["[MASK]", 3]])
def test_anything_else_than_texts_is_refused(filler, texts):
    with pytest.raises(RecipeError, match=r"expected a (text|list of texts), not (NoneType|int|bytes)"):
        filler(texts)


def test_a_special_token_is_no_word_to_mask(filler):
    with pytest.raises(RecipeError, match="'SEP' is part of a special token: choose other words"):
        filler("Mara [SEP] left", mask_words=[3])
    assert len(filler("Mara \u2603 left", mask_words=[2]).predictions) == 1  # unknown to the tokenizer, but a word


def test_a_single_mask_stands_for_a_word_and_a_glued_one_also_for_a_piece(vocabulary):
    pieces = {number for number, token in enumerate(vocabulary.tokens) if token.startswith("##")}
    kinds = [slot.kind for slot in mask_typed(["[MASK] left[MASK] ([MASK]) [MASK][MASK]"], vocabulary)[0].slots]
    assert kinds == [START, ANY, START, START, ANY]
    assert not vocabulary.allowed[START, list(pieces)].any()
    assert vocabulary.allowed[ANY, list(pieces)].all()


def test_a_word_of_several_pieces_begins_with_a_letter_or_digit(vocabulary):
    kinds = [slot.kind for slot in mask_typed(["[MASK:3]"], vocabulary)[0].slots]
    assert kinds == [FIRST, INNER, INNER]
    found = {vocabulary.tokens[number] for number in np.flatnonzero(vocabulary.allowed[FIRST])}
    assert "oslo" in found
    assert all(token[0].isalnum() for token in found)


def test_a_fixed_number_of_pieces_is_used(filler):
    assert len(filler("Mara left [MASK]", pieces=[3]).predictions) == 3


def test_texts_come_back_in_order_and_in_buffers(filler, monkeypatch):
    texts = [f"{'Mara ' * (number % 5)}[MASK] {word}" for number, word in enumerate(WORDS)]
    whole = filler(texts)
    monkeypatch.setattr("recipe.inference.filler.BUFFER", 3)
    assert [found.text for found in filler(texts)] == [found.text for found in whole]


def test_options_are_checked_before_a_model_loads():
    with pytest.raises(RecipeError, match="steps: 0"):
        main(["fill", "--model", "nowhere/at-all", "[MASK]", "--steps", "0"])
    with pytest.raises(RecipeError, match="pieces: 4-1: expected a number up to 20, or a range such as 1-4"):
        main(["fill", "--model", "nowhere/at-all", "[MASK]", "--pieces", "4-1"])
    assert FillOptions().pieces == (1,)


def test_the_verb_prints_and_writes(encoder, tmp_path, capsys, caplog):
    main(["fill", "--model", encoder, "--precision", "fp32", "a [MASK] c", "--top", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("a ")
    assert lines[1].startswith("  2: ")
    assert "no trained head" not in caplog.text
    (tmp_path / "a.jsonl").write_text('{"text": "a [MASK]", "id": 7}\n{"text": "[MASK] b", "id": 8}\n')
    main(["fill", "--model", encoder, str(tmp_path / "a.jsonl"), "--output", str(tmp_path / "b.jsonl")])
    rows = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [7, 8]
    start, end, text = rows[0]["gaps"][0]
    assert rows[0]["text"][start:end] == text
    assert rows[0]["predictions"][0]["recovered"] is None


def test_an_untrained_head_is_warned_about_with_the_command_that_trains_it(tmp_path, caplog, tokenizer):
    BertForMaskedLM(make_config()).bert.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    Filler.load(tmp_path)
    assert "has no trained head for masked tokens" in caplog.text
    assert f"--model_name_or_path {tmp_path}" in caplog.text
    assert f"--output_dir runs/mlm/{tmp_path.name}-more" in caplog.text
    caplog.clear()
    model = BertForMaskedLM(make_config())
    note_pretraining(model.config, Pretraining(new_head=True, trained_tokens=81_920))
    model.save_pretrained(tmp_path)
    Filler.load(tmp_path)
    assert "a head trained on only 81,920 tokens" in caplog.text
    caplog.clear()
    note_pretraining(model.config, Pretraining(new_head=True, trained_tokens=14_000_000))
    model.save_pretrained(tmp_path)
    Filler.load(tmp_path)
    assert not caplog.text


def test_a_model_that_predicts_nan_is_refused(tmp_path, tokenizer):
    model = BertForMaskedLM(make_config())
    torch.nn.init.constant_(model.bert.encoder.layer[0].output.dense.weight, math.nan)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    for use in (lambda: Filler.load(tmp_path)("a [MASK]"), lambda: Scorer.load(tmp_path)("a b")):
        with pytest.raises(RecipeError, match=r"^the model predicts NaN or infinity: restore its weights, or set prec"):
            use()


def test_texts_that_cannot_be_filled_are_named_or_counted(encoder, tmp_path, capsys):
    (tmp_path / "a.txt").write_text(f"a [MASK]\nb\n{'m' * 80} [MASK]\nc [MASK]\n")
    command = ["fill", "--model", encoder, str(tmp_path / "a.txt"), "--lines", "--precision", "fp32"]
    with pytest.raises(RecipeError, match=r"a\.txt:2: no masks in 'b': .*\(--skip_bad skips such texts\)"):
        main(command)
    (tmp_path / "articles.txt").write_text("a\n[MASK]\n\n\nb\nc\n")
    with pytest.raises(RecipeError, match=r"articles\.txt:5: no masks in 'b\\nc'"):
        main(["fill", "--model", encoder, str(tmp_path / "articles.txt"), "--precision", "fp32"])
    capsys.readouterr()
    main([*command, "--skip_bad"])
    shown = capsys.readouterr()
    assert [line[:2] for line in shown.out.splitlines() if line and line[0] != " "] == ["a ", "c "]
    assert "2 text(s) or line(s) could not be used and were skipped" in shown.err

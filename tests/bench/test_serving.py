"""The measurement of forms of taggers keeps what it has after each round."""

import pytest

from bench.tagging import measure_rounds


def test_figures_are_there_after_each_round_and_contestants_take_turns():
    turns = []
    contestants = {name: lambda name=name: turns.append(name) for name in "ab"}
    first, second = measure_rounds(contestants, sentences=10, words=30, rounds=2)
    assert turns == ["a", "b", "a", "b"]
    assert [len(row["seconds"]) for row in (*first.values(), *second.values())] == [1, 1, 2, 2]
    for row in second.values():
        assert row["words_per_second"] == pytest.approx(3 * row["sentences_per_second"])
        assert row["slowest"] <= row["sentences_per_second"] <= row["fastest"]

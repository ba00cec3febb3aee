import torch
from hypothesis import given
from hypothesis import strategies as st

from recipe.training.batching import LengthGroupedSampler


def draw_batches(lengths, batch_size, seed=0):
    order = list(LengthGroupedSampler(lengths, batch_size, torch.Generator().manual_seed(seed)))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


@given(st.lists(st.integers(1, 50), max_size=200), st.integers(1, 9))
def test_each_example_comes_once_and_the_longest_in_the_first_batch(lengths, batch_size):
    batches = draw_batches(lengths, batch_size)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    if len(lengths) % batch_size == 0 and lengths:
        assert max(lengths[index] for index in batches[0]) == max(lengths)


def test_batches_have_like_lengths_in_no_order():
    lengths = torch.randint(1, 100, (6400,), generator=torch.Generator().manual_seed(1)).tolist()
    batches = [[lengths[index] for index in batch] for batch in draw_batches(lengths, 16)]
    assert sum(16 * max(batch) for batch in batches) < 1.04 * sum(lengths)
    means = torch.tensor([sum(batch) / 16 for batch in batches[1:]])
    neighbours = torch.corrcoef(torch.stack([means[:-1], means[1:]]))[0, 1]
    assert abs(neighbours) < 0.2
    assert abs(means[:200].mean() - means[200:].mean()) < 8


def test_the_order_follows_from_the_generator():
    lengths = list(range(1, 300))
    assert draw_batches(lengths, 8, seed=3) == draw_batches(lengths, 8, seed=3)
    assert draw_batches(lengths, 8, seed=3) != draw_batches(lengths, 8, seed=4)
    few = list(range(1, 33))  # not the same batches anew in each epoch
    assert {frozenset(batch) for batch in draw_batches(few, 8, 1)} != {frozenset(b) for b in draw_batches(few, 8, 2)}

import numpy as np
import pytest
import torch
from transformers import EvalPrediction

from recipe.errors import RecipeError
from recipe.evaluation.masked import break_down, score_positions, summarize_positions


def test_every_masked_token_counts_the_same():
    logits = torch.log(torch.tensor([[[0.5, 0.5], [0.9, 0.1]], [[0.2, 0.8], [0.5, 0.5]]]))
    labels = torch.tensor([[0, 1], [1, -100]])
    scores = score_positions(logits, labels)
    assert scores[1, 1].tolist() == [0.0, 0.0]
    result = summarize_positions(
        EvalPrediction([scores[:1].numpy(), scores[1:].numpy()], [labels[:1].numpy(), labels[1:].numpy()])
    )
    loss = -np.log([0.5, 0.1, 0.8]).mean()
    assert result == {
        "loss": pytest.approx(loss, abs=1e-6),
        "perplexity": pytest.approx(np.exp(loss), abs=1e-5),
        "masked_accuracy": pytest.approx(2 / 3),
        "masked_tokens": 3,
    }


def test_a_loss_that_is_nan_is_refused():
    scores, labels = np.array([[[np.nan, 0], [1, 1]]]), np.array([[3, 4]])
    with pytest.raises(RecipeError, match=r"^the model predicts NaN or infinity"):
        summarize_positions(EvalPrediction([scores], [labels]))


def test_scores_are_broken_down_by_part_and_by_frequency_in_training():
    """Token 0 starts a word and is frequent, 1 continues one and is rare, 2 starts one and is new."""
    labels = np.array([[0, 1, -100], [2, 0, 1]])
    scores = np.array([[[1.0, 1], [2, 0], [9, 9]], [[4, 0], [3, 1], [6, 1]]])
    output = EvalPrediction([scores[:1], scores[1:]], [labels[:1], labels[1:]])
    assert break_down(output, [False, True, False], np.array([12_000, 3, 0, 7])) == {
        "part": {
            "word starts": {"loss": pytest.approx(8 / 3), "accuracy": pytest.approx(2 / 3), "tokens": 3},
            "pieces": {"loss": 4.0, "accuracy": 0.5, "tokens": 2},
        },
        "times in training": {
            "0": {"loss": 4.0, "accuracy": 0.0, "tokens": 1},
            "1 to 9": {"loss": 4.0, "accuracy": 0.5, "tokens": 2},
            "10,000 or more": {"loss": 2.0, "accuracy": 1.0, "tokens": 2},
        },
    }
    assert list(break_down(output, [False] * 3)) == ["part"]

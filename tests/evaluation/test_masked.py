import numpy as np
import pytest
import torch
from transformers import EvalPrediction

from recipe.evaluation.masked import score_positions, summarize_positions


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

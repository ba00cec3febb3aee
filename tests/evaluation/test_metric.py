from recipe.evaluation.metric import EntityScore
from recipe.evaluation.scoring import score_entities

GOLD = ["B-PER I-PER O B-LOC", "O B-ORG"]


def split(lines):
    return [line.split() for line in lines]


def test_metric_needs_no_network_and_agrees_with_the_report():
    gold, predicted = split(GOLD), split(["B-PER I-PER O I-LOC", "O B-ORG"])
    result = EntityScore().compute(predictions=predicted, references=gold)
    rows = score_entities(gold, predicted)
    assert result["f1"] == rows["micro avg"]["f1"]
    assert result["f1_PER"] == rows["PER"]["f1"]

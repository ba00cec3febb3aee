"""Pages of made-up runs, for the tests of the page as text and in a browser."""

from recipe.evaluation.analysis import analyze
from recipe.evaluation.examples import list_examples, list_suspects
from recipe.evaluation.matches import ScoredSentence, list_cases
from recipe.evaluation.page import Curves, Page, SplitPart
from recipe.evaluation.scoring import score

HOSTILE = (
    "<script>alert('in')</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><!--",
    "{{ 7 * 7 }}",
    "\u202e\u05e9\u05dc\u05d5\u05dd",  # turns the direction of what follows
    "\u0645\u0631\u062d\u0628\u0627",
    "=HYPERLINK(1)",
    "&amp;",
    "x" * 10_000,
)
MENTIONS = {"Oslo": {"LOC": 4}, "Lima": {"LOC": 1, "PER": 3}}


def make_sentence(words, gold, predicted, line=1, score=0.95):
    entities = sum(tag.startswith("B-") for tag in predicted)
    return ScoredSentence(words, gold, predicted, line, [score] * len(words), [score] * entities)


def make_sentences():
    """Each kind of error, and each hostile word in an error of its own."""
    rows = [
        ("Mara Okello left Oslo .", "B-PER I-PER O B-LOC O", "B-PER I-PER O B-LOC O"),
        ("The Norvik shipyard opens", "O B-ORG I-ORG O", "O B-ORG O O"),
        ("Lima wins in Quito", "B-PER O O B-LOC", "B-LOC O O O"),
        ("DANES BEAT Norvik yard", "O O B-ORG I-ORG", "B-MISC O O B-LOC"),
    ]
    sentences = [
        make_sentence(words.split(), gold.split(), predicted.split(), line, 0.9 + line / 100)
        for line, (words, gold, predicted) in enumerate(rows, 1)
    ]
    hostile = [make_sentence([word, "end"], ["B-ORG", "O"], ["B-PER", "O"], 10 + n) for n, word in enumerate(HOSTILE)]
    return sentences + hostile


def make_split(name="test", sentences=None, mentions=MENTIONS, **more):
    sentences = make_sentences() if sentences is None else sentences
    cases = list_cases(sentences)
    scores = score([one.gold for one in sentences], [one.predicted for one in sentences])
    analysis = analyze(cases, mentions)
    return SplitPart(name, scores, analysis, list_examples(cases), list_suspects(cases, mentions), **more)


def make_page(*splits, **more):
    history = [{"step": step, "loss": 1 / step, "eval_loss": 2 / step, "eval_f1": 1 - 1 / step} for step in (1, 2, 3)]
    settings = {
        "title": "mara<b>",
        "task": "Named-entity recognition",
        "facts": {"Data": "newswire <mini>"},
        "curves": [Curves("Named-entity recognition", history)],
        "settings": "hub_data_note: '<i>'",
    }
    return Page(splits=splits or (make_split(), make_split("dev")), **settings | more)

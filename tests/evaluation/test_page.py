"""The page of a run as text: whole, escaped, without anything to load, and without what is not known."""

import math
import re
from html.parser import HTMLParser

import pytest

from recipe.evaluation.filled import FilledExample, FilledPiece
from recipe.evaluation.matches import ScoredSentence
from recipe.evaluation.page import Curves, SplitPart, render_page
from recipe.evaluation.scoring import REFERENCE
from sample_pages import HOSTILE, make_page, make_sentence, make_split

VOID = {"meta", "link", "input", "br", "img", "use", "path"}
SECTIONS = ["scores", "curves", "confusion", "errors", "buckets", "calibration", "examples", "labels"]


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that tags are closed in order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.ids, self.text = [], [], [], [], ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def list_sections(page):
    return re.findall(r'<section id="(\w+)"', page)


def test_a_page_has_its_parts_in_order_and_its_menu_leads_to_them():
    page = render_page(make_page())
    assert list_sections(page) == SECTIONS == re.findall(r'<a href="#(\w+)"', page)
    reader = Reader(page)
    assert len(reader.ids) == len(set(reader.ids))


def test_words_cannot_become_markup():
    reader = Reader(render_page(make_page()))
    assert reader.tags.count("script") == 1
    assert "img" not in reader.tags
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    for word in HOSTILE[:-1]:
        assert word in reader.text
    assert "x" * 81 not in reader.text
    assert "(10,000 characters)" in reader.text
    assert "newswire <mini>" in reader.text


def test_a_page_loads_nothing_and_allows_no_script_but_its_own():
    page = render_page(make_page())
    assert "default-src 'none'" in page
    assert re.search(r"script-src 'sha256-[\w+/]{43}='", page)
    links = [value for name, value in Reader(page).attributes if name in ("src", "href", "xlink:href")]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)


def test_the_same_run_gives_the_same_page():
    assert render_page(make_page()) == render_page(make_page())


def test_the_interval_is_shown_if_the_report_has_one():
    split = make_split()
    assert ", 70.1 to 80.2</span>" not in render_page(make_page(split))
    split.scores["documents"] = {"intervals": {"micro avg": [0.701, 0.802]}}
    assert ", 70.1 to 80.2</span>" in render_page(make_page(split))
    split.scores["documents"] = {"intervals": {"micro avg": None}}
    assert split.interval == ""


def test_the_reference_is_beside_the_tags_only_where_it_applies():
    rows = {
        tag: dict(zip(("precision", "recall", "f1", "support"), row, strict=True)) for tag, row in REFERENCE.items()
    }
    entities = make_split().scores["entities"]
    page = render_page(make_page(SplitPart("test", {"entities": entities, "tags": rows})))
    assert "beside a published bert-base-cased" in page
    assert page.count("+0.0</td>") == len(REFERENCE)
    assert "bert-base-cased" not in render_page(make_page())


def test_what_is_not_known_is_left_out_and_said():
    scores = make_split().scores
    page = render_page(make_page(SplitPart("test", scores, notes=["No predictions."]), curves=[]))
    assert list_sections(page) == ["scores"]
    assert '<p class="note">No predictions.</p>' in page
    blind = make_split(sentences=[ScoredSentence(["Oslo"], ["B-LOC"], ["B-ORG"])], mentions=None)
    page = render_page(make_page(blind))
    assert list_sections(page) == [name for name in SECTIONS if name not in ("calibration", "labels")]
    assert "Seen in training" not in page


def test_a_page_without_any_entity_is_a_page():
    empty = make_split(sentences=[make_sentence(["and"], ["O"], ["O"])])
    assert "confusion" in list_sections(render_page(make_page(empty)))


def test_a_masked_language_model_has_curves_and_groups_of_tokens():
    row = {"loss": 1.5, "accuracy": 0.25, "tokens": 1200}
    scores = {"loss": 2.0, "perplexity": 7.389, "masked_accuracy": 0.5, "masked_tokens": 2400}
    scores["breakdown"] = {"part": {"word starts": row, "pieces": row}}
    history = [{"step": step, "loss": 3.0, "eval_loss": 2.0, "eval_perplexity": 7.4} for step in (1, 2)]
    page = render_page(make_page(SplitPart("dev", scores), task="Masked pretraining", curves=[Curves("", history)]))
    assert list_sections(page) == ["curves", "tokens"]
    assert "7.39" in page
    assert "Word starts" not in page
    assert "word starts" in page
    assert "Perplexity by step" in page


def make_filled(word, rank=1):
    before, after = (
        [FilledPiece("Mara", False, False), FilledPiece(word, True, True)],
        [FilledPiece(word, False, False)],
    )
    return FilledExample(7, before, FilledPiece(word, True, False), after, [(word, 0.5), ("yard", 0.25)], rank, 0.5)


def test_filled_examples_show_context_candidates_and_whether_the_token_was_recovered():
    scores = {"loss": 2.0, "perplexity": 7.389, "masked_accuracy": 0.5}
    examples = [make_filled("Oslo"), make_filled("Lima", rank=1234), *map(make_filled, HOSTILE[:-1])]
    page = render_page(make_page(SplitPart("dev", scores, filled=examples), curves=[]))
    assert list_sections(page) == ["filled"]
    assert f"{len(examples) - 1} of {len(examples)} tokens" in page
    reader = Reader(page)
    assert "… MaraOslo Oslo Oslo …" in " ".join(reader.text.split())
    assert "rank 1,234" in reader.text
    assert "quotes the data" in reader.text
    assert reader.tags.count("script") == 1
    assert "img" not in reader.tags


def test_a_page_without_text_has_the_figures_and_says_so():
    split = make_split()
    page = render_page(make_page(SplitPart("test", split.scores, split.analysis), with_text=False))
    assert list_sections(page) == [name for name in SECTIONS if name not in ("examples", "labels")]
    assert "Text of the data is left out." in page
    assert "quotes the data" not in page
    assert not [word for word in ("Okello", "Norvik", "Lima", "shipyard") if word in page]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_curves_leave_out_what_is_not_finite_or_not_there(bad):
    history = [
        {"step": 1, "loss": bad},
        {"step": 2, "loss": 1.0},
        {"step": 3, "eval_loss": bad},
        {"train_runtime": 3.0},
    ]
    [(title, picture)] = Curves("", history).pictures
    assert title == "Loss"
    assert picture.count("<use") > 0
    assert Curves("", []).pictures == []
    assert Curves("", history[:1]).pictures == []


def test_pictures_take_the_colours_and_the_font_of_the_page():
    [(_, picture), *_] = Curves("", [{"step": step, "loss": 1.0, "eval_loss": 2.0} for step in (1, 2)]).pictures
    assert "var(--accent)" in picture
    assert "var(--second)" in picture
    assert not re.search(r"#0102|<style|font-family|<\?xml|http://www.w3.org/TR", picture)
    assert not re.search(r": #[0-9a-f]{6}", picture)

"""The page of a run in a real browser: Chromium, if playwright (the extra `browser`) and a browser are there."""

import csv
import io
import shutil

import pytest

from recipe.evaluation.page import render_page
from sample_pages import HOSTILE, make_page, make_sentence, make_split

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[browser]")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TIMEOUT = 120_000  # milliseconds; a machine can be busy
WIDTHS = (1280, 390)


@pytest.fixture(scope="module")
def browser():
    if not BROWSER:
        pytest.skip("no browser: install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"], timeout=TIMEOUT)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A page with all kinds of errors, 60 of which are alike."""
    same = [make_sentence(["Bergen", f"n{number}"], ["B-LOC", "O"], ["O", "O"], 100 + number) for number in range(60)]
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(make_page(make_split(), make_split("dev", same))), encoding="utf-8")
    return path


@pytest.fixture(params=WIDTHS)
def page(browser, file, request):
    """The opened page; it fails at the end if the page complained or asked for anything else."""
    page = browser.new_page(viewport={"width": request.param, "height": 800})
    page.set_default_timeout(TIMEOUT)
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    yield page
    page.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == [file.as_uri()]


def find_part(page, name, selector):
    return page.locator(f'[data-part="{name}"] {selector}')


def shown(page, name="test"):
    return [text for text in find_part(page, name, ".cases li:visible .text").all_inner_texts() if text]


def test_one_split_is_shown_at_a_time(page):
    assert page.locator(".matrix:visible").count() == 1
    page.get_by_role("button", name="dev", exact=True).click()
    assert shown(page) == []
    assert len(shown(page, "dev")) == 25
    assert page.get_by_role("button", name="dev", exact=True).get_attribute("aria-pressed") == "true"


def test_filters_show_what_they_say(page):
    errors = shown(page)
    assert len(errors) == 5 + len(HOSTILE)
    find_part(page, "test", "[data-role=kind]").select_option("missed")
    assert shown(page) == ["Lima wins in Quito"]
    find_part(page, "test", "[data-role=kind]").select_option("correct")
    assert len(shown(page)) == 2
    find_part(page, "test", "[data-role=kind]").select_option("errors")
    find_part(page, "test", "[data-role=type]").select_option("MISC")
    assert shown(page) == ["DANES BEAT Norvik yard"]
    find_part(page, "test", "[data-role=type]").select_option("")
    find_part(page, "test", "[data-role=text]").fill("NORVIK")
    assert len(shown(page)) == 3
    assert find_part(page, "test", "[data-role=count]").inner_text() == "3 of 3"
    find_part(page, "test", "[data-role=text]").fill("no such words")
    assert shown(page) == []


def test_more_is_shown_on_demand(page):
    page.get_by_role("button", name="dev", exact=True).click()
    more = find_part(page, "dev", "[data-role=more]")
    more.click()
    assert len(shown(page, "dev")) == 50
    more.click()
    assert len(shown(page, "dev")) == 60
    assert not more.is_visible()


def test_hostile_words_are_text(page):
    texts = shown(page)
    for word in HOSTILE[:-1]:
        assert any(word in text for text in texts), word
    assert any("(10,000 characters)" in text for text in texts)
    assert page.locator(".cases img, .cases script, table script").count() == 0


def test_nothing_is_wider_than_the_screen(page):
    """Wide tables scroll in a box of their own."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_suspects_are_saved_as_csv_without_formulas(page):
    with page.expect_download(timeout=TIMEOUT) as waiting:
        find_part(page, "test", "[data-export]").click()
    with open(waiting.value.path(), encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(io.StringIO(file.read(), newline=""))
    assert waiting.value.suggested_filename.endswith("-test-labels.csv")
    assert header[:4] == ["line", "in the data", "model", "confidence"]
    assert len(rows) == find_part(page, "test", ".suspects tbody tr").count() > len(HOSTILE)
    cells = [cell for row in rows for cell in row]
    assert "<script>alert('in')</script> ORG" in cells
    assert "'=HYPERLINK(1) ORG" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert {row[4] for row in rows} >= {"LOC 1, PER 3", ""}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_have_readable_contrast(browser, file, scheme):
    """The ratio of WCAG 2: at least 4.5 for text, its muted form, and text on every shade of the matrix."""
    page = browser.new_page(color_scheme=scheme)
    page.goto(file.as_uri(), timeout=TIMEOUT)
    page.set_default_timeout(TIMEOUT)
    for selector in ("h1", ".eyebrow", ".matrix td.hit", ".matrix td.miss", ".cases .p", ".switch [aria-pressed=true]"):
        for ink, paper in page.locator(selector).evaluate_all(COLOURS):
            assert find_contrast(ink, paper) >= 4.5, (selector, ink, paper)
    page.close()


# The computed colour and background of elements as [red, green, blue], drawn to get rid of other notations.
COLOURS = """elements => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const draw = colour => {
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  return elements.map(element => {
    const style = getComputedStyle(element);
    draw(paper);
    const background = draw(style.backgroundColor);
    return [draw(style.color), background];
  });
}"""


def find_contrast(first, second):
    def light(colour):
        parts = [value / 255 for value in colour]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, bright = sorted([light(first), light(second)])
    return (bright + 0.05) / (dark + 0.05)

"""The page in Debian's own Chromium: filter and search are clicked, wide and narrow, by day and by night.

A breach of the page's policy shows as an error in the console, and there may be none.
"""

import shutil
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from scar.report.gather import gather
from scar.report.page import facts_of, render
from scar.runs import Embeddings
from scar.selection.keep import select
from scar.selection.rules import TopK
from tests.make import pool_rows, write_jsonl
from tests.selection.made import make_run

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no `chromium`: apt-get install chromium"),
]
pytest.importorskip("jinja2")
api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: it drives Chromium")
N = 90
HOSTILE = "</script><img src=https://example.org/x onerror=alert(1)><svg onload=alert(2)> needle"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    rows = pool_rows(N)
    for row in rows[::3]:
        row["response"] += HOSTILE + " and a long word: " + "x" * 900
    for row in rows:
        row["source"] += HOSTILE[:30] if row["source"] == "s1" else ""
    pool = write_jsonl(folder / "pool.jsonl", [*rows, b"<b>not json"])
    rng = np.random.default_rng(0)
    more = {"style_tokens": rng.integers(5, 90, N).tolist(), "source": [row["source"] for row in rows]}
    run = make_run(folder / "run", pool, {"style": rng.normal(size=N).tolist()}, more=more, chunk_rows=N)
    select(run, TopK(30), folder / "kept.jsonl")
    points = rng.normal(size=(N + 1, 6)).astype(np.float32)
    facts = replace(facts_of(str(folder / "kept.jsonl")), embeddings=lambda: Embeddings.of_array(points))
    (folder / "report.html").write_bytes(render(gather(facts)).encode())
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as driver:
        # Containers let no sandbox of Chromium's own be made; the page is ours, and there is no network to it.
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def opened(browser, file, width=1280, scheme="light"):
    """Open the page; afterwards nothing may have been asked for, told or refused."""
    said = []
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: said.append(request.url) if request.url != file.as_uri() else None)
    page.goto(file.as_uri())
    yield page
    page.close()
    assert said == []


def shown(page):
    """Give what the examples that can be seen are."""
    return page.eval_on_selector_all(
        "#list > article",
        "all => all.filter(each => each.offsetHeight > 0).map(each => ({...each.dataset, text: each.textContent}))",
    )


def test_filter_and_search_show_what_fits_alone(browser, page_file):
    with opened(browser, page_file) as page:
        every = shown(page)
        assert (
            len(every) > 20 and page.locator("#shown").inner_text() == f"{len(every)} of {len(every)} shown"
        )
        page.select_option("#what", "kept")
        assert {each["what"] for each in shown(page)} == {"kept"}
        page.select_option("#tenth", "10")
        best = shown(page)
        assert 0 < len(best) <= 3 and {each["tenth"] for each in best} == {"10"}
        page.select_option("#tenth", "1")
        assert shown(page) == [] and page.locator("#none").is_visible()
        page.select_option("#tenth", "")
        page.select_option("#what", "")
        hostile = next(each["source"] for each in every if each["source"].startswith("s1"))
        page.select_option("#source", hostile)
        assert {each["source"] for each in shown(page)} == {hostile} and hostile == "s1" + HOSTILE[:30]
        page.select_option("#source", "")
        page.fill("#search", "NEEDLE onerror")
        assert shown(page) == [each for each in every if "needle" in each["text"]] != []
        page.fill("#search", "")
        assert shown(page) == every


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (700, "light"), (390, "light"), (390, "dark")]
)
def test_the_page_fits_and_can_be_read(browser, page_file, width, scheme):
    with opened(browser, page_file, width, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(WEAK) == []
        assert page.evaluate(CUT) == []
        assert page.locator("figure svg").count() == 4


def test_what_is_cut_can_be_opened(browser, page_file):
    with opened(browser, page_file, 390) as page:
        more = page.locator("details").first
        assert not more.locator("p").first.is_visible()
        more.locator("summary").click()
        assert more.locator("p").first.is_visible()


# Luminance and contrast as WCAG 2 has them; texts of charts are measured against the page.
WEAK = """() => {
  const light = (c) => c.match(/[\\d.]+/g).slice(0, 3)
    .map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [.2126, .7152, .0722][n], 0);
  const ground = (e) => { const c = getComputedStyle(e).backgroundColor;
    return c !== 'rgba(0, 0, 0, 0)' || !e.parentElement ? c : ground(e.parentElement); };
  const own = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  const read = (e) => own(e) && !['SCRIPT', 'OPTION'].includes(e.tagName);
  return [...document.body.querySelectorAll('*')].filter(read).filter((e) => {
    const ink = getComputedStyle(e)[e.ownerSVGElement ? 'fill' : 'color'];
    const [a, b] = [light(ink), light(ground(e))].sort((x, y) => y - x);
    return (a + .05) / (b + .05) < 4.5;
  }).map((e) => e.outerHTML.slice(0, 80));
}"""

# Texts of a chart that leave it, or lie on each other.
CUT = """() => [...document.querySelectorAll('figure svg')].flatMap((svg) => {
  const box = svg.getBoundingClientRect(), texts = [...svg.querySelectorAll('text')];
  const at = texts.map((t) => t.getBoundingClientRect());
  const over = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3;
  const out = (a) => a.left < box.left - 1 || a.right > box.right + 1 || a.bottom > box.bottom + 1;
  const lies = (n) => at.some((other, m) => m < n && over(at[n], other));
  return texts.filter((t, n) => out(at[n]) || lies(n)).map((t) => t.textContent);
})"""

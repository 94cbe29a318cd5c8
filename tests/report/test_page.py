"""The page of a run and of a selection: whole, safe whatever the rows hold, and small however many they are."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from scar.errors import InputError
from scar.pools import find
from scar.report.gather import gather
from scar.report.page import facts_of, render, report
from scar.report.views.groups import on_map
from scar.runs import Embeddings
from scar.selection.fuse import Fuse
from scar.selection.keep import select
from scar.selection.rules import Quantile, TopK
from tests.make import pool_rows, write_jsonl
from tests.report.made import made_facts
from tests.selection.made import make_run

pytest.importorskip("jinja2")
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \u2028\u202e\x00 '\" {{ 7*7 }} <!--"
N = 120


def hostile_rows():
    rows = pool_rows(N)
    for n in range(0, N, 5):
        rows[n] |= {
            "instruction": f"{HOSTILE} {n}",
            "response": f"{HOSTILE}{'x ' * n}",
            "id": HOSTILE,
            "source": HOSTILE,
        }
    rows[7] |= {"response": "x" * 50_000}
    rows = [json.dumps(row).encode() for row in rows]
    # A lone surrogate can stand in JSON: its row is set aside, and shown among these with its id.
    lone = {"instruction": "i \ud800", "response": "r", "id": f"\ud800{HOSTILE}"}
    return [*rows, b"not json <script>", b'{"instruction": "only"}', json.dumps(lone).encode()]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("<b>run&amp;")
    pool = write_jsonl(folder / "<i>pool.jsonl", hostile_rows())
    rng = np.random.default_rng(0)
    scores = rng.normal(size=N).round(3).tolist()
    sources = [json.loads(row)["source"] for row in hostile_rows()[:N]]
    more = {"style_tokens": rng.integers(5, 200, N).tolist(), "source": sources}
    made = make_run(folder / "run", pool, {"style": scores}, more=more, chunk_rows=50)
    parts = sorted((made / "set_aside").iterdir())
    (made / "set_aside.jsonl").write_bytes(b"".join(part.read_bytes() for part in parts))
    return made


@pytest.fixture(scope="module")
def kept(run):
    out = run.parent / "kept<u>.jsonl"
    select(run, Quantile(0.2) + TopK(40), out)
    return out


@pytest.fixture(scope="module")
def page(kept, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    report(str(kept), out)
    return out.read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Every element with its attributes, and the texts of some."""

    def __init__(self, page):
        super().__init__()
        self.found, self.texts, self._open = [], {}, None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data):
        self.texts.setdefault(self._open, []).append(data)


def test_the_policy_lets_in_this_style_and_this_script_alone(page):
    (policy,) = [
        a["content"] for _, a in Elements(page).found if a.get("http-equiv") == "Content-Security-Policy"
    ]
    (style,), (script,) = (
        re.findall("<style>(.*?)</style>", page, re.S),
        re.findall("<script>(.*?)</script>", page, re.S),
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    for name, text in (("style-src", style), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_nothing_is_loaded_and_nothing_acts(page):
    elements = Elements(page).found
    assert not {tag for tag, _ in elements} & {
        "img",
        "link",
        "iframe",
        "object",
        "base",
        "image",
        "use",
        "foreignobject",
    }
    for _, attributes in elements:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("src", "style", "srcdoc")
        ]
        assert attributes.get("href", "#").startswith("#")
    assert "http://" not in page and "https://" not in page


def test_hostile_rows_are_shown_and_named_as_they_are(page):
    told = "".join(Elements(page).texts["p"])
    assert "</script><script>alert(1)</script><img src=x onerror=alert(2)>" in told
    assert "⟨U+2028⟩⟨U+202E⟩⟨U+0000⟩ '\" {{ 7*7 }} <!--" in told
    assert not re.search("[\x00\u2028\u202e]", page)
    assert len(re.findall("<script", page)) == 1


def test_sources_files_and_names_are_escaped_too(page):
    assert "kept<u>" not in page and "kept&lt;u&gt;.jsonl" in page
    assert "<i>pool.jsonl" not in page and "&lt;i&gt;pool.jsonl, line" in page
    assert any(HOSTILE[:20] in attributes.get("data-source", "") for _, attributes in Elements(page).found)


def test_every_part_is_there(page):
    found = [attributes["id"] for tag, attributes in Elements(page).found if tag == "section"]
    assert found == [
        "chosen", "scores", "length", "shares", "duplicates", "style", "twins", "audit", "examples", "aside",
        "left-out",
    ]  # fmt: skip


def test_a_long_text_is_cut_and_says_by_how_much(page, kept):
    found = gather(facts_of(str(kept)))
    shown = [each.number for each in found.examples]
    assert len(shown) == len(set(shown))
    assert all(len(part) < 20_000 for part in re.findall("<article.*?</article>", page, re.S))
    long = replace(found.examples[0].record, response="y" * 9_999)
    found.examples[0] = replace(found.examples[0], record=long)
    told = render(found)
    assert "5,999 characters more" in told and "y" * 3_401 not in told


def test_the_same_files_give_the_same_page(kept, page):
    assert render(gather(facts_of(str(kept)))) == page


def test_a_run_alone_gives_the_report_of_its_scores(run):
    told = render(gather(facts_of(str(run))))
    ids = [attributes["id"] for tag, attributes in Elements(told).found if tag == "section"]
    assert ids == ["scores", "length", "shares", "style", "examples", "aside", "left-out"]
    assert "scar select RUN --out KEPT" in told and 'id="what"' not in told
    assert "the response is missing or null" in told  # details stand in set_aside.jsonl


@pytest.mark.parametrize("kept", [None, []])
@pytest.mark.parametrize(
    "score", [[], [None], [None, None], [1.5], [2.0, 2.0, 2.0], [0.0, None], [1e30, -1e30, 0.5, 3e-30]]
)
def test_few_or_equal_scores_have_a_page(score, kept):
    for some in (kept, kept if kept is None or not score or score[0] is None else [0]):
        tokens = [None if each is None else 7 for each in score]
        told = render(gather(made_facts(score=score, kept=some, tokens=tokens, source=["a"] * len(score))))
        assert "nan" not in told.casefold().replace("finance", "") and "</html>" in told


def test_what_is_not_there_is_named_with_how_to_get_it(run):
    found = gather(facts_of(str(run)))
    assert any("scar score --embeddings" in line for line in found.left_out)
    bare = gather(made_facts(score=[1.0, 2.0]))
    assert [line.partition(":")[0] for line in bare.left_out] == [
        "Length", "What was kept", "Source and language", "Map and clusters", "Texts", "The ranker",
    ]  # fmt: skip


def test_a_pool_that_moved_or_changed_costs_the_texts_alone(run, kept, tmp_path):
    other = write_jsonl(tmp_path / "<i>pool.jsonl", [b"{}"])
    found = gather(facts_of(str(kept), pool=str(other)))
    assert (
        not found.examples
        and found.twins
        and any("changed since it was scored" in line for line in found.left_out)
    )
    copy = tmp_path / "there" / "<i>pool.jsonl"
    copy.parent.mkdir()
    copy.write_bytes((run.parent / "<i>pool.jsonl").read_bytes())
    assert gather(facts_of(str(kept), pool=str(copy))).examples


def test_the_run_may_be_gone(kept, run):
    assert gather(facts_of(str(kept))).aside[0].examples[0]["detail"]
    run.rename(run.with_name("elsewhere"))
    try:
        found = gather(facts_of(str(kept)))
    finally:
        run.with_name("elsewhere").rename(run)
    assert found.examples and found.aside[0].examples[0]["detail"] is None
    assert any("is gone or was scored anew" in line for line in found.left_out)


@pytest.mark.slow
def test_a_large_pool_gives_a_small_page(tmp_path):
    n = 100_000
    rng = np.random.default_rng(0)
    text = "Some words that are written. " * 30
    pool = write_jsonl(
        tmp_path / "pool.jsonl", [b'{"instruction": "q", "response": "%s"}' % text.encode()] * n
    )
    facts = made_facts(
        score=rng.normal(size=n),
        kept=np.arange(0, n, 9).tolist(),
        tokens=rng.integers(1, 512, n),
        source=[f"s{k % 23}" for k in range(n)],
        pieces=7,
        pool=lambda: find(pool),
    )
    told = render(gather(facts))
    assert "Beside honest twins" in told and told.count("<article") == 60
    assert len(told) < 300_000 and told.count("<path") < 200


def test_a_map_of_a_large_pool_is_of_a_sample():
    n = 20_000
    points = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    facts = made_facts(
        score=points[:, 0], kept=list(range(5000)), embeddings=lambda: Embeddings.of_array(points)
    )
    found = gather(facts)
    assert len(found.map.records) < 3000
    made = on_map(found)
    assert "of them were kept: more than their share" in made.figures[0].caption
    assert made.figures[0].chart.count("h0") == len(found.map.records)


def test_several_records_of_a_row_are_found_again(tmp_path):
    rows = [{"instruction": f"q{n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(30)]
    rows[3]["rejected"] = None
    pool = write_jsonl(tmp_path / "pool.jsonl", rows)
    run = make_run(tmp_path / "run", pool, {"style": range(59)})
    found = gather(facts_of(str(run)))
    assert found.examples and [each.column for each in found.groups] == ["part"]
    for each in found.examples:
        word = {"chosen": "good", "rejected": "bad"}[each.told["part"]]
        assert each.record.response == f"{word} {each.told['line'] - 1}"


def test_fused_scores_are_told_in_words(tmp_path):
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(20))
    run = make_run(tmp_path / "run", pool, {"style": range(20), "quality": range(20, 0, -1)})
    select(run, TopK(5), tmp_path / "kept.jsonl", by=Fuse("rrf", {"style": 2, "quality": 1}))
    found = gather(facts_of(str(tmp_path / "kept.jsonl")))
    assert found.facts.by == "rrf of style x 2, quality x 1" and found.records.kept.sum() == 5
    assert found.facts.by in render(found)
    assert gather(facts_of(str(run), by="quality")).records.score[0] == 20


@pytest.mark.parametrize(
    ("field", "value"), [("kept", {}), ("run", 5), ("counts", {}), ("files", [{"nam": 1}])]
)
def test_a_damaged_manifest_is_named(kept, field, value, tmp_path):
    copy = tmp_path / kept.name
    copy.write_bytes(kept.read_bytes())
    folder = shutil.copytree(f"{kept}.why", f"{copy}.why")
    manifest = json.loads(Path(folder, "manifest.json").read_text())
    there = manifest[field] if isinstance(value, dict) and field == "kept" else {}
    manifest[field] = {name: there[name] for name in there if name != "name"} or value
    Path(folder, "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="manifest.json: damaged"):
        facts_of(str(copy))


@pytest.mark.parametrize(
    ("place", "out", "told"),
    [
        ("{run}", "report.txt", "is an .html file"),
        ("{run}", "nowhere/report.html", "no such folder"),
        ("{run}/nothing", "report.html", "no such run folder"),
        ("{pool}", "report.html", "missing; `scar select` leaves it beside"),
    ],
)
def test_what_cannot_be_done_is_refused(run, tmp_path, place, out, told):
    place = place.format(run=run, pool=run.parent / "<i>pool.jsonl")
    with pytest.raises(InputError, match=told):
        report(place, tmp_path / out)
    assert not (tmp_path / out).exists()


def test_a_page_is_not_replaced_unless_it_is_said(run, tmp_path):
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(InputError, match="--overwrite"):
        report(str(run), tmp_path / "report.html")
    assert report(str(run), tmp_path / "report.html", overwrite=True).bytes > 10_000


def test_by_names_a_score_of_the_run(run, kept):
    with pytest.raises(InputError, match="no such score; there are: style"):
        facts_of(str(run), by="quality")
    with pytest.raises(InputError, match="--by is for a run"):
        facts_of(str(kept), by="style")


def test_without_jinja_the_extra_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(InputError, match=r"scar-rank\[report\]"):
        report(str(run), tmp_path / "report.html")


def test_the_command_writes_the_page(run, tmp_path):
    command = [sys.executable, "-m", "scar", "report", str(run), "--out", str(tmp_path / "r.html")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "left out: Map and clusters" in done.stdout, done.stderr
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 2 and "--overwrite replaces it" in again.stderr

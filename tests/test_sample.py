"""The embedded sample: as many texts as promised, no two alike, no tier told by its length, the same every time."""

import hashlib
import json
import re
import sys
from itertools import combinations
from pathlib import Path

import pytest

from tests.make import read_jsonl

DATA = Path(__file__).parent.parent / "data"
TIERS = ("direct", "referenced", "human")


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    sys.path.insert(0, str(DATA))
    import build

    yield build
    sys.path.remove(str(DATA))


@pytest.fixture(scope="module")
def sample(build, tmp_path_factory):
    out = tmp_path_factory.mktemp("sample")
    build.build(out)
    return out


def tiers(sample):
    return {side: read_jsonl(sample / f"tiers.{side}.jsonl") for side in ("train", "validation", "test")}


def words(text):
    return tuple("".join(c if c.isalnum() else " " for c in text.lower()).split())


def test_there_are_as_many_texts_as_promised():
    triples, planted = read_jsonl(DATA / "triples.jsonl"), read_jsonl(DATA / "planted.jsonl")
    assert len(triples) >= 150 and len({row["name"].split(".")[0] for row in triples}) >= 25
    assert len(planted) == 80
    assert not {row["name"] for row in triples} & {row["name"] for row in planted}


def test_no_two_texts_are_alike():
    triples, planted = read_jsonl(DATA / "triples.jsonl"), read_jsonl(DATA / "planted.jsonl")
    texts = [words(row[tier]) for row in triples for tier in ("direct", "referenced")]
    texts += [words(row["direct"]) for row in planted]
    grams = [{text[n : n + 4] for n in range(len(text) - 3)} for text in texts]
    worst = max(len(a & b) / min(len(a), len(b)) for a, b in combinations(grams, 2))
    assert worst < 0.5


def test_a_docstring_is_not_copied_into_the_repository(sample):
    written = {row["name"]: row for row in read_jsonl(DATA / "triples.jsonl")}
    for rows in tiers(sample).values():
        for row in rows:
            for tier in ("direct", "referenced"):
                assert words(row["responses"]["human"]) != words(written[row["id"]][tier])


def test_length_tells_no_tier(sample):
    rows = [row for side in tiers(sample).values() for row in side]
    for part in (rows, tiers(sample)["test"]):
        for better, worse in combinations(TIERS, 2):
            longer = [len(row["responses"][better]) > len(row["responses"][worse]) for row in part]
            assert 0.3 < sum(longer) / len(longer) < 0.7


def test_a_module_stands_in_one_split(sample):
    modules = [{row["source"] for row in rows} for rows in tiers(sample).values()]
    assert sum(map(len, modules)) == len(set.union(*modules))
    assert [len(rows) > 20 for rows in tiers(sample).values()] == [True] * 3


def test_the_pool_hides_the_docstrings_that_were_trained_on(sample):
    pool = [row for row in readable(sample / "pool.jsonl") if isinstance(row, dict)]
    shown = {row.get("response") for row in pool}
    sides = tiers(sample)
    assert not shown & {row["responses"]["human"] for side in ("train", "validation") for row in sides[side]}
    assert {row["responses"]["human"] for row in sides["test"]} <= shown


def readable(path):
    rows = []
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        try:
            rows.append(json.loads(line))
        except ValueError:
            rows.append(None)
    return rows


def test_the_key_says_what_each_row_of_the_pool_is(sample):
    rows, key = readable(sample / "pool.jsonl"), read_jsonl(sample / "pool_key.jsonl")
    assert len(rows) == len(key) and [entry["row"] for entry in key] == list(range(len(rows)))
    planted = {row["direct"] for row in read_jsonl(DATA / "planted.jsonl")}
    kinds = [entry["kind"] for entry in key]
    found = {row["response"] for row, kind in zip(rows, kinds, strict=True) if kind == "planted"}
    assert found == planted and kinds.count("planted") == 80
    assert kinds.count("exact copy") == kinds.count("near copy") == 40 and kinds.count("dirty") == 6
    assert kinds.count("docstring") > 2000
    texts = [row["response"] for row, kind in zip(rows, kinds, strict=True) if kind == "docstring"]
    assert len(texts) == len(set(texts))
    assert all(
        row["response"] in texts for row, kind in zip(rows, kinds, strict=True) if kind == "exact copy"
    )


def test_the_same_interpreter_builds_the_same_bytes(build, sample, tmp_path):
    build.build(tmp_path)
    for file in sorted(sample.iterdir()):
        mine, again = (hashlib.sha256(path.read_bytes()).digest() for path in (file, tmp_path / file.name))
        assert mine == again


def test_a_name_that_the_interpreter_lacks_is_skipped_and_counted(build, tmp_path, monkeypatch, capsys):
    plain = build.docstring
    monkeypatch.setattr(build, "docstring", lambda name: None if name == "itertools.chain" else plain(name))
    build.build(tmp_path)
    told = capsys.readouterr().out
    # A library that another test imported may have put functions without docstrings in the place of Python's.
    count, names = re.search(r"skipped: (\d+) names that this interpreter lacks (.*)", told).groups()
    assert "itertools.chain" in names.split() and len(names.split()) == int(count)
    assert not any(row["id"] == "itertools.chain" for row in read_jsonl(tmp_path / "tiers.train.jsonl"))

"""Near-duplicate removal beside datasketch: where no pair is missed both drop the same rows for the same others."""

import numpy as np
import pytest

from scar.selection.rules.duplicates import NearDuplicates
from serve.bench_data import scored
from serve.bench_dedup import by_datasketch, by_scar, known_copies, main
from tests.make import sentence, write_jsonl


@pytest.fixture
def pool(tmp_path):
    rows = []
    for number in range(120):
        text = sentence(number, 30, [f"w{number}-{place}" for place in range(40)])
        rows.append({"instruction": "say 我们都爱编程 it", "response": text, "copy_of": None})
        if number % 3 == 0:
            near = text.split()
            near[number % 30] = f"other{number}"
            rows.append(
                {"instruction": "Say 我们都爱编程 ｉｔ", "response": " ".join(near), "copy_of": len(rows) - 1}
            )
    return write_jsonl(tmp_path / "pool.jsonl", rows)


def test_the_same_rows_go_for_the_same_others(pool):
    rule = NearDuplicates(words=3, recall=0.99999, permutations=1024, chain=False)
    given = scored(pool, 160)
    ours, theirs = by_scar(given, rule, pool), by_datasketch(given, rule, pool)
    np.testing.assert_array_equal(ours, theirs)
    copies = np.flatnonzero(known_copies(pool) >= 0)
    assert len(copies) == 40 and (ours >= 0).sum() >= 38


@pytest.mark.slow
def test_the_table_is_printed(pool, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bench_dedup.py", str(pool), "--rounds", "1", "--words", "3"])
    main()
    printed = capsys.readouterr().out
    assert "160 rows, 40 of them copies" in printed
    assert [line.split("|")[1].strip() for line in printed.splitlines()[3:5]] == ["scar", "datasketch"]
    assert "datasketch takes" in printed

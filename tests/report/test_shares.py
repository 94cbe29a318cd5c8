"""Shares before and after, against counting; columns of many values made few."""

import pyarrow as pa
import pytest

from scar.report.facts import Records
from scar.report.shares import Share, Shares, families, joined, shares
from tests.report.made import made_facts


def test_values_are_counted_before_and_after_and_none_is_one():
    facts = made_facts(
        score=[3.0, 2.0, 1.0, 0.0, None], kept=[0, 1], source=["a", "b", "a", None, "c"], pieces=2
    )
    found, many = shares(facts, Records.of(facts))
    assert many == [] and found == [Shares("source", (Share("a", 2, 1), Share("b", 1, 1), Share(None, 1, 0)))]
    assert found[0].moved == pytest.approx((abs(1 / 2 - 2 / 4) + abs(1 / 2 - 1 / 4) + 1 / 4) / 2)


def test_a_column_of_very_many_values_is_named_and_left_out():
    n = 1500
    facts = made_facts(score=[0.0] * n, kept=[], source=[f"v{k}" for k in range(n)])
    assert shares(facts, Records.of(facts)) == ([], ["source"])


def test_families_of_many_values_are_joined():
    values = [Share("a/x", 5, 1), Share("b", 4, 2), Share("a/y", 1, 0), Share(None, 1, 1)]
    assert families(values) == [Share("a", 6, 1), Share("b", 4, 2), Share(None, 1, 1)]


def test_rare_values_become_one_line_unless_they_were_kept():
    values = [Share(f"v{n}", 1000, 10) for n in range(8)] + [Share(f"r{n}", 1, 0) for n in range(20)]
    values.append(Share("chosen", 1, 30))
    found = joined(values)
    assert found is not None
    assert found[8:] == [Share("chosen", 1, 30), Share("20 other values", 20, 0)]
    assert sum(each.pool for each in found) == sum(each.pool for each in values)


def test_values_of_which_each_is_rare_are_not_shown():
    assert joined([Share(f"v{n}", 1, 0) for n in range(100)]) is None


def test_a_dictionary_column_is_text_too():
    facts = made_facts(score=[1.0, 2.0], kept=[1], source=pa.array(["a", "b"]).dictionary_encode())
    assert shares(facts, Records.of(facts))[0][0].column == "source"

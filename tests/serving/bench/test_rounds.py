"""Timings in turn, their medians and ratios, and the report made of them."""

import json

import pytest

from scar.serving.bench.job import Timing
from scar.serving.bench.peak import Peak
from scar.serving.bench.report import Measured, report
from scar.serving.bench.rounds import Spread, in_turn, ratios


def timing(seconds, rows=100, **more):
    return Timing(seconds, rows, **more)


def test_contenders_take_turns_and_the_machine_is_measured_before_each_round():
    order = []

    def timer(name):
        def run(number):
            order.append(f"{name}{number}")
            return timing(number + 1.0)

        return run

    found = in_turn({"a": timer("a"), "b": timer("b")}, 3, before=lambda: order.append("-"))
    assert order == ["-", "a0", "b0", "-", "a1", "b1", "-", "a2", "b2"]
    assert [each.seconds for each in found["b"]] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("figures", "expected"),
    [([3.0], (3, 3, 3)), ([9.0, 1.0, 2.0], (2, 1, 9)), ([4.0, 1.0, 2.0, 9.0], (3, 1, 9))],
)
def test_a_spread_is_the_median_and_both_ends(figures, expected):
    assert Spread.of(figures) == Spread(*expected)


def test_ratios_are_of_the_same_round():
    assert ratios([6.0, 2.0], [3.0, 4.0]) == [2.0, 0.5]


@pytest.fixture
def figures():
    measured = [
        Measured(
            "a", "contender", [timing(1.0, tokens=90, padded=100, peak=5), timing(2.0, peak=7)], 1e10, "fp32"
        ),
        Measured("b", "contender", [timing(0.5), timing(0.5)], 1e10, "int8"),
        Measured("a, anew", "way", [timing(2.0), timing(2.0)], 2e10, "fp32"),
        Measured("peer", "peer", [timing(10.0), timing(10.0)], 0.0, ""),
    ]
    products = [{"fp32": Peak(100.0, "numpy")}, {"fp32": Peak(300.0, "onnxruntime")}]
    return report(measured, products, {"a, anew": 1e-7})


def test_the_share_of_the_peak_is_operations_a_second_over_the_median_product(figures):
    assert figures["peaks"]["fp32"] == {
        "median": 200,
        "low": 100,
        "high": 300,
        "by": ["numpy", "onnxruntime"],
    }
    a, b, anew, peer = figures["contenders"]
    assert a["share_of_peak"] == pytest.approx({"median": 0.0375, "low": 0.025, "high": 0.05})
    assert b["peak_of"] == "fp32" and b["share_of_peak"]["median"] == pytest.approx(0.1)
    assert anew["share_of_peak"]["median"] == pytest.approx(0.05)
    assert peer["share_of_peak"] is None and peer["peak_of"] is None


def test_int8_is_measured_against_bf16_where_that_was_timed():
    measured = [Measured("a", "contender", [timing(1.0)], 1e10, "int8")]
    told = report(measured, [{"fp32": Peak(100.0, "x"), "bf16": Peak(200.0, "y")}], {})
    assert told["contenders"][0]["peak_of"] == "bf16"
    assert told["contenders"][0]["share_of_peak"]["median"] == pytest.approx(0.05)


def test_every_figure_is_there_and_json_holds_it(figures):
    assert json.loads(json.dumps(figures)) == figures
    a = figures["contenders"][0]
    assert a["rows_per_second"] == {"median": 75, "low": 50, "high": 100}
    assert a["padding"] == pytest.approx(0.1) and a["memory_bytes"]["high"] == 7
    assert a["seconds"] == [1.0, 2.0]


def test_gains_are_of_the_first_contender_over_its_ways_and_of_all_over_a_peer(figures):
    told = [(gain["of"], gain["over"], gain["rounds"]) for gain in figures["gains"]]
    assert told == [
        ("a", "a, anew", [2.0, 1.0]),
        ("a", "peer", [10.0, 5.0]),
        ("b", "peer", [20.0, 20.0]),
    ]
    assert figures["gains"][0]["scores_differ"] == 1e-7 and figures["gains"][1]["scores_differ"] is None


def test_without_a_product_there_is_no_share():
    told = report([Measured("a", "contender", [timing(1.0)], 1e10, "")], [{}], {})
    assert told["peaks"] == {} and told["contenders"][0]["share_of_peak"] is None

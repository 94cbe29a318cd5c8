"""The grid that is timed, and the advice that comes of it."""

from scar.serving.bench.job import Timing
from scar.serving.bench.tuning import advice, budget_cells, chunk_cells, fastest


def speeds(*rows_per_second):
    return [Timing(1.0, rows) for rows in rows_per_second]


def test_budgets_are_tried_at_the_default_chunk_size():
    assert budget_cells((1024, 2048)) == [(budget, 2048) for budget in (256, 512, 1024, 2048, 4096)]
    assert budget_cells((65_536, 1)) == [(budget, 1) for budget in (16_384, 32_768, 65_536, 131_072, 262_144)]
    assert budget_cells((1, 1)) == [(1, 1), (2, 1), (4, 1)]


def test_chunk_sizes_are_tried_at_the_best_budget_beside_the_default():
    assert chunk_cells((512, 2048), (1024, 2048), 5000) == [
        (1024, 2048),
        (512, 2048),
        (512, 512),
        (512, 1024),
        (512, 4096),
    ]
    assert chunk_cells((1024, 2048), (1024, 2048), 600) == [(1024, 2048), (1024, 512)]


def test_the_best_has_the_highest_median():
    assert fastest({(1, 1): speeds(10, 11, 90), (2, 1): speeds(12, 12, 12)}) == (2, 1)


def test_the_gain_is_of_the_same_rounds():
    told = advice({(1024, 2048): speeds(10, 20, 30), (512, 1024): speeds(20, 30, 30)}, (1024, 2048))
    assert told["flags"] == "--batch_tokens 512 --chunk_rows 1024"
    assert told["gain"] == {"median": 1.5, "low": 1.0, "high": 2.0}

"""What a quality ranker is taught by: chosen from the rows, and refused where they cannot teach."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.records import Address, Judged, Turn
from scar.settings import Reading
from scar.training.quality.objectives import choose_objective
from scar.training.splits import read_judged_splits

ASKED = (Turn("user", "Ask."),)


def single(line=1, **more):
    return Judged(ASKED, ("Answer.",), address=Address(line - 1, "f.jsonl", line), **more)


def pair(line=1, margin=None, responses=("Good.", "Bad.")):
    return Judged(ASKED, responses, margin=margin, address=Address(line - 1, "f.jsonl", line))


LABELS = [single(label=1.0), single(2, label=0.0), single(3, label=0.0)]
GRADES = [single(score=2.0), single(2, score=8.0)]


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        (LABELS, "labels"),
        (GRADES, "graded"),
        ([pair()], "pairs"),
        ([single(label=1.0, score=9.0), single(label=0.0, score=2.0)], "labels"),
    ],
)
def test_auto_takes_what_the_rows_have(rows, kind):
    assert choose_objective(rows, scale=(0, 10)).kind == kind


def test_labels_weigh_the_good_rows_so_that_both_classes_count_alike():
    objective = choose_objective(LABELS)
    targets = objective.targets(LABELS)
    assert (objective.pos_weight, targets.y.tolist(), targets.y.dtype) == (2.0, [1, 0, 0], np.float32)
    assert "1 good, 2 bad; a good row weighs 2" in objective.notes[0]
    assert targets.margins is None and targets.left_out == {"no_judgement": 0}


def test_labels_that_are_not_balanced_weigh_the_same_and_are_said_to():
    objective = choose_objective(LABELS, balance=False)
    assert objective.pos_weight == 1.0
    assert objective.notes == ("labels: 1 good, 2 bad; every row weighs the same",)


def test_margins_that_no_row_can_have_are_refused():
    with pytest.raises(InputError, match="margins: use is for pairs, and these rows teach by labels"):
        choose_objective(LABELS, margins="use")


def test_scores_beside_labels_are_told_and_can_be_chosen():
    rows = [single(label=1.0, score=9.0), single(2, label=0.0, score=2.0)]
    assert "2 rows have a score too" in choose_objective(rows).notes[1]
    chosen = choose_objective(rows, "graded", scale=(0, 10))
    assert chosen.targets(rows).y.tolist() == pytest.approx([0.9, 0.2])
    assert chosen.pos_weight == 1.0


def test_rows_without_the_judgement_are_left_out_and_counted():
    rows = [*LABELS, single(4, score=1.0)]
    targets = choose_objective(rows).targets(rows)
    assert (targets.rows, targets.left_out) == (LABELS, {"no_judgement": 1})


@given(
    st.lists(st.floats(-5, 5), min_size=2, max_size=20).filter(lambda scores: min(scores) < max(scores)),
    st.floats(-10, -5),
    st.floats(5, 10),
)
def test_grades_are_stretched_from_their_scale_to_0_and_1(scores, low, high):
    rows = [single(score=score) for score in scores]
    y = choose_objective(rows, scale=(low, high)).targets(rows).y
    assert y.min() >= 0 and y.max() <= 1
    assert y == pytest.approx([(score - low) / (high - low) for score in scores], abs=1e-6)


def test_the_ends_of_a_scale_are_on_it():
    rows = [single(score=1.0), single(score=5.0)]
    assert choose_objective(rows, scale=(1, 5)).targets(rows).y.tolist() == [0, 1]


def test_grades_without_a_scale_name_what_was_seen():
    with pytest.raises(InputError, match=r"scores go from 2 to 8.*set scale: \[LOWEST, HIGHEST\]"):
        choose_objective(GRADES)


@pytest.mark.parametrize("scale", [(3, 3), (5, 1), (float("nan"), 1), (0, float("inf"))])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(InputError, match="scale must be a lower and a higher number"):
        choose_objective(GRADES, scale=scale)


@pytest.mark.parametrize("score", [-0.5, 10.5])
def test_a_score_outside_its_scale_names_its_place_value_and_scale(score):
    rows = [*GRADES, single(9, score=score)]
    objective = choose_objective(rows, scale=(0, 10))
    with pytest.raises(InputError, match=rf"f\.jsonl, line 9: score {score} is outside the scale \[0, 10\]"):
        objective.targets(rows)


def test_margins_are_used_where_every_pair_has_one():
    rows = [pair(margin=0.5), pair(2, 0.0)]
    objective = choose_objective(rows)
    targets = objective.targets(rows)
    assert objective.margins and targets.margins.tolist() == [0.5, 0.0] and targets.y is None
    assert "margins from 0 to 0.5 are used" in objective.notes[0]
    ignored = choose_objective(rows, margins="ignore")
    assert ignored.targets(rows).margins is None and "ignored" in ignored.notes[0]


def test_margins_that_some_pairs_lack_are_not_used_and_it_is_said():
    rows = [pair(margin=0.5), pair(2), pair(3)]
    objective = choose_objective(rows)
    assert not objective.margins and "not used: 2 pairs have none" in objective.notes[0]
    with pytest.raises(InputError, match=r"line 2: the pair has no margin, as 2 of 3.*margins: ignore"):
        choose_objective(rows, margins="use")


@pytest.mark.parametrize("margin", [-0.1, float("nan"), float("inf")])
def test_a_margin_below_zero_or_not_a_number_is_refused_unless_margins_are_ignored(margin):
    rows = [pair(margin=0.5), pair(7, margin)]
    with pytest.raises(
        InputError, match=r"f\.jsonl, line 7: margin .* is no number from 0 up.*margins: ignore"
    ):
        choose_objective(rows)
    assert not choose_objective(rows, margins="ignore").margins


def test_a_margin_that_only_another_part_lacks_is_named():
    objective = choose_objective([pair(margin=0.5)])
    with pytest.raises(InputError, match="line 4: the pair has no margin"):
        objective.targets([pair(4)])


def test_a_pair_of_one_response_teaches_nothing_and_is_counted():
    rows = [pair(margin=0.5), pair(2, responses=("Same.", "Same."))]
    objective = choose_objective(rows)
    targets = objective.targets(rows)
    assert objective.margins  # the pair that leaves need not have one
    assert len(targets.rows) == len(targets.margins) == 1
    assert targets.left_out == {"no_judgement": 0, "identical_pair": 1}
    with pytest.raises(InputError, match="in all 1 pairs the chosen response is the rejected one"):
        choose_objective(rows[1:])


@pytest.mark.parametrize(("label", "shown"), [(1.0, 1), (0.0, 0)])
def test_one_class_alone_is_refused(label, shown):
    with pytest.raises(InputError, match=f"all 3 training rows have label {shown}: rows of both"):
        choose_objective([single(label=label)] * 3)


def test_one_grade_alone_is_refused():
    with pytest.raises(InputError, match="all 2 training rows have the score 3"):
        choose_objective([single(score=3.0)] * 2, scale=(0, 10))


def test_pairs_beside_single_responses_are_refused():
    with pytest.raises(InputError, match=r"f\.jsonl, line 5 is a pair, f\.jsonl, line 1 a single response"):
        choose_objective([*LABELS, pair(5)])


@pytest.mark.parametrize(
    ("rows", "wanted", "told"),
    [
        ([], "auto", "no row has a label.*--columns label=NAME"),
        ([single()], "auto", "no row has a label"),
        ([single()], "labels", "objective labels: no row has a label, a score"),
        (LABELS, "graded", "no row has a score, but the rows would do for objective labels"),
        (GRADES, "labels", "no row has a label, but the rows would do for objective graded"),
        (LABELS, "pairs", "no row has a pair of responses, but .* objective labels"),
        ([pair()], "labels", "no row has a label, but .* objective pairs"),
        (LABELS, "rank", "objective must be auto, labels, graded, pairs, got 'rank'"),
    ],
)
def test_an_objective_that_the_rows_cannot_serve_is_refused_with_the_remedy(rows, wanted, told):
    with pytest.raises(InputError, match=told):
        choose_objective(rows, wanted)


def test_margins_are_auto_use_or_ignore():
    with pytest.raises(InputError, match="margins must be auto, use or ignore, got 'some'"):
        choose_objective([pair()], margins="some")


@pytest.mark.slow
def test_the_real_preferences_teach_with_their_margins(scar_data):
    splits = read_judged_splits(
        scar_data / "preferences.jsonl.gz",
        None,
        None,
        shares=(0.1, 0.1),
        seed=0,
        reading=Reading(columns="prompt=instruction"),
    )
    assert splits.eval_only == 5188 and not any(row.eval_only for row in splits.train)
    objective = choose_objective(splits.train)
    assert (objective.kind, objective.margins) == ("pairs", True)
    rows = [*splits.train, *splits.validation, *splits.test]
    assert len(rows) + sum(splits.removed.values()) == 13581 - 5188

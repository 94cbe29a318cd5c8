"""The model card of each kind says what the ranker is, holds no empty line of a table, and names no machine."""

import json
import re

import pytest

from scar.bundle import CARD, EVALUATION, Bundle
from scar.card import hub_card, write_card

UNSEEN = {
    "kind": "unseen",
    "name": "unseen",
    "prefer": "novel",
    "head_kind": "linear",
    "on": "both",
    "share_seen": 0.25,
    "trained_steps": 1,
    "seed": 3,
    "data": {"rows": {"seen": 10, "pool": 30}},
    "temperature": {"value": 1.5, "ece_before": 0.2, "ece_after": 0.125, "fitted_on": "out-of-fold scores"},
    "calibration": {"percentile": {"scores": [0.0, 1.0], "facts": {"rows": 30}}},
}


@pytest.fixture(params=["style", "quality", "unseen"])
def told(request, bundle, quality_bundle):
    """A kind with its ranker.json and its evaluation."""
    folder = {"style": bundle}.get(request.param, quality_bundle)
    ranker = dict(Bundle.open(folder).ranker)
    if request.param == "unseen":
        return {**ranker, **UNSEEN}, None
    return ranker, json.loads((folder / EVALUATION).read_bytes())


def test_a_card_names_no_place_of_this_machine_and_leaves_nothing_empty(told, tmp_path):
    ranker, evaluation = told
    write_card(tmp_path, ranker, evaluation)
    card = (tmp_path / CARD).read_text()
    folder = ranker["encoder"]["name"]
    assert folder.startswith("/") and folder not in card and "| encoder | encoder" in card
    published = hub_card(ranker, evaluation, graphs=True, classifier=False)
    assert folder not in published and card.splitlines()[0] in published
    for text in (card, published):
        assert "None" not in text and "nan" not in text.split() and "\n\n\n" not in text
        assert not re.search(r"\|\s*\|\n(?!\|---)", text), "a cell without a word"
        assert re.search(r"better than|of \d+ reference rows", text)


def test_the_card_of_an_unseen_ranker_says_what_its_score_and_its_probability_are(quality_bundle, tmp_path):
    ranker = {**Bundle.open(quality_bundle).ranker, **UNSEEN}
    write_card(tmp_path, ranker, None)
    card = (tmp_path / CARD).read_text()
    assert "the log odds that the row is not of the rows that one has" in card
    assert "| training rows | 10 seen and 30 candidates, 1 step, seed 3 |" in card
    assert (
        "p_seen beside the score | temperature; expected calibration error 0.200 before, 0.125 after" in card
    )
    assert "`report.json`" in card and "Not evaluated" not in card and "good" not in card

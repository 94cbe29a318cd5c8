"""Canaries: an engine that does not give what it gave before is noticed, and one that does is let be."""

import json
import shutil

import numpy as np
import pytest

from scar import Record, Scorer
from scar.bundle import CANARIES, MANIFEST, RANKER, Bundle, seal
from scar.errors import RunError
from scar.serving.canaries import TEXTS, Canaries
from scar.serving.gates import load_gate_rows
from scar.settings import Scoring
from tests.make import pool_rows
from tests.serving.made import remade, sines

NO_TYPES = {"token_types": False}
RECORDS = [Record.plain(*texts) for texts in TEXTS]


def known(folder):
    return json.loads((folder / CANARIES).read_bytes())


def altered(bundle, folder, **changed):
    """Copy a bundle with other values in its canaries.json, sealed again."""
    shutil.copytree(bundle, folder)
    (folder / CANARIES).write_text(json.dumps(known(bundle) | changed))
    (folder / MANIFEST).unlink()
    seal(folder)
    return folder


@pytest.mark.parametrize("name", ["bundle", "quality_bundle"])
def test_export_writes_the_reference_graphs_scores_and_their_spread(name, request):
    folder = request.getfixturevalue(name)
    scorer = Scorer.load(folder, Scoring(graph="reference"))
    told = known(folder)
    assert told["texts"] == [list(texts) for texts in TEXTS]
    # The model's own scores: a bundle's trend with the response's length is no affair of the engine.
    np.testing.assert_allclose(told["scores"], scorer.model.score(scorer.encode(RECORDS).pairs), atol=1e-6)
    gate = scorer.model.score(load_gate_rows(folder / "gate_rows.npz"))
    assert told["sigma"] == pytest.approx(float(gate.astype(np.float64).std()), rel=1e-3)
    assert CANARIES in json.loads((folder / MANIFEST).read_bytes())["files"]
    assert CANARIES not in scorer.files


def test_a_bundle_whose_engine_gives_other_scores_is_not_loaded(bundle, tmp_path):
    scores = known(bundle)["scores"]
    near = altered(bundle, tmp_path / "near", scores=[scores[0] + 2e-6, *scores[1:]])
    Scorer.load(near)
    far = altered(bundle, tmp_path / "far", scores=[scores[0] + 1e-3, *scores[1:]])
    with pytest.raises(RunError, match="the engine does not give the scores the bundle has in canaries.json"):
        Scorer.load(far)


def test_a_bundle_without_canaries_or_with_those_of_other_graphs_is_loaded(bundle, quality_bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "old")
    for name in (CANARIES, MANIFEST):
        (tmp_path / "old" / name).unlink()
    seal(tmp_path / "old")
    Scorer.load(tmp_path / "old").check()
    Scorer.load(remade(quality_bundle, tmp_path / "sines", text=NO_TYPES, graph=sines())).check()
    Scorer.load(remade(quality_bundle, tmp_path / "short", text={"max_tokens": 8})).check()


def test_an_engine_without_a_finite_score_for_known_texts_is_not_loaded(quality_bundle, tmp_path):
    word = int(Scorer.load(quality_bundle).encoder.text.encode(["is"], 8).ids[1])
    with pytest.raises(RunError, match=r"does not give the scores is a number|nan"):
        Scorer.load(remade(quality_bundle, tmp_path / "b", text=NO_TYPES, graph=sines("nan", word)))


class Drifting:
    """A model whose scores are off by so much, in a precision."""

    def __init__(self, model, precision="fp32"):
        self.model, self.precision, self.off = model, precision, 0.0
        self.batch_tokens, self.engine = model.batch_tokens, model.engine

    def score(self, pairs, on_batch=None):
        return self.model.score(pairs, on_batch) + np.float32(self.off)


@pytest.mark.parametrize(
    ("precision", "fine", "wrong"),
    [("fp32", 0, 3e-4), ("bf16", 0.2, 0.3), ("fp16", 0.2, 0.3), ("int8", 0.9, 1.1)],
)
def test_drift_is_measured_in_sigma_by_the_precision(precision, fine, wrong, bundle):
    scorer = Scorer.load(bundle, Scoring(graph="reference"))
    model, sigma = Drifting(scorer.model, precision), known(bundle)["sigma"]
    canaries = Canaries.of(Bundle.open(bundle), scorer.encoder, model)
    model.off = fine * sigma
    canaries.check(model)
    model.off = max(wrong * sigma, 2e-5)
    with pytest.raises(
        RunError, match="the engine does not give the scores it gave before: for 3 known texts"
    ):
        canaries.check(model)
    model.off = float("nan")
    with pytest.raises(RunError, match="nan"):
        canaries.check(model)


def test_the_same_engine_passes_among_other_rows(bundle, quality_bundle):
    for folder in (bundle, quality_bundle):
        scorer = Scorer.load(folder)
        scorer.score(pool_rows(40))
        scorer.check()


def test_calibration_of_a_bundle_leaves_its_canaries_true(quality_bundle):
    assert json.loads((quality_bundle / RANKER).read_bytes())["calibration"]
    assert Canaries.of(Bundle.open(quality_bundle), *_parts(quality_bundle)).allowed < 1e-2


def _parts(folder):
    scorer = Scorer.load(folder)
    return scorer.encoder, scorer.model

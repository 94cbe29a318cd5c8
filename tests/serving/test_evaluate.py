"""`scar eval` measures a bundle by what it learned from: tiers, labels, grades or preferences."""

import json
import shutil

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from scar.bundle import RANKER, Bundle, changing
from scar.calibration import Calibration, expected_calibration_error
from scar.cli import main
from scar.cli import tables as screen
from scar.errors import InputError
from scar.files import write_json
from scar.pools import digest
from scar.serving.evaluate import evaluate_bundle
from scar.serving.scorer import Scorer
from scar.settings import Reading
from scar.training.calibrate_bundle import calibrate_bundle
from tests.make import labelled_rows, sentence, tier_rows, write_jsonl

ROWS = [{**row, "source": f"s{n % 3}"} for n, row in enumerate(labelled_rows(90, seed=5))]


@pytest.fixture
def copy(quality_bundle, tmp_path):
    return shutil.copytree(quality_bundle, tmp_path / "quality")


def described(bundle, **changes):
    """Change what ranker.json says."""
    opened = Bundle.open(bundle)
    with changing(opened) as change:
        write_json(change.folder / RANKER, {**opened.ranker, **changes})
    return bundle


def pairs(n):
    return [
        {
            "prompt": f"what is {number}",
            "chosen": sentence(f"c{number}", 6, ["clearly"] * 12),
            "rejected": sentence(f"r{number}", 6, ["whatever"] * 12),
        }
        for number in range(n)
    ]


def test_labels_give_the_auc_that_scikit_learn_gives_and_they_go_into_the_bundle(copy, tmp_path):
    data = write_jsonl(tmp_path / "new.jsonl", [*ROWS, {"instruction": "a", "response": "b"}])
    result, written = evaluate_bundle(copy, data)
    scores = Scorer.load(copy).score(ROWS)
    labels = [row["label"] for row in ROWS]
    assert result["overall"]["all"]["ranker"]["auc"] == pytest.approx(roc_auc_score(labels, scores))
    lengths = [len(row["response"]) for row in ROWS]
    assert result["overall"]["all"]["longest"]["auc"] == pytest.approx(roc_auc_score(labels, lengths))
    assert result["overall"]["length_matched"]["ranker"]["n"] > 0
    assert result["length_correlation"]["spearman"] == pytest.approx(spearmanr(scores, lengths).statistic)
    assert (result["set_aside"], result["rows"], set(result["sources"])) == (1, 90, {"s0", "s1", "s2"})
    assert written == copy / "evaluation.json" and json.loads(written.read_text()) == result
    assert Bundle.open(copy)


def test_the_calibration_error_is_that_of_the_bundles_probability(quality_bundle, tmp_path):
    result, _ = evaluate_bundle(
        quality_bundle, write_jsonl(tmp_path / "new.jsonl", ROWS), out=tmp_path / "e.json"
    )
    scores = Scorer.load(quality_bundle).score(ROWS)
    said = Calibration.from_config(Bundle.open(quality_bundle).ranker["calibration"]).probability.apply(
        scores
    )
    labels = np.asarray([row["label"] for row in ROWS])
    assert result["calibration_error"] == {
        "rows": 90,
        "ece_before": pytest.approx(expected_calibration_error(1 / (1 + np.exp(-scores)), labels), abs=1e-6),
        "ece_after": pytest.approx(expected_calibration_error(said, labels)),
        "fitted_here": False,
    }


def test_a_calibration_error_on_the_rows_that_it_was_fitted_on_says_so(copy, tmp_path, capsys):
    data = write_jsonl(tmp_path / "new.jsonl", ROWS)
    calibrate_bundle(copy, labels=data)
    assert main(["eval", str(copy), str(data)]) == 0
    assert "too small: it was fitted on these rows" in capsys.readouterr().out
    assert json.loads((copy / "evaluation.json").read_text())["calibration_error"]["fitted_here"] is True


def test_of_a_ranker_of_grades_the_calibration_error_is_of_grades_on_their_scale(copy, tmp_path):
    described(copy, objective={"kind": "graded", "scale": [0, 10], "margins": False, "pos_weight": 1.0})
    rows = [{**row, "score": 9 if row.pop("label") else 2} for row in map(dict, ROWS)]
    rows[0]["score"] = 11  # of another grader: it has no place on the scale
    error = evaluate_bundle(copy, write_jsonl(tmp_path / "g.jsonl", rows))[0]["calibration_error"]
    said = Calibration.from_config(Bundle.open(copy).ranker["calibration"]).probability
    scores = Scorer.load(copy).score(rows)[1:]
    grades = np.asarray([row["score"] / 10 for row in rows[1:]])
    assert error["rows"] == 89
    assert error["ece_after"] == pytest.approx(expected_calibration_error(said.apply(scores), grades))


def test_rows_that_the_ranker_was_trained_on_are_told(copy, tmp_path, caplog):
    data = write_jsonl(tmp_path / "new.jsonl", ROWS)
    evaluate_bundle(copy, data, out=tmp_path / "a.json")
    assert not caplog.text
    files = {"data": {"name": "new.jsonl", "sha256": digest(data)}}
    described(copy, data={"files": files, "rows": {"train": 90, "validation": 0, "test": 0}})
    evaluate_bundle(copy, data, out=tmp_path / "b.json")
    assert "trained on rows of this file" in caplog.text


def test_a_file_of_figures_is_replaced_only_where_that_is_asked_for(quality_bundle, tmp_path, capsys):
    data, out = write_jsonl(tmp_path / "new.jsonl", [*ROWS, {"instruction": "a"}]), tmp_path / "e.json"
    out.write_text("mine")
    arguments = ["eval", str(quality_bundle), str(data), "--json", str(out)]
    assert main(arguments) == 2 and out.read_text() == "mine"
    assert main([*arguments, "--overwrite"]) == 0
    assert json.loads(out.read_text())["set_aside"] == 1
    assert "set aside: 1 rows" in capsys.readouterr().out


def test_without_a_probability_or_a_label_there_is_no_calibration_error(copy, tmp_path):
    result, _ = evaluate_bundle(copy, write_jsonl(tmp_path / "pairs.jsonl", pairs(6)))
    assert "calibration_error" not in result
    described(copy, calibration=None)
    result, _ = evaluate_bundle(copy, write_jsonl(tmp_path / "new.jsonl", ROWS))
    assert "calibration_error" not in result


def test_a_file_is_measured_by_what_the_ranker_learned_from_else_by_what_it_has(copy, tmp_path):
    both = write_jsonl(tmp_path / "both.jsonl", [{**row, "score": 3 + row["label"]} for row in ROWS])
    assert evaluate_bundle(copy, both)[0]["objective"] == "labels"
    graded = write_jsonl(tmp_path / "graded.jsonl", [{**TEXT, "score": n} for n in range(9)])
    assert evaluate_bundle(copy, graded)[0]["objective"] == "graded"
    result, _ = evaluate_bundle(copy, write_jsonl(tmp_path / "pairs.jsonl", pairs(12)))
    assert (result["objective"], result["rows"], result["responses"]) == ("pairs", 12, 24)
    assert result["overall"]["all"]["ranker"]["accuracy"] > 0.8
    described(copy, objective={"kind": "graded", "scale": [0, 10], "margins": False, "pos_weight": 1.0})
    assert evaluate_bundle(copy, both)[0]["objective"] == "graded"


@pytest.mark.parametrize(("prefer", "sign"), [("novel", -1), ("similar", 1)])
def test_of_an_unseen_ranker_a_label_says_seen(copy, tmp_path, prefer, sign):
    described(copy, kind="unseen", prefer=prefer, share_seen=0.5, head_kind="finetune", on="both")
    result, _ = evaluate_bundle(copy, write_jsonl(tmp_path / "new.jsonl", ROWS))
    scores = Scorer.load(copy).score(ROWS)
    want = roc_auc_score([row["label"] for row in ROWS], sign * scores)
    assert result["overall"]["all"]["ranker"]["auc"] == pytest.approx(want)


TEXT = {"instruction": "what is it", "response": "the list."}
WRONG = {
    "the rows are tiers": tier_rows(3),
    "no row has a label, a score, or a chosen and another rejected.*--columns label=NAME": [TEXT] * 3,
    "another rejected response": [{"prompt": "q", "chosen": "same", "rejected": "same"}] * 3,
    "'label' is 'good', not a label": [{**TEXT, "label": "good"}],
}


@pytest.mark.parametrize(("told", "rows"), WRONG.items())
def test_a_file_without_a_judgement_is_one_line_and_changes_nothing(quality_bundle, tmp_path, told, rows):
    before = (quality_bundle / "manifest.json").read_bytes()
    with pytest.raises(InputError, match=told):
        evaluate_bundle(quality_bundle, write_jsonl(tmp_path / "x.jsonl", rows))
    assert (quality_bundle / "manifest.json").read_bytes() == before


def test_a_style_ranker_needs_tiers(bundle, tmp_path):
    with pytest.raises(InputError, match="responses"):
        evaluate_bundle(bundle, write_jsonl(tmp_path / "x.jsonl", ROWS))
    rows = [row | {"answers": row.pop("responses")} for row in tier_rows(4)]
    renamed = Reading(columns="responses=answers")
    result, _ = evaluate_bundle(
        bundle, write_jsonl(tmp_path / "t.jsonl", rows), reading=renamed, out=tmp_path / "e.json"
    )
    assert result["rows"] == 4


def test_the_screen_tells_length_and_calibration_in_a_hundred_columns(
    quality_bundle, tmp_path, capsys, monkeypatch
):
    names = ["cherry_reviews/human_annotated_first", "cherry_reviews/human_annotated_second"]
    rows = [{**row, "source": names[n // 45]} for n, row in enumerate(ROWS)]
    data = write_jsonl(tmp_path / "new.jsonl", rows)
    monkeypatch.setattr(screen, "WIDE", 100)
    assert main(["eval", str(quality_bundle), str(data), "--json", str(tmp_path / "e.json")]) == 0
    out = capsys.readouterr().out
    result = json.loads((tmp_path / "e.json").read_text())
    assert f"length of the response: Spearman {result['length_correlation']['spearman']:.3f} (n = 90)" in out
    assert f"expected calibration error: {result['calibration_error']['ece_after']:.4f}" in out
    assert "longest" in out and "shortest" in out and "matched" in out
    # No name and no figure is cut; a long name may go on in the next line.
    assert "…" not in out
    squeezed = "".join(line.split()[0] if line.split() else "" for line in out.splitlines())
    assert all(name[-6:] in squeezed for name in names)


def test_a_layout_can_be_forced(quality_bundle, tmp_path):
    rows = [
        {"instruction": row["instruction"], "input": "", "output": row["response"], "label": row["label"]}
        for row in ROWS
    ]
    data, out = write_jsonl(tmp_path / "a.jsonl", rows), tmp_path / "e.json"
    assert main(["eval", str(quality_bundle), str(data), "--format", "alpaca", "--json", str(out)]) == 0
    assert json.loads(out.read_text())["rows"] == 90

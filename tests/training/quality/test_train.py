"""A quality classifier learns labels, grades and preferences, and its bundle scores as it did."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from scar.bundle import Bundle
from scar.calibration import Calibration
from scar.cli import main
from scar.encoding import PairEncoder
from scar.errors import InputError
from scar.pools import read_judged
from scar.serving.scorer import Scorer
from scar.settings import QualitySettings
from scar.training.engine import torch_model
from scar.training.export import export
from scar.training.quality.data import CrossExamples, pairs_of
from scar.training.quality.learning import CrossObjective, judge
from scar.training.quality.objectives import choose_objective
from scar.training.quality.train import train_quality
from scar.training.save import load_ranker
from tests.make import sentence, write_jsonl


def labelled(n, share=0.5, seed=0):
    """Make rows whose label shows: good answers say `clearly`, bad ones `whatever`."""
    rows = []
    for number in range(n):
        good = (number * share) % 1 + share >= 1
        word = "clearly" if good else "whatever"
        rows.append(
            {
                "instruction": f"what is {sentence(number // 2, 3)} {number // 2}",
                "response": sentence(f"{seed} {number}", 4 + number % 9, [word] * 300),
                "label": int(good),
                "source": f"s{number % 2}",
            }
        )
    return rows


def graded(n):
    return [
        {k: v for k, v in row.items() if k != "label"} | {"score": 8.0 if row["label"] else 2.0}
        for row in labelled(n)
    ]


def paired(n):
    return [
        {
            "prompt": f"what is {number}",
            "chosen": sentence(f"c{number}", 6, ["clearly"] * 300),
            "rejected": sentence(f"r{number}", 6, ["whatever"] * 300),
        }
        for number in range(n)
    ]


@pytest.fixture(scope="module")
def quality(encoder):
    return QualitySettings(encoder=str(encoder), max_tokens=48, lr=5e-3, epochs=5, batch_size=8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "more", "measure"),
    [
        (labelled(160), {}, "auc"),
        (graded(160), {"scale": (0, 10)}, "concordance"),
        (paired(100), {}, "accuracy"),
    ],
)
def test_every_objective_is_learned_and_its_bundle_scores_as_it_did(quality, tmp_path, rows, more, measure):
    data = write_jsonl(tmp_path / "rows.jsonl", rows)
    report = train_quality(replace(quality, **more), data, tmp_path / "b")
    figures = report.evaluation["overall"]["all"]
    assert figures["ranker"][measure] > 0.95
    assert report.evaluation["length_correlation"]["n"] > 0
    assert all(record["passed"] for record in export(tmp_path / "b").records)
    scorer = Scorer.load(tmp_path / "b")
    test = [{"instruction": "what is it", "response": text} for text in ("clearly clearly.", "whatever.")]
    good, bad = scorer.score(test)
    assert good > bad
    ranker, encoder = load_ranker(scorer.bundle), scorer.encoder
    want = torch_model(ranker, encoder.settings.pad_id, 512).score(
        encoder.encode(pairs_of([row for row in read_judged(data)]))
    )
    found = scorer.score_pairs(encoder.encode(pairs_of(list(read_judged(data))))).scores
    np.testing.assert_allclose(found, want, atol=1e-4 * np.std(want))


@pytest.mark.slow
def test_scores_of_unbalanced_labels_are_log_odds_of_the_rows_as_they_come(quality, tmp_path):
    """Weights teach as if labels were balanced; where nothing shows, the score must say the share all the same."""
    rows = [row | {"response": "the same"} for row in labelled(200, share=0.2)]
    rows = [row | {"instruction": f"what is {number}"} for number, row in enumerate(rows)]
    for number, row in enumerate(rows):
        row["response"] = f"the {number}"
    report = train_quality(
        replace(quality, lr=1e-4, epochs=1, validation_share=0.0, test_share=0.0, calibration="none"),
        write_jsonl(tmp_path / "rows.jsonl", rows),
        tmp_path / "b",
    )
    assert report.objective.pos_weight == 4.0
    bundle = Bundle.open(tmp_path / "b")
    encoder = PairEncoder.of_bundle(bundle)
    scores = torch_model(load_ranker(bundle), 0, 512).score(
        encoder.encode(pairs_of(list(read_judged(tmp_path / "rows.jsonl"))))
    )
    assert abs(scores.mean() + math.log(4)) < 0.35


@pytest.mark.slow
def test_length_control_takes_the_trend_out_and_says_so(quality, tmp_path):
    rows = [row | {"response": " ".join(["the"] * (2 + n % 20))} for n, row in enumerate(labelled(120))]
    for number, row in enumerate(rows):  # the longer, the better
        row |= {"label": int(number % 20 > 9), "instruction": f"what is {number}"}
    data = write_jsonl(tmp_path / "rows.jsonl", rows)
    plain, controlled = (
        train_quality(replace(quality, control_length=control), data, tmp_path / f"{control}")
        for control in (False, True)
    )
    assert plain.calibration.length is None
    slope = controlled.calibration.length.slope
    assert slope > 0
    before, after = (report.evaluation["length_correlation"]["spearman"] for report in (plain, controlled))
    assert before > 0.8 and abs(after) < before / 2
    kept = Calibration.from_config(Bundle.open(tmp_path / "True").ranker["calibration"])
    assert kept.length.slope == slope


def test_how_sequences_are_packed_changes_no_score(quality, tmp_path, encoder):
    from scar.training import backbone
    from scar.training.cross import build_cross
    from scar.training.fit import pair_encoder

    rows = list(read_judged(write_jsonl(tmp_path / "rows.jsonl", paired(9))))
    loaded = backbone.load(str(encoder))
    ranker = build_cross(loaded, quality, "quality", "mean").eval()
    targets = choose_objective(rows).targets(rows)
    examples = CrossExamples.of(targets, pair_encoder(loaded, quality, "pair"), quality)
    wide = judge(ranker, replace(examples, batch_tokens=100_000).batch(range(9)))
    narrow = judge(ranker, replace(examples, batch_tokens=40).batch(range(9)))
    np.testing.assert_allclose(wide.detach(), narrow.detach(), atol=1e-5)
    alone = [judge(ranker, examples.batch([n])).detach().numpy()[0] for n in range(9)]
    np.testing.assert_allclose(wide.detach(), np.stack(alone), atol=1e-5)
    loss = CrossObjective(ranker, "pairs").losses(examples.batch(range(9)))["loss"].item()
    assert loss == pytest.approx(
        np.log1p(np.exp(-(wide[:, 0] - wide[:, 1]).detach())).mean().item(), rel=1e-5
    )


def test_validation_figures_are_those_of_the_references(quality):
    import torch
    from sklearn.metrics import roc_auc_score

    values = torch.tensor([[0.1, 0], [0.9, 1], [0.4, 1], [0.5, 0], [0.5, 1]])
    labels, grades = (CrossObjective(None, kind) for kind in ("labels", "graded"))
    assert labels.figure(values) == pytest.approx(roc_auc_score(values[:, 1], values[:, 0]))
    assert grades.figure(values) == pytest.approx(spearmanr(values[:, 0], values[:, 1]).statistic)
    assert CrossObjective(None, "pairs").figure(torch.tensor([[1.0, 0.0], [0.0, 0.0]])) == 0.5


@pytest.mark.slow
def test_a_killed_training_ends_with_the_weights_of_an_uninterrupted_one(quality, tmp_path, monkeypatch):
    data = write_jsonl(tmp_path / "rows.jsonl", labelled(60))
    whole = train_quality(replace(quality, epochs=3), data, tmp_path / "whole")

    def accident(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("scar.training.quality.train.save_bundle", accident)
        with pytest.raises(KeyboardInterrupt):
            train_quality(replace(quality, epochs=3), data, tmp_path / "killed")
    again = train_quality(replace(quality, epochs=3), data, tmp_path / "killed")
    assert again.validation == whole.validation
    assert (tmp_path / "whole/model.safetensors").read_bytes() == (
        tmp_path / "killed/model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda row: row | {"label": 1}, "rows of both labels are needed"),
        (lambda row: row | {"label": "good"}, "'good'"),
        (lambda row: row | {"label": float("nan")}, "no row with a label"),
        (lambda row: {k: v for k, v in row.items() if k != "label"}, "no row with a label"),
        (
            lambda row: {k: v for k, v in row.items() if k != "label"} | {"score": 3},
            "their scale is not stated",
        ),
    ],
)
def test_rows_that_cannot_be_learned_from_are_one_line_with_the_remedy(
    quality, tmp_path, capsys, change, told
):
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(change(row)) + "\n" for row in labelled(20)))
    arguments = ["train", "quality", "--data", str(data), "--out", str(tmp_path / "b")]
    assert main([*arguments, "--encoder", quality.encoder]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_a_validation_part_of_one_label_cannot_choose_an_epoch(quality, tmp_path):
    good = [row for row in labelled(40) if row["label"]]
    with pytest.raises(InputError, match="20 good and 0 bad"):
        train_quality(
            quality,
            write_jsonl(tmp_path / "rows.jsonl", labelled(60, seed=1)),
            tmp_path / "b",
            validation=write_jsonl(
                tmp_path / "v.jsonl", [row | {"instruction": f"q{n}"} for n, row in enumerate(good)]
            ),
        )


def test_a_validation_part_of_one_grade_cannot_choose_an_epoch(quality, tmp_path):
    same = [row | {"instruction": f"q{n}", "score": 5} for n, row in enumerate(graded(8))]
    with pytest.raises(InputError, match="the validation part has one grade alone in 8 rows"):
        train_quality(
            replace(quality, scale=(0, 10)),
            write_jsonl(tmp_path / "rows.jsonl", graded(40)),
            tmp_path / "b",
            validation=write_jsonl(tmp_path / "v.jsonl", same),
        )


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_held_out_file_of_another_judgement_is_refused_not_passed_over(quality, tmp_path, part):
    given = write_jsonl(tmp_path / "p.jsonl", [row | {"prompt": f"q{n}"} for n, row in enumerate(paired(8))])
    with pytest.raises(InputError, match=f"none of the 8 {part} rows can be judged by objective labels"):
        train_quality(
            quality, write_jsonl(tmp_path / "rows.jsonl", labelled(60)), tmp_path / "b", **{part: given}
        )


def test_every_row_that_was_read_is_counted_once(quality, tmp_path, capsys):
    told = {"chosen": "the good answer of number {}", "rejected": "the bad answer of number {}"}
    rows = [{"prompt": f"q{n}"} | {name: text.format(n) for name, text in told.items()} for n in range(40)]
    for row in rows[::10]:
        row["rejected"] = row["chosen"]
    data = write_jsonl(tmp_path / "rows.jsonl", [*rows, *rows[1:3], {"prompt": "q", "chosen": "a"}])
    flags = ["--max_tokens", "32", "--epochs", "1", "--encoder", quality.encoder]
    assert main(["train", "quality", "--data", str(data), "--out", str(tmp_path / "b"), *flags]) == 0
    counts = Bundle.open(tmp_path / "b").ranker["data"]["rows"]
    assert sum(counts.values()) == 43
    assert (counts["identical_pair"], counts["set_aside"]) == (4, 1)
    assert f"trained on {counts['train']} rows" in capsys.readouterr().out


@pytest.mark.slow
def test_a_calibration_is_never_measured_on_the_rows_that_it_was_fitted_on(quality, tmp_path):
    data = write_jsonl(tmp_path / "rows.jsonl", labelled(80))
    rows = [row | {"instruction": f"q{n // 2}"} for n, row in enumerate(labelled(40, seed=7))]
    held, other = (
        write_jsonl(tmp_path / f"{name}.jsonl", some) for name, some in (("h", rows[:20]), ("o", rows[20:]))
    )
    short = replace(quality, epochs=1)
    same = train_quality(short, data, tmp_path / "same", validation=held, test=held)
    apart = train_quality(short, data, tmp_path / "apart", validation=held, test=other)
    told = [report.calibration.probability.facts["measured_on"] for report in (same, apart)]
    assert told == ["validation part, cross-fitted", "test part"]


def test_pairs_give_no_probability_to_calibrate(quality, tmp_path):
    data = write_jsonl(tmp_path / "rows.jsonl", paired(20))
    with pytest.raises(InputError, match="calibration isotonic: pairs do not say how good"):
        train_quality(replace(quality, calibration="isotonic"), data, tmp_path / "b")

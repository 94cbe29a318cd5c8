"""`scar train unseen`: every candidate is scored once, by a model of the other folds; the folder says what came out."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

import scar
from scar.bundle import Bundle
from scar.cli import main
from scar.errors import GateError, InputError
from scar.serving.scorer import Scorer
from scar.settings import Reading, UnseenSettings
from scar.training import backbone as backbones
from scar.training.learner import Learner
from scar.training.unseen import finetune, job, train
from scar.training.unseen.train import train_unseen
from tests.make import read_jsonl, sentence, write_jsonl


def rows(n, word, start=0):
    """Make rows that a word gives away."""
    return [
        {
            "id": f"{word}{number}",
            "instruction": f"what is {sentence(f'{word}{number}', 4)} {number}",
            "response": sentence(f"{word} {number}", 8, [word] * 40),
        }
        for number in range(start, start + n)
    ]


HAVE = rows(60, "clearly")
NOVEL = rows(30, "whatever")
LIKE = rows(30, "clearly", start=1000)


@pytest.fixture(scope="module")
def unseen(encoder):
    return UnseenSettings(encoder=str(encoder), max_tokens=48, folds=3)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    pool = [row for both in zip(NOVEL, LIKE, strict=True) for row in both]
    # A copy of a seen row, and a row that cannot be read.
    pool = [*pool, HAVE[0] | {"id": "copy"}, {"instruction": "why?", "response": ""}]
    return write_jsonl(folder / "seen.jsonl", HAVE), write_jsonl(folder / "pool.jsonl", pool)


@pytest.fixture(scope="module")
def done(tmp_path_factory, unseen, files):
    return train_unseen(unseen, *files, tmp_path_factory.mktemp("out") / "out")


def sidecar(out):
    return pq.read_table(out / "run" / "chunks").to_pandas()


@pytest.mark.slow
def test_each_candidate_is_scored_once_out_of_fold_and_the_rest_is_set_aside(done, files):
    table = sidecar(done.out)
    assert table["row"].tolist() == list(range(62))
    assert table["reason"].isna().sum() == 61 and done.scored == 61 and done.set_aside == 1
    scored = table[table["reason"].isna()]
    assert set(scored["fold"]) == {0, 1, 2} and scored["unseen"].notna().all()
    np.testing.assert_allclose(scored["p_seen"], 1 / (1 + np.exp(scored["unseen"])), rtol=1e-4)
    assert (scored["unseen"].rank() - scored["unseen_percentile"].rank()).abs().max() == 0


@pytest.mark.slow
def test_novel_rows_score_higher_and_a_copy_of_a_seen_row_comes_out_as_seen(done):
    table = sidecar(done.out).set_index("id")
    novel, like = (table.loc[[row["id"] for row in some], "unseen"] for some in (NOVEL, LIKE))
    assert novel.median() > like.quantile(0.9)
    assert table.loc["copy", "p_seen"] > table.loc[[row["id"] for row in NOVEL], "p_seen"].quantile(0.9)


@pytest.mark.slow
def test_select_takes_the_most_novel_rows_out_of_the_run(done, tmp_path):
    report = scar.select(done.out / "run", scar.TopK(20), tmp_path / "kept.jsonl")
    assert report.kept == 20
    kept = read_jsonl(tmp_path / "kept.jsonl")
    assert sum(row["id"].startswith("whatever") for row in kept) >= 16


@pytest.mark.slow
def test_rows_under_other_names_are_read_again_as_they_were(unseen, tmp_path):
    """Rules and the audit read the texts of a training's run too."""
    rows = [{"ask": row["instruction"], "answer": row["response"]} for row in [*NOVEL, *LIKE]]
    seen = [{"ask": row["instruction"], "answer": row["response"]} for row in HAVE]
    found = train_unseen(
        unseen,
        write_jsonl(tmp_path / "seen.jsonl", seen),
        write_jsonl(tmp_path / "pool.jsonl", [*rows, rows[0]]),
        tmp_path / "out",
        reading=Reading(columns="instruction=ask,response=answer"),
    )
    report = scar.select(found.out / "run", scar.rules.ExactDuplicates(), tmp_path / "kept.jsonl")
    assert report.kept == len({(row["ask"], row["answer"]) for row in rows})


@pytest.mark.slow
def test_the_report_holds_what_is_printed(done):
    report = json.loads((done.out / "report.json").read_text())
    assert report["verdict"]["told_apart"] and report["verdict"]["low"] > 0.5
    assert (report["seen"], report["pool"], report["folds"]) == (60, 61, 3)
    told = [ngram["text"] for ngram in report["telling"]["pool"]]
    assert any("whatever" in text or "hate" in text for text in told)
    assert report["share_seen"] == pytest.approx(60 / 121)
    assert report["set_aside"] == {"seen": {}, "pool": {"empty_response": 1}}
    odds = json.loads((done.out / "bundle" / "ranker.json").read_text())["odds"]
    assert report["calibration"] == odds and set(odds) >= {"temperature", "ece_before", "ece_after"}


@pytest.mark.slow
def test_the_bundle_of_all_rows_scores_the_next_pool(done):
    bundle = Bundle.open(done.out / "bundle")
    assert bundle.kind == "unseen" and bundle.ranker["prefer"] == "novel"
    assert all(record["passed"] for record in bundle.gates())
    scores = Scorer.load(bundle.path).score([*rows(20, "whatever", 2000), *rows(20, "clearly", 3000)])
    assert np.median(scores[:20]) > np.median(scores[20:])
    table = sidecar(done.out).set_index("id")
    again = Scorer.load(bundle.path).score(NOVEL)
    assert np.corrcoef(again, table.loc[[row["id"] for row in NOVEL], "unseen"])[0, 1] > 0.3


@pytest.mark.slow
def test_shuffling_the_input_permutes_the_output(done, unseen, files, tmp_path):
    shuffled = [write_jsonl(tmp_path / path.name, read_jsonl(path)[::-1]) for path in files]
    again = train_unseen(unseen, *shuffled, tmp_path / "again")
    ours, theirs = (sidecar(out).set_index("id")["unseen"].dropna() for out in (done.out, again.out))
    assert ours.to_dict() == theirs.to_dict()
    assert again.report.verdict == done.report.verdict


@pytest.mark.slow
def test_preferring_the_similar_turns_the_scores_over(done, unseen, files, tmp_path):
    similar = train_unseen(replace(unseen, prefer="similar"), *files, tmp_path / "similar")
    ours, theirs = sidecar(done.out), sidecar(similar.out)
    np.testing.assert_allclose(ours["unseen"].dropna(), -theirs["unseen"].dropna(), rtol=1e-6)
    np.testing.assert_allclose(ours["p_seen"].dropna(), theirs["p_seen"].dropna(), rtol=1e-4)
    assert json.loads((similar.out / "bundle" / "ranker.json").read_text())["prefer"] == "similar"
    like = Scorer.load(similar.out / "bundle").score([*LIKE, *NOVEL])
    assert np.median(like[:30]) > np.median(like[30:])


@pytest.mark.slow
def test_the_encoder_can_learn_too_and_a_killed_training_goes_on_with_the_next_fold(
    unseen, files, tmp_path, monkeypatch
):
    settings = replace(unseen, head="finetune", lr=3e-3, epochs=2, batch_size=8)
    whole = train_unseen(settings, *files, tmp_path / "whole")
    assert whole.report.verdict.auc > 0.8 and whole.report.head == "finetune"
    run_fold, trained = finetune.run_fold, []

    def killed_at_the_third(task, blank, number, device):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(number)
        run_fold(task, blank, number, device)

    with monkeypatch.context() as broken:
        broken.setattr(finetune, "run_fold", killed_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            train_unseen(settings, *files, tmp_path / "killed")
    assert not (tmp_path / "killed").exists()

    def counted(task, blank, number, device):
        trained.append(number)
        run_fold(task, blank, number, device)

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(finetune, "run_fold", counted)
    with monkeypatch.context() as broken:
        broken.setattr(job, "save_bundle", killed)
        with pytest.raises(KeyboardInterrupt):
            train_unseen(settings, *files, tmp_path / "killed")
    # The model of all rows is not trained again either.
    monkeypatch.setattr(Learner, "training_step", killed)
    again = train_unseen(settings, *files, tmp_path / "killed")
    assert trained == [0, 1, 2]
    assert (again.out / "bundle" / "model.safetensors").read_bytes() == (
        whole.out / "bundle" / "model.safetensors"
    ).read_bytes()
    assert again.report.verdict == whole.report.verdict
    assert sidecar(again.out)["unseen"].dropna().tolist() == sidecar(whole.out)["unseen"].dropna().tolist()
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "killed"}


@pytest.mark.slow
def test_folds_run_side_by_side(unseen, files, tmp_path):
    settings = replace(unseen, head="finetune", lr=3e-3, epochs=2, batch_size=8, devices="cpu,cpu")
    side_by_side = train_unseen(settings, *files, tmp_path / "out")
    assert side_by_side.scored == 61 and side_by_side.report.verdict.auc > 0.8
    alone = train_unseen(replace(settings, devices=""), *files, tmp_path / "alone")
    np.testing.assert_allclose(sidecar(side_by_side.out)["unseen"], sidecar(alone.out)["unseen"], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("on", ["instruction", "response"])
def test_one_text_alone_can_be_looked_at(unseen, files, tmp_path, on):
    found = train_unseen(replace(unseen, on=on), *files, tmp_path / on)
    assert json.loads((found.out / "bundle" / "ranker.json").read_text())["text"]["inputs"] == on
    same = [{"instruction": "what is it", "response": "the list."}] * 2
    same[1] = same[1] | ({"response": "other"} if on == "instruction" else {"instruction": "other"})
    scores = Scorer.load(found.out / "bundle").score(same)
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_identical_rows_on_both_sides_cannot_be_told_apart(unseen, tmp_path):
    have = write_jsonl(tmp_path / "seen.jsonl", HAVE)
    found = train_unseen(unseen, have, have, tmp_path / "out")
    assert not found.report.verdict.told_apart
    assert "cannot be told apart" in found.report.verdict.words
    assert found.scored == 60
    (note,) = found.report.notes
    assert "the same score for every row" in note and str(tmp_path) not in note


@pytest.mark.parametrize(
    ("seen", "pool", "more", "told"),
    [
        (HAVE[:2], NOVEL, [], "give more rows"),
        (HAVE, [{"instruction": "why?", "response": ""}] * 3, [], "no candidates can be read"),
        (HAVE, NOVEL, ["--folds", "1"], "folds must be at least 2"),
        (HAVE, NOVEL, ["--layers", "9"], "layers: 9 asked for, the encoder has 2"),
        (HAVE, NOVEL, ["--devices", "cpu,cpu"], "devices goes with head: finetune"),
        (HAVE, NOVEL, ["--head", "finetune", "--devices", "tpu:0"], "neither cpu nor cuda:N"),
        (HAVE, NOVEL, ["--head", "finetune", "--layers", "9"], "layers: 9 asked for, the encoder has 2"),
        (HAVE, NOVEL, ["--head", "finetune", "--freeze_layers", "9"], "freeze_layers: 9 asked for"),
        (HAVE, NOVEL, ["--head", "finetune", "--trainer", "{nonsense: 1}"], "no argument 'nonsense'"),
        (HAVE, NOVEL, ["--head", "finetune", "--trainer", "{devices: 2}"], "a fold is trained on one device"),
        (HAVE, NOVEL, ["--epochs", "3"], "epochs goes with head: finetune"),
        (HAVE, NOVEL, ["--name", "fold"], "name 'fold'"),
    ],
)
def test_what_cannot_be_done_is_one_line(unseen, tmp_path, capsys, seen, pool, more, told):
    names = [str(write_jsonl(tmp_path / f"{n}.jsonl", some)) for n, some in (("seen", seen), ("pool", pool))]
    flags = ["--seen", names[0], "--pool", names[1], "--out", str(tmp_path / "out")]
    assert main(["train", "unseen", *flags, "--encoder", unseen.encoder, "--max_tokens", "48", *more]) == 2
    assert told in capsys.readouterr().err
    # Nothing is left either that the next try would be taken to go on with.
    assert {path.name for path in tmp_path.iterdir()} == {"seen.jsonl", "pool.jsonl"}


def test_a_folder_of_somebody_elses_is_left_alone(unseen, files, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("done")
    with pytest.raises(InputError, match="not of `scar train unseen`"):
        train_unseen(unseen, *files, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").exists()


@pytest.mark.slow
def test_an_overwrite_takes_nothing_of_the_users_along(done, unseen, files, tmp_path):
    shutil.copytree(done.out, tmp_path / "out")
    (tmp_path / "out" / "kept.jsonl").write_text("mine")
    with pytest.raises(InputError, match=r"kept\.jsonl is not of `scar train unseen`: move it"):
        train_unseen(unseen, *files, tmp_path / "out", overwrite=True)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is a file; --out is a folder"):
        train_unseen(unseen, *files, tmp_path / "file", overwrite=True)
    theirs = tmp_path / "new.training"
    theirs.mkdir()
    (theirs / "fold-0.npy").write_text("theirs")
    finetune.clear(theirs)
    assert (theirs / "fold-0.npy").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "room, step",
    [(job, "embed"), (train, "write_run"), (train, "export")],
)
def test_a_training_killed_at_any_step_goes_on_to_the_same_end(
    done, unseen, files, tmp_path, monkeypatch, room, step
):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(room, step, killed)
        with pytest.raises(KeyboardInterrupt):
            train_unseen(unseen, *files, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out.training"]
    if step != "embed":
        monkeypatch.setattr(job, "embed", killed)
    again = train_unseen(unseen, *files, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (again.out / "report.json").read_bytes() == (done.out / "report.json").read_bytes()
    for chunk in ("run/chunks/00000000.parquet", "bundle/model.safetensors"):
        assert (again.out / chunk).read_bytes() == (done.out / chunk).read_bytes()


@pytest.mark.slow
def test_an_unfinished_training_of_other_folds_is_not_gone_on_with(unseen, files, tmp_path, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(job, "fit_odds", killed)
        with pytest.raises(KeyboardInterrupt):
            train_unseen(unseen, *files, tmp_path / "out")
    # As another version of this program might deal them.
    monkeypatch.setattr(train, "fold_of", lambda groups, *_, **__: (groups % 3).astype(np.int16))
    with pytest.raises(InputError, match="folds differs; --overwrite starts anew"):
        train_unseen(unseen, *files, tmp_path / "out")
    train_unseen(unseen, *files, tmp_path / "out", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
def test_a_pool_that_changes_while_it_is_learned_of_is_noticed_by_select(
    unseen, files, tmp_path, monkeypatch
):
    pool = tmp_path / "pool.jsonl"
    shutil.copyfile(files[1], pool)
    learn = job.Job.learn

    def changing(this, ranker):
        write_jsonl(pool, [NOVEL[0], *read_jsonl(pool)])
        return learn(this, ranker)

    monkeypatch.setattr(job.Job, "learn", changing)
    found = train_unseen(unseen, files[0], pool, tmp_path / "out")
    with pytest.raises(InputError, match="changed since it was scored"):
        scar.select(found.out / "run", scar.TopK(5), tmp_path / "kept.jsonl")


@pytest.mark.slow
def test_a_pool_of_several_files_and_responses_a_row_is_scored_whole_and_may_move(unseen, files, tmp_path):
    folder = tmp_path / "pool"
    folder.mkdir()
    pairs = [
        {"prompt": row["instruction"], "chosen": row["response"], "rejected": other["response"]}
        for row, other in zip(NOVEL[:20], LIKE, strict=False)
    ]
    pairs[3]["rejected"] = ""
    huge = {"instruction": "what is 你好 \u202e👩‍👩‍👧‍👦", "response": "whatever list 你好\n" * 12_000}
    write_jsonl(folder / "a.jsonl", pairs)
    write_jsonl(folder / "b.jsonl", [*LIKE[20:], huge, huge])
    found = train_unseen(unseen, files[0], folder, tmp_path / "out", reading=Reading(format="auto"))
    table = sidecar(found.out)
    assert table["row"].tolist() == [*np.repeat(range(20), 2), *range(20, 32)]
    assert table["part"].tolist()[:4] == ["chosen", "rejected"] * 2 and table["part"].isna().sum() == 12
    assert (found.scored, found.set_aside) == (51, 1) and table.loc[7, "reason"] == "empty_response"
    # A row's responses share a fold, and so do copies, which have one score.
    assert all(len(set(some.dropna())) <= 1 for _, some in table.groupby("row")["fold"])
    assert table["unseen"].iloc[-1] == table["unseen"].iloc[-2]
    assert bool(table["unseen_truncated"].iloc[-1])
    folder.rename(tmp_path / "moved")
    kept = scar.select(found.out / "run", scar.TopK(10), tmp_path / "k.jsonl", pool=tmp_path / "moved")
    assert kept.kept == 10
    best = table["unseen"].nlargest(10, keep="first").index
    assert [row["scar_row"] for row in read_jsonl(tmp_path / "k.jsonl")] == table.loc[
        sorted(best), "row"
    ].tolist()


@pytest.mark.slow
def test_a_training_that_comes_apart_says_so_and_keeps_no_scores(unseen, files, tmp_path, monkeypatch):
    settings = replace(unseen, head="finetune")
    monkeypatch.setattr(
        finetune, "torch_model", lambda *_: type("M", (), {"score": lambda _, p: np.log(-np.ones(len(p)))})()
    )
    with pytest.raises(InputError, match="fold 1: the training came apart"), np.errstate(invalid="ignore"):
        train_unseen(settings, *files, tmp_path / "out")
    assert not list((tmp_path / "out.training").glob("*.npy"))


@pytest.mark.slow
def test_the_encoder_is_loaded_once_for_all_folds(unseen, files, tmp_path, monkeypatch):
    load, loaded = backbones.load, []

    def counted(*arguments):
        loaded.append(arguments)
        return load(*arguments)

    monkeypatch.setattr(backbones, "load", counted)
    train_unseen(replace(unseen, head="finetune", folds=2), *files, tmp_path / "out")
    assert len(loaded) == 1


@pytest.mark.slow
def test_a_graph_that_fails_its_gate_is_told_and_the_scores_stand(
    unseen, files, tmp_path, monkeypatch, capsys
):
    def failing(bundle):
        raise GateError("model.onnx is not used: scores differ by up to 3 (figures in there)")

    monkeypatch.setattr(train, "export", failing)
    flags = ["--seen", str(files[0]), "--pool", str(files[1]), "--out", str(tmp_path / "out"), "--folds", "3"]
    assert main(["train", "unseen", *flags, "--encoder", unseen.encoder, "--max_tokens", "48"]) == 1
    shown = capsys.readouterr()
    assert (
        "has no graphs, and cannot score: model.onnx is not used" in shown.err
        and "bundle of all" not in shown.out
    )
    assert sidecar(tmp_path / "out")["unseen"].notna().sum() == 61

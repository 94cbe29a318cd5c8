"""Embeddings of a run: whose they are, where they stand, and what becomes of them when a run is stopped or damaged."""

import json
import shutil
import uuid
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from scar import Scorer, TopK, filter_pool, score_pool
from scar.cli import main
from scar.encoding import PairEncoder
from scar.errors import InputError, RunError
from scar.records import Record
from scar.runs import EMBEDDINGS, RUN, Disk, Embeddings, Plan, Shard, embeddings_name, open_folder
from scar.selection.keep import Output
from scar.serving.cluster.actor import Actor
from scar.serving.cluster.order import Order
from scar.serving.crew import Crew
from scar.serving.dry_run import dry_run
from scar.serving.embedder import Embedder
from scar.serving.engines import processors
from scar.serving.job import Job
from scar.serving.ledger import digest
from scar.serving.run import gather, plan_run
from scar.serving.scorer import Scorer as Ranker
from scar.serving.status import status
from scar.serving.verify import repair, verify
from scar.settings import Reading, Scoring
from scar.training import backbone
from tests.make import pool_rows, write_jsonl
from tests.serving.made import joined, masked_means, remade, unit

ROWS = [*pool_rows(21), b"{broken", {"instruction": "x", "response": None}, *pool_rows(9, seed=1)]
GOOD = [row for row in ROWS if isinstance(row, dict) and row["response"]]
OWN = Scoring(chunk_rows=8, embeddings="ranker")
BESIDE = ("run.json", ".inputs.json")


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return write_jsonl(tmp_path_factory.mktemp("pool") / "pool.jsonl", ROWS)


@pytest.fixture(scope="module")
def by_encoder(encoder_bundle):
    return Scoring(chunk_rows=8, embeddings=str(encoder_bundle))


@pytest.fixture(scope="module")
def whole(pool, bundle, by_encoder, tmp_path_factory):
    """A run that an encoder embedded, undisturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    score_pool(pool, bundle, run, scoring=by_encoder)
    return run


def files(run):
    """Give the bytes of a run, but for what tells times."""
    paths = [path for path in run.rglob("*") if path.is_file() and path.name not in BESIDE]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in paths}


def vectors(run):
    return np.concatenate([np.load(path) for path in sorted((run / EMBEDDINGS).iterdir())])


def reasons(run):
    return pq.read_table(run / "chunks")["reason"].to_pylist()


def test_an_encoders_embeddings_stand_as_the_sidecars_rows_do(whole, encoder):
    found = vectors(whole)
    scored = np.asarray([reason is None for reason in reasons(whole)])
    assert found.dtype == np.float16 and found.shape == (len(ROWS), 32)
    assert scored.sum() == len(GOOD) and np.isnan(found[~scored]).all()
    want = masked_means(encoder, map(joined, GOOD), 40)
    np.testing.assert_allclose(found[scored].astype(np.float32), want, atol=1e-3)
    assert [np.load(path).shape[0] for path in sorted((whole / EMBEDDINGS).iterdir())] == [8, 8, 8, 8]
    told = json.loads((whole / RUN).read_bytes())
    assert told["embeddings"] | {"of": "encoder", "width": 32, "engine": "onnxruntime"} == told["embeddings"]
    assert list(told["choice"]) == ["style"] and set(told["batch_tokens"]) == {"style", "embeddings"}


def test_of_a_style_ranker_both_texts_weigh_alike_in_the_pass_that_scores(pool, bundle, tmp_path):
    tokens = []

    class Watch:
        start = chunk = staticmethod(lambda *_: None)
        batch = staticmethod(lambda rows, some, padded: tokens.append(some))

    score_pool(pool, bundle, tmp_path / "plain", scoring=Scoring(chunk_rows=8), watch=Watch())
    plain = sum(tokens)
    tokens.clear()
    score_pool(pool, bundle, tmp_path / "run", scoring=OWN, watch=Watch())
    assert sum(tokens) == plain  # no text went through the encoder twice
    assert reasons(tmp_path / "run") == reasons(tmp_path / "plain")
    assert pq.read_table(tmp_path / "run" / "chunks") == pq.read_table(tmp_path / "plain" / "chunks")
    assert not (tmp_path / "plain" / EMBEDDINGS).exists()
    model = backbone.load(str(bundle))
    model.model.save_pretrained(tmp_path / "encoder")
    model.tokenizer.save_pretrained(tmp_path / "encoder")
    x, y = (
        masked_means(tmp_path / "encoder", [row[name] for row in GOOD], 32)
        for name in ("instruction", "response")
    )
    found = vectors(tmp_path / "run")
    scored = np.asarray([reason is None for reason in reasons(tmp_path / "run")])
    np.testing.assert_allclose(found[scored].astype(np.float32), unit(x + y), atol=1e-3)


def test_of_a_quality_ranker_it_is_its_pairs_embedding_of_the_first_of_several(
    pool, bundle, quality_bundle, tmp_path
):
    score_pool(pool, [quality_bundle, bundle], tmp_path / "run", scoring=OWN)
    scorer = Scorer.load(quality_bundle)
    pairs = scorer.encode([record_of(row) for row in GOOD]).pairs
    want = unit(scorer.model.embed(pairs.tokens)[pairs.x])
    found = vectors(tmp_path / "run")
    np.testing.assert_allclose(found[~np.isnan(found[:, 0])].astype(np.float32), want, atol=1e-3)
    assert Plan.read(Disk(tmp_path / "run")).fingerprint[EMBEDDINGS] == {"of": "quality", "width": 32}


def record_of(row):
    return Record.plain(row["instruction"], row["response"])


@pytest.mark.parametrize("scoring", ["own", "by_encoder"])
def test_a_dialogue_is_embedded_once_by_its_last_answer(
    bundle, by_encoder, tmp_path, scoring, encoder_bundle
):
    turns = [
        ("user", "what is a list"),
        ("assistant", "an order"),
        ("user", "open it"),
        ("assistant", "close it"),
    ]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    pool = write_jsonl(tmp_path / "pool.jsonl", [row, row, {"messages": row["messages"][:2]}])
    settings = OWN if scoring == "own" else by_encoder
    for kind in ("each", "last"):
        score_pool(pool, bundle, tmp_path / kind, reading=Reading(turns=kind), scoring=settings)
    each, last = vectors(tmp_path / "each"), vectors(tmp_path / "last")
    assert each.shape == (3, 32) and np.isfinite(each).all()
    np.testing.assert_allclose(each.astype(np.float32), last.astype(np.float32), atol=1e-3)
    assert np.abs(each[0] - each[2]).max() > 0.01


def test_a_record_without_an_embedding_is_set_aside(pool, bundle, by_encoder, tmp_path, monkeypatch):
    embed = Embedder.embed_pairs

    def lame(self, pairs, on_batch=None):
        found = embed(self, pairs, on_batch)
        found[1] = np.nan
        return found

    monkeypatch.setattr(Embedder, "embed_pairs", lame)
    report = score_pool(pool, bundle, tmp_path / "run", scoring=by_encoder)
    assert report.counts.set_aside["embedding:non_finite"] == 4
    sheet = pq.read_table(tmp_path / "run" / "chunks")
    assert sheet["style"][1].as_py() is None and sheet["reason"][1].as_py() == "embedding:non_finite"
    assert np.isnan(vectors(tmp_path / "run")[1]).all() and np.isfinite(vectors(tmp_path / "run")[0]).all()
    assert "it has no direction" in (tmp_path / "run" / "set_aside.jsonl").read_text()
    assert verify(tmp_path / "run").damaged == ()


def test_an_engine_that_gives_no_embeddings_stops_the_run(pool, bundle, by_encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(
        Embedder, "embed_pairs", lambda self, pairs, _=None: np.full((len(pairs), 32), np.nan)
    )
    with pytest.raises(RunError, match="chunk 0 .*8 of 8 embeddings are not finite; the run stopped"):
        score_pool(pool, bundle, tmp_path / "run", scoring=by_encoder)


def test_the_ranker_that_fails_is_blamed_as_without_embeddings(
    pool, bundle, by_encoder, tmp_path, monkeypatch
):
    score = Ranker.score_encoded

    def lame(self, encoded, on_batch=None):
        found = score(self, encoded, on_batch)
        found.scores[1] = np.nan
        return found

    monkeypatch.setattr(Ranker, "score_encoded", lame)
    report = score_pool(pool, bundle, tmp_path / "run", scoring=by_encoder)
    assert report.counts.set_aside["non_finite"] == 4
    assert np.isnan(vectors(tmp_path / "run")[1]).all()


def test_a_run_stopped_between_embeddings_and_entry_goes_on_to_the_same_bytes(
    pool, bundle, by_encoder, whole, tmp_path, monkeypatch
):
    class Stopped(Exception):
        pass

    writing = Disk.writing

    def stop(self, name):
        if name == "ledger/00000002.json":
            assert (self.path / embeddings_name(2)).exists()
            raise Stopped
        return writing(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(Disk, "writing", stop)
        with pytest.raises(Stopped):
            score_pool(pool, bundle, tmp_path / "run", scoring=by_encoder)
    found = verify(tmp_path / "run")
    assert (found.good, found.missing, found.damaged) == (2, 2, ())
    assert status(tmp_path / "run").chunks_done == 2
    (tmp_path / "run" / EMBEDDINGS / ".00000002.npy.tmp").write_bytes(b"half")
    report = score_pool(pool, bundle, tmp_path / "run", scoring=by_encoder)
    assert report.rows_before == 16 and files(tmp_path / "run") == files(whole)


def test_a_chunk_whose_embeddings_are_gone_or_cut_is_to_do_again(pool, bundle, by_encoder, whole, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    (run / RUN).unlink()
    (run / embeddings_name(0)).unlink()
    (run / embeddings_name(3)).write_bytes((run / embeddings_name(3)).read_bytes()[:-2])
    assert score_pool(pool, bundle, run, scoring=by_encoder).rows_scored == 16
    assert files(run) == files(whole)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"embeddings": ""}, "embeddings differs"),
        ({"embeddings": "ranker"}, "embeddings.of differs .encoder there, style here."),
        ({}, "embeddings.files.ranker.json differs"),
    ],
)
def test_a_run_with_another_answer_is_another_run(pool, bundle, by_encoder, whole, tmp_path, change, field):
    other = remade(by_encoder.embeddings, tmp_path / "other", text={"max_tokens": 20})
    with pytest.raises(InputError, match=field):
        score_pool(pool, bundle, whole, scoring=replace(by_encoder, **({"embeddings": str(other)} | change)))


def test_a_run_without_is_not_one_with_embeddings_and_makes_room_for_it(
    pool, bundle, by_encoder, whole, tmp_path
):
    run = tmp_path / "run"
    score_pool(pool, bundle, run, scoring=Scoring(chunk_rows=8))
    with pytest.raises(InputError, match="embeddings differs"):
        score_pool(pool, bundle, run, scoring=by_encoder)
    with pytest.raises(
        InputError, match="has no embeddings, which this rule needs: score the pool with --embed"
    ):
        Embeddings.of_run(Disk(run), Plan.read(Disk(run)))
    score_pool(pool, bundle, run, scoring=by_encoder, overwrite=True)
    assert files(run) == files(whole)
    score_pool(pool, bundle, run, scoring=Scoring(chunk_rows=8), overwrite=True)
    assert not (run / EMBEDDINGS).exists()


def test_a_lost_plan_is_written_anew_beside_embeddings(pool, bundle, by_encoder, whole, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    (run / "plan.json").unlink()
    assert score_pool(pool, bundle, run, scoring=by_encoder).rows_scored == 0
    assert files(run) == files(whole)


def test_verify_finds_a_flipped_byte_and_makes_the_chunk_anew(pool, bundle, whole, tmp_path, capsys):
    run = shutil.copytree(whole, tmp_path / "run")
    path = run / embeddings_name(1)
    good = path.read_bytes()
    path.write_bytes(good[:200] + bytes([good[200] ^ 1]) + good[201:])
    assert main(["verify", str(run), "--check"]) == 1
    assert f"{embeddings_name(1)} is not what was written: its checksum differs" in capsys.readouterr().out
    assert main(["verify", str(run)]) == 0
    assert "made anew 8 rows" in capsys.readouterr().out and files(run) == files(whole)


def test_an_encoder_that_was_moved_is_named_where_it_is(pool, bundle, encoder_bundle, tmp_path, capsys):
    there = shutil.copytree(encoder_bundle, tmp_path / "there")
    run = tmp_path / "run"
    score_pool(pool, bundle, run, scoring=Scoring(chunk_rows=8, embeddings=str(there)))
    before = files(run)
    (run / embeddings_name(0)).unlink()
    there.rename(tmp_path / "here")
    assert main(["verify", str(run)]) == 2
    assert "--pool, --ranker and --embeddings name the new place" in capsys.readouterr().err
    assert main(["verify", str(run), "--embeddings", str(tmp_path / "here")]) == 0
    assert files(run) == before


def test_embeddings_are_not_for_a_run_that_has_none_of_an_encoder(pool, bundle, encoder_bundle, tmp_path):
    score_pool(pool, bundle, tmp_path / "run", scoring=OWN)
    (tmp_path / "run" / embeddings_name(0)).unlink()
    found = verify(tmp_path / "run")
    with pytest.raises(InputError, match="no embeddings of an encoder: --embeddings is not for it"):
        repair(found, tmp_path / "run", embeddings=str(encoder_bundle))
    assert repair(found, tmp_path / "run").rows_scored == 8


def test_shards_yield_the_bytes_of_one_run(pool, bundle, by_encoder, whole, tmp_path):
    run = tmp_path / "run"
    plan_run(pool, bundle, run, scoring=by_encoder)
    for number in (2, 1):
        score_pool(pool, bundle, run, scoring=by_encoder, shard=Shard(number, 2))
    report = gather(run)
    assert files(run) == files(whole)
    assert report.embeddings | {"of": "encoder", "width": 32} == report.embeddings


def test_a_run_on_a_store_has_the_same_embeddings(pool, bundle, by_encoder, whole):
    pytest.importorskip("fsspec")
    place = f"memory://{uuid.uuid4().hex}/run"
    score_pool(pool, bundle, place, scoring=by_encoder)
    folder = open_folder(place)
    for number in range(4):
        assert folder.open(embeddings_name(number)).read() == (whole / embeddings_name(number)).read_bytes()
    there = Embeddings.of_run(folder, Plan.read(folder))
    here = Embeddings.of_run(Disk(whole), Plan.read(Disk(whole)))
    some = np.asarray([31, 0, 9, 8, 7])
    np.testing.assert_array_equal(there.take(some), here.take(some))
    np.testing.assert_array_equal(here.take(some), vectors(whole)[some].astype(np.float32))
    assert verify(place).damaged == ()
    good = folder.open(embeddings_name(1)).read()
    with folder.writing(embeddings_name(1)) as stream:
        stream.write(good[:200] + bytes([good[200] ^ 1]) + good[201:])
    assert [each.chunk for each in verify(place).damaged] == [1]
    assert main(["verify", place]) == 0
    assert folder.open(embeddings_name(1)).read() == good and verify(place).damaged == ()


def test_an_actor_of_a_cluster_embeds_as_the_driver_would(pool, bundle, by_encoder, whole, tmp_path):
    folder = Disk(tmp_path / "run")
    plan = plan_run(pool, bundle, folder, scoring=by_encoder)
    with folder.hold():
        job = Job.of(pool, bundle, scoring=by_encoder)
        actor = Actor(Order.of(job, plan, folder, digest(plan.fingerprint), 1))
        assert actor.score(plan.chunks[1]).error == ""
        assert actor.had(plan.chunks[1])
    assert (tmp_path / "run" / embeddings_name(1)).read_bytes() == (whole / embeddings_name(1)).read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(processors() < 2, reason="needs two processors")
def test_workers_write_the_same_bytes(pool, bundle, by_encoder, whole, tmp_path):
    score_pool(pool, bundle, tmp_path / "run", scoring=replace(by_encoder, workers=2))
    assert files(tmp_path / "run") == files(whole)


def test_filter_embeds_as_it_scores_and_leaves_nothing_behind(pool, bundle, by_encoder, whole, tmp_path):
    words = {"scoring": by_encoder, "output": Output(overwrite=True)}
    filter_pool(pool, bundle, tmp_path / "kept.jsonl", TopK(3), **words)
    assert {path.name for path in tmp_path.iterdir()} == {"kept.jsonl", "kept.jsonl.why"}
    filter_pool(pool, bundle, tmp_path / "kept.jsonl", TopK(3), keep_scores=True, **words)
    assert files(tmp_path / "kept.jsonl.run") == files(whole)


def test_a_dry_run_embeds_too(pool, bundle, by_encoder, monkeypatch):
    said = []
    say = Crew.say
    monkeypatch.setattr(Crew, "say", lambda *words: said.append(say(*words)) or said[-1])
    assert dry_run(pool, bundle, scoring=by_encoder).records == len(ROWS)
    assert all(each.embeddings.shape == (len(each.scores["style"].scores), 32) for each in said)


def test_the_command_takes_embeddings_with_and_without_a_value(
    pool, bundle, encoder_bundle, tmp_path, capsys
):
    words = ["score", str(pool), "--ranker", str(bundle), "--chunk_rows", "8", "--out"]
    assert main([*words, str(tmp_path / "own"), "--embeddings"]) == 0
    assert "embeddings: 32 numbers a record, of style, in its own pass" in capsys.readouterr().out
    assert main([*words, str(tmp_path / "beside"), "--embeddings", str(encoder_bundle)]) == 0
    assert "of encoder: onnxruntime fp32, model.fused.onnx" in capsys.readouterr().out
    assert main([*words, str(tmp_path / "beside"), f"--embeddings={encoder_bundle}"]) == 0
    assert "finished already" in capsys.readouterr().out
    for value, told in (
        ("", "--embeddings is empty"),
        (str(bundle), "a style ranker, no encoder"),
        ("no", "no such"),
    ):
        assert main([*words, str(tmp_path / "none"), "--embeddings", value]) == 2
        err = capsys.readouterr().err
        assert told in err and err.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_a_text_of_both_is_the_turns_and_the_answer_with_a_blank_line_between(encoder_bundle):
    encoder = PairEncoder.of_bundle(Embedder.load(encoder_bundle).bundle)
    row = pool_rows(1)[0]
    record = record_of(row)
    told = encoder.text.decode(encoder.encode([(record.turns, record.response)]).tokens, 0)
    assert told == encoder.text.decode(encoder.text.encode([joined(row)], 40), 0)


@pytest.mark.parametrize("kind", ["bundle", "quality_bundle"])
def test_the_torch_engine_embeds_as_the_graph_does(kind, request):
    place = request.getfixturevalue(kind)
    found = []
    for engine in ("onnxruntime", "torch"):
        scorer = Scorer.load(place, Scoring(engine=engine))
        found.append(scorer.score_and_embed(scorer.encode([record_of(row) for row in GOOD])))
    (scores, here), (others, there) = found
    np.testing.assert_allclose(others.scores, scores.scores, atol=1e-4)
    np.testing.assert_allclose(there.astype(np.float32), here.astype(np.float32), atol=1e-3)


def test_an_embedding_of_a_ranker_that_is_not_finite_is_run_again_alone(bundle, monkeypatch):
    scorer = Scorer.load(bundle)
    encoded = scorer.encode([record_of(row) for row in GOOD])
    _, want = scorer.score_and_embed(encoded)
    embed, alone = scorer.model.score_and_embed, []

    def sick(pairs, wanted, on_batch=None):
        scores, found = embed(pairs, wanted, on_batch)
        if len(wanted) > 1:
            found[4] = np.nan
        else:
            alone.append(len(pairs))
        return scores, found

    monkeypatch.setattr(scorer.model, "score_and_embed", sick)
    _, found = scorer.score_and_embed(encoded)
    assert alone == [1]
    np.testing.assert_allclose(found.astype(np.float32), want.astype(np.float32), atol=1e-3)


@pytest.mark.parametrize("place", ["bundle", "quality_bundle"])
def test_a_chunk_in_which_nothing_can_be_read_has_rows_of_the_same_width(
    place, request, by_encoder, tmp_path
):
    pool = write_jsonl(tmp_path / "pool.jsonl", [b"{", b"[", *pool_rows(2)])
    for name, scoring in (("own", OWN), ("beside", by_encoder)):
        run = tmp_path / name
        score_pool(pool, request.getfixturevalue(place), run, scoring=replace(scoring, chunk_rows=2))
        assert [np.load(path).shape for path in sorted((run / EMBEDDINGS).iterdir())] == [(2, 32), (2, 32)]
        found = Embeddings.of_run(Disk(run), Plan.read(Disk(run))).take(np.arange(4))
        assert np.isnan(found).all(axis=1).tolist() == [True, True, False, False]

"""The seen-vs-unseen filter: every candidate is scored by a model that saw neither it nor its like.

Rows you have against candidates, in grouped folds; then a model of all rows, for the next pool.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from scar.calibration import Calibration, expected_calibration_error
from scar.encoding import PairEncoder, Pairs
from scar.errors import GateError, InputError
from scar.files import atomic, new_folder, refuse_existing
from scar.pools import Place, digest
from scar.runs import PLAN
from scar.serving.answers import Scores
from scar.serving.columns import beside
from scar.settings import Reading, UnseenSettings
from scar.training import backbone as backbones
from scar.training.backbone import Backbone
from scar.training.calibrate import fit_percentiles, fit_temperature
from scar.training.cross import CrossEncoder
from scar.training.export import export
from scar.training.fit import fingerprint, pair_encoder
from scar.training.save import GATE_PAIRS, Trained, save_bundle
from scar.training.state import folder_for, open_state
from scar.training.unseen import finetune, linear
from scar.training.unseen.embed import embed, frozen
from scar.training.unseen.folds import fold_of, group_notes, groups_of
from scar.training.unseen.length import length_scores
from scar.training.unseen.report import Report
from scar.training.unseen.rows import Rows
from scar.training.unseen.run_folder import Candidates, write_run
from scar.training.unseen.signal import signal_of
from scar.training.unseen.telling import telling_ngrams
from scar.training.unseen.verdict import OutOfFold, verdict_of

log = logging.getLogger("scar")
RUN_FOLDER, BUNDLE, REPORT = "run", "bundle", "report.json"
EMBEDDINGS = "embeddings.npy"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class UnseenReport:
    """What a training did."""

    out: Path
    report: Report
    scored: int
    set_aside: int
    """Rows of the pool that could not be read."""


def train_unseen(
    settings: UnseenSettings,
    seen: Place | Sequence[Place],
    pool: Place | Sequence[Place],
    out: Path,
    *,
    reading: Reading | None = None,
    overwrite: bool = False,
) -> UnseenReport:
    """Train on the rows you have and on candidates; writes `out`/run, `out`/bundle and `out`/report.json.

    The folder appears whole or not at all. A killed training goes on with the next fold when it is called again.
    """
    out, reading, started = out.resolve(), reading or Reading(), time.perf_counter()
    refuse_existing(out, overwrite=overwrite)
    _refuse_foreign(out)
    rows = Rows.read(seen, pool, reading)
    groups = groups_of(rows.records, on=settings.on, seed=settings.seed)
    fold = fold_of(groups, rows.seen, folds=settings.folds, seed=settings.seed)
    torch.manual_seed(settings.seed)
    backbone = backbones.load(settings.encoder, settings.revision, settings.dropout)
    encoder = pair_encoder(backbone, settings, settings.inputs)
    files = {"seen": digest(seen), "pool": digest(pool)}
    print_of = {**fingerprint(settings, {}, backbone), "files": files, "reading": asdict(reading)}
    work = folder_for(out)
    if overwrite:
        finetune.clear(work)
    open_state(work, print_of, overwrite=overwrite)
    job = _Job(settings, rows, groups, fold, backbone, encoder, work, print_of)
    outcome = job.learn()
    report = job.report(outcome)
    with new_folder(out, overwrite=overwrite) as folder:
        candidates = job.candidates(outcome)
        counts = write_run(
            folder / RUN_FOLDER,
            rows,
            candidates,
            {**print_of, "kind": "out of fold"},
            {"seconds": round(time.perf_counter() - started, 3), "out_of_fold": True},
        )
        job.save(outcome, folder / BUNDLE, files)
        report = replace(report, notes=(*report.notes, *_exported(folder / BUNDLE)))
        with atomic(folder / REPORT) as stream:
            stream.write(report.to_json().encode())
    finetune.clear(work)
    return UnseenReport(out, report, counts.scored, sum(counts.set_aside.values()))


def _exported(bundle: Path) -> list[str]:
    """Write the bundle's graphs. Rows that cannot be told apart may all get one score, which passes no gate: a note."""
    try:
        export(bundle)
    except GateError as error:
        return [f"the bundle has no graphs, and cannot score: {str(error).partition(' (figures')[0]}"]
    return []


def _refuse_foreign(out: Path) -> None:
    """Raise InputError for a folder that is not ours: an overwrite must not take anything else along."""
    if out.is_dir() and any(out.iterdir()) and not (out / RUN_FOLDER / PLAN).is_file():
        raise InputError(f"{out} is not empty and not of `scar train unseen`: choose another --out")


@dataclass(frozen=True)
class _Outcome:
    """What was learned: logits of every row out of fold, and a ranker of all rows that gives such logits."""

    logits: Floats
    """(rows,) calibrated, of the share of seen rows as it is; higher means more like them."""
    ranker: CrossEncoder
    """Its score is that of ranker.json's `prefer`."""
    steps: int
    temperature: float
    errors: dict[str, float]
    pairs: Pairs


@dataclass(frozen=True)
class _Job:
    """One training: rows in folds, and what encodes them."""

    settings: UnseenSettings
    rows: Rows
    groups: NDArray[np.int64]
    fold: NDArray[np.int16]
    backbone: Backbone
    encoder: PairEncoder
    work: Path
    fingerprint: dict[str, Any]

    @property
    def share_seen(self) -> float:
        """The share of seen rows among all."""
        return float(self.rows.seen.mean())

    def learn(self) -> _Outcome:
        """Score every row out of fold, then train on all."""
        pairs = self.encoder.encode((record.turns, record.response) for record in self.rows.records)
        logits, ranker, steps = (
            self._linear(pairs) if self.settings.head == "linear" else self._finetune(pairs)
        )
        labels = self.rows.seen.astype(np.float64)
        temperature = fit_temperature(logits, labels).temperature
        before, after = (
            expected_calibration_error(1 / (1 + np.exp(-each)), labels)
            for each in (logits, logits / temperature)
        )
        sign = -1.0 if self.settings.prefer == "novel" else 1.0
        with torch.no_grad():
            # The temperature and the side that is preferred are in the weights: the graph gives the score itself.
            ranker.output.weight.mul_(sign / temperature)
            ranker.output.bias.mul_(sign / temperature)
        errors = {"ece_before": before, "ece_after": after}
        return _Outcome(logits / temperature, ranker, steps, temperature, errors, pairs)

    def _linear(self, pairs: Pairs) -> tuple[Floats, CrossEncoder, int]:
        ranker = frozen(self.backbone, self.settings.layers)
        file = self.work / EMBEDDINGS
        if not file.is_file():
            embeddings = embed(ranker, pairs, pad_id=self.encoder.settings.pad_id)
            with atomic(file) as stream:
                np.save(stream, embeddings, allow_pickle=False)
        embeddings = np.load(file, allow_pickle=False)
        logits = linear.out_of_fold(embeddings, self.rows.seen, self.fold)
        head = linear.fit_linear(embeddings, self.rows.seen)
        with torch.no_grad():
            ranker.output.weight.copy_(torch.from_numpy(head.weight)[None])
            bias = linear.prior_corrected(np.asarray([head.bias], dtype=np.float64), self.share_seen)
            ranker.output.bias.copy_(torch.from_numpy(bias))
        # One fit of all rows: not steps of a gradient, but trained all the same.
        return linear.prior_corrected(logits, self.share_seen), ranker, 1

    def _finetune(self, pairs: Pairs) -> tuple[Floats, CrossEncoder, int]:
        task = finetune.Task(
            self.settings,
            pairs,
            self.rows.seen,
            self.encoder.settings.pad_id,
            self.fold,
            self.work,
            self.fingerprint,
        )
        return finetune.out_of_fold(task), *finetune.train_on_all(task)

    def report(self, outcome: _Outcome) -> Report:
        """Judge the out-of-fold scores, and look for what tells the sides apart."""
        settings, seen, fold = self.settings, self.rows.seen, self.fold
        texts = [signal_of(record, settings.on) for record in self.rows.records]
        verdict = verdict_of(
            OutOfFold(outcome.logits, seen, fold, self.groups),
            length_scores(texts, seen, fold),
            seed=settings.seed,
        )
        return Report(
            verdict=verdict,
            telling=telling_ngrams(texts, seen, fold, seed=settings.seed),
            seen=int(seen.sum()),
            pool=int((~seen).sum()),
            groups=int(self.groups.max()) + 1,
            folds=settings.folds,
            head=settings.head,
            on=settings.on,
            prefer=settings.prefer,
            seed=settings.seed,
            notes=(*group_notes(self.groups, settings.folds), *self._lost()),
        )

    def _lost(self) -> list[str]:
        lost = sum(self.rows.set_aside.values())
        return [f"{lost:,} of the seen rows could not be read and were left out"] if lost else []

    def candidates(self, outcome: _Outcome) -> Candidates:
        """Give what the folds say of the candidates."""
        these = self.rows.candidates
        scores = linear.score_of(outcome.logits[these], self.settings.prefer).astype(np.float32)
        described = {"name": self.settings.name, "kind": "unseen", "prefer": self.settings.prefer}
        pairs = outcome.pairs.take(these)
        return Candidates(
            self.settings.name,
            Scores(
                scores,
                pairs.lengths.astype(np.int32),
                pairs.truncated,
                beside(described, self._calibration(scores), scores),
            ),
            self.fold[these],
        )

    def _calibration(self, scores: NDArray[np.float32]) -> Calibration:
        percentile = fit_percentiles(scores)
        facts = {**percentile.facts, "reference": "candidates, out of fold"}
        return Calibration(percentile=replace(percentile, facts=facts))

    def save(self, outcome: _Outcome, out: Path, files: dict[str, str]) -> None:
        """Write the bundle of the model of all rows."""
        these = self.rows.candidates
        scores = linear.score_of(outcome.logits[these], self.settings.prefer).astype(np.float32)
        gated = these[np.unique(np.linspace(0, len(these) - 1, GATE_PAIRS).round().astype(int))]
        records = [self.rows.records[number] for number in gated]
        trained = Trained(
            ranker=outcome.ranker.cpu(),
            backbone=replace(self.backbone, model=cast(Any, outcome.ranker.encoder)),
            encoder=self.encoder,
            settings=self.settings,
            rows={"seen": int(self.rows.seen.sum()), "pool": len(these)},
            steps=outcome.steps,
            files={},
            gate_pairs=[(record.turns, record.response) for record in records],
            more={
                "prefer": self.settings.prefer,
                "on": self.settings.on,
                "head_kind": self.settings.head,
                "share_seen": self.share_seen,
                "temperature": {
                    "value": outcome.temperature,
                    **outcome.errors,
                    "fitted_on": "out-of-fold scores",
                },
                "sources": files,
            },
            calibration=self._calibration(scores).to_config(),
        )
        save_bundle(out, trained, None, overwrite=False)

"""One seen-vs-unseen training: score out of fold, train on all, judge, and make the bundle. Reads no pool."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from scar.calibration import Calibration
from scar.encoding import PairEncoder, Pairs
from scar.files import atomic
from scar.serving.answers import Scores
from scar.serving.columns import beside
from scar.settings import UnseenSettings
from scar.training.backbone import Backbone
from scar.training.calibrate import fit_percentiles
from scar.training.cross import CrossEncoder
from scar.training.save import GATE_PAIRS, Trained, save_bundle
from scar.training.unseen import finetune, linear
from scar.training.unseen.embed import embed
from scar.training.unseen.folds import Groups, group_notes
from scar.training.unseen.length import length_scores
from scar.training.unseen.odds import Fitted, fit_odds, sign_of
from scar.training.unseen.report import Calibrated, Report
from scar.training.unseen.rows import Rows
from scar.training.unseen.run_folder import Candidates
from scar.training.unseen.signal import signal_of
from scar.training.unseen.telling import telling_ngrams
from scar.training.unseen.verdict import OutOfFold, verdict_of

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """What was learned: logits of every row out of fold, and a ranker of all rows that gives such logits."""

    logits: Floats
    """(rows,) log odds of seen."""
    ranker: CrossEncoder
    """Its score is that of ranker.json's `prefer`."""
    steps: int
    fitted: Fitted


@dataclass(frozen=True)
class Job:
    """One training: rows in folds, and what encodes them."""

    settings: UnseenSettings
    rows: Rows
    groups: Groups
    fold: NDArray[np.int16]
    backbone: Backbone
    encoder: PairEncoder
    pairs: Pairs
    work: Path
    fingerprint: dict[str, Any]

    def learn(self, ranker: CrossEncoder) -> Outcome:
        """Score every row out of fold, then train on all."""
        learn = self._linear if self.settings.head == "linear" else self._finetune
        logits, ranker, steps = learn(ranker)
        fitted = fit_odds(logits, self.rows.seen, self.groups, seed=self.settings.seed)
        odds, sign = fitted.odds, sign_of(self.settings.prefer)
        with torch.no_grad():
            # Temperature, share and the side that is preferred go into the weights: the graph gives the score itself.
            ranker.output.weight.mul_(sign / odds.temperature)
            ranker.output.bias.mul_(sign / odds.temperature).add_(sign * odds.shift)
        return Outcome(odds.of(logits), ranker, steps, fitted)

    def _linear(self, ranker: CrossEncoder) -> tuple[Floats, CrossEncoder, int]:
        file = self.work / finetune.EMBEDDINGS
        if not file.is_file():
            embeddings = embed(ranker, self.pairs, pad_id=self.encoder.settings.pad_id)
            with atomic(file) as stream:
                np.save(stream, embeddings, allow_pickle=False)
        embeddings = np.load(file, allow_pickle=False)
        logits = linear.out_of_fold(embeddings, self.rows.seen, self.fold)
        head = linear.fit_linear(embeddings, self.rows.seen)
        with torch.no_grad():
            ranker.output.weight.copy_(torch.from_numpy(head.weight)[None])
            ranker.output.bias.fill_(float(head.bias))
        # One fit of all rows: not steps of a gradient, but trained all the same.
        return logits, ranker, 1

    def _finetune(self, ranker: CrossEncoder) -> tuple[Floats, CrossEncoder, int]:
        task = finetune.Task(
            self.settings,
            self.pairs,
            self.rows.seen,
            self.encoder.settings.pad_id,
            self.fold,
            self.work,
            self.fingerprint,
        )
        return finetune.out_of_fold(task, ranker), *finetune.train_on_all(task, ranker)

    def report(self, outcome: Outcome) -> Report:
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
            encoder=settings.encoder,
            calibration=self._calibrated(outcome.fitted),
            set_aside={"seen": self.rows.lost, "pool": self.rows.set_aside},
            notes=(*group_notes(self.groups, settings.folds), *self._lost()),
        )

    def _lost(self) -> list[str]:
        lost = sum(self.rows.lost.values())
        return [f"{lost:,} of the seen rows could not be read and were left out"] if lost else []

    @staticmethod
    def _calibrated(fitted: Fitted) -> Calibrated:
        return Calibrated(fitted.odds.temperature, fitted.ece_before, fitted.ece_after)

    def _scores(self, outcome: Outcome) -> NDArray[np.float32]:
        """Give the candidates' scores, in pool order."""
        these = outcome.logits[self.rows.candidates]
        return (sign_of(self.settings.prefer) * these).astype(np.float32)

    def candidates(self, outcome: Outcome) -> Candidates:
        """Give what the folds say of the candidates."""
        these = self.rows.candidates
        scores = self._scores(outcome)
        described = {"name": self.settings.name, "kind": "unseen", "prefer": self.settings.prefer}
        pairs = self.pairs.take(these)
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

    def save(self, outcome: Outcome, out: Path, files: dict[str, str]) -> None:
        """Write the bundle of the model of all rows."""
        these = self.rows.candidates
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
                "share_seen": float(self.rows.seen.mean()),
                "odds": asdict(self._calibrated(outcome.fitted)),
                "sources": files,
            },
            calibration=self._calibration(self._scores(outcome)).to_config(),
        )
        save_bundle(out, trained, None, overwrite=False)

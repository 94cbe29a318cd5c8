"""The head `finetune`: in each fold the encoder learns the difference, then scores the rows held out of it."""

import logging
import math
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scar.encoding import Pairs
from scar.files import atomic
from scar.settings import UnseenSettings
from scar.training import backbone as backbones
from scar.training.batches import ExampleData, batch_tokens
from scar.training.cross import CrossEncoder, build_cross
from scar.training.engine import torch_model
from scar.training.fit import Course
from scar.training.quality.data import CrossExamples
from scar.training.quality.learning import CrossObjective
from scar.training.state import clear_state
from scar.training.unseen.folds import Seen

log = logging.getLogger("scar")


@dataclass(frozen=True)
class Task:
    """What all folds share; it goes to other processes as it is."""

    settings: UnseenSettings
    pairs: Pairs
    seen: Seen
    pad_id: int
    fold: NDArray[np.int16]
    work: Path
    """Where folds leave their scores: a killed training goes on with the next."""
    fingerprint: Mapping[str, Any]

    def scores_of(self, number: int) -> Path:
        """Give the file of a fold's scores."""
        return self.work / f"fold-{number}.npy"


def out_of_fold(task: Task) -> NDArray[np.float64]:
    """Give each row (n,) the logit of a model of the other folds, of the share of seen rows as it is."""
    folds = range(int(task.fold.max()) + 1)
    left = [number for number in folds if not task.scores_of(number).is_file()]
    if len(left) < len(folds):
        log.info("going on: %d of %d folds are done", len(folds) - len(left), len(folds))
    _run(task, left)
    logits = np.empty(len(task.seen))
    for number in folds:
        logits[task.fold == number] = np.load(task.scores_of(number), allow_pickle=False)
    return logits


def _run(task: Task, folds: Sequence[int]) -> None:
    devices = task.settings.device_list
    if len(devices) < 2:
        for number in folds:
            run_fold(task, number, devices[0] if devices else None, 0)
        return
    threads = max(1, torch.get_num_threads() // max(1, devices.count("cpu")))
    # A device is one process, and takes the folds that fall to it.
    with ProcessPoolExecutor(len(devices), mp_context=get_context("spawn")) as pool:
        shares = [folds[place :: len(devices)] for place in range(len(devices))]
        running = [
            pool.submit(_run_share, task, share, device, threads)
            for share, device in zip(shares, devices, strict=True)
        ]
        for each in running:
            each.result()


def _run_share(task: Task, folds: Sequence[int], device: str, threads: int) -> None:
    for number in folds:
        run_fold(task, number, device, threads)


def run_fold(task: Task, number: int, device: str | None, threads: int) -> None:
    """Train on the other folds, and write the logits of the rows of this one."""
    if threads:
        torch.set_num_threads(threads)
    held_out = np.flatnonzero(task.fold == number)
    ranker, course = _train(
        task, np.flatnonzero(task.fold != number), task.work / f"fold-{number}", device, fold=number
    )
    model = torch_model(ranker, task.pad_id, batch_tokens(task.settings), course.trainer.strategy.root_device)
    logits = model.score(task.pairs.take(held_out)).astype(np.float64)
    with atomic(task.scores_of(number)) as stream:
        np.save(stream, logits, allow_pickle=False)
    course.done()
    log.info("fold %d of %d is done", number + 1, int(task.fold.max()) + 1)


def train_on_all(task: Task) -> tuple[CrossEncoder, int]:
    """Train the final model on all rows; gives it and its steps."""
    device = next(iter(task.settings.device_list), None)
    ranker, course = _train(task, np.arange(len(task.seen)), task.work / "all", device, fold=-1)
    steps = course.trainer.global_step
    course.done()
    return ranker.cpu().eval(), steps


def _train(
    task: Task, rows: NDArray[np.int64], out: Path, device: str | None, *, fold: int
) -> tuple[CrossEncoder, Course]:
    settings = replace(task.settings, trainer=task.settings.trainer | _on(device))
    course = Course.prepare(settings, out, "auc", validated=False, overwrite=False)
    torch.manual_seed(settings.seed)
    backbone = backbones.load(settings.encoder, settings.revision, settings.dropout)
    if settings.layers:
        backbones.keep_layers(backbone.model, settings.layers)
    ranker = build_cross(backbone, settings, "unseen", settings.pooling)
    seen = task.seen[rows]
    weight = float((~seen).sum() / seen.sum())
    pairs = task.pairs.take(rows)
    examples = CrossExamples(
        pairs.tokens,
        pairs.texts,
        seen.astype(np.float32),
        task.pad_id,
        batch_tokens(settings),
    )
    course.fit(
        CrossObjective(ranker, "labels", weight),
        ExampleData(examples, None, settings),
        {**task.fingerprint, "fold": fold},
    )
    with torch.no_grad():
        # Weights teach as if both sides were as many rows: back to the share of seen rows as it is.
        ranker.output.bias.sub_(math.log(weight))
    return ranker, course


def _on(device: str | None) -> dict[str, Any]:
    if device is None:
        return {}
    if device == "cpu":
        return {"accelerator": "cpu", "devices": 1}
    return {"accelerator": "gpu", "devices": [int(device.partition(":")[2])]}


def clear(work: Path) -> None:
    """Remove what only an unfinished training needs: scores of folds, embeddings, and the state that names them."""
    for file in (*work.glob("fold-*.npy"), *work.glob("*.npy")):
        file.unlink(missing_ok=True)
    for folder in work.glob("*.training"):
        shutil.rmtree(folder)
    clear_state(work)

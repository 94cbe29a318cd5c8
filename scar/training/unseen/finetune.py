"""The head `finetune`: in each fold the encoder learns the difference, then scores the rows held out of it."""

import copy
import logging
import shutil
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.utils import logging as transformers_logging

from scar.encoding import Pairs
from scar.errors import InputError
from scar.files import atomic
from scar.settings import UnseenSettings
from scar.training import backbone as backbones
from scar.training.backbone import Backbone
from scar.training.batches import ExampleData, batch_tokens
from scar.training.cross import CrossEncoder, build_cross
from scar.training.engine import torch_model
from scar.training.fit import Course
from scar.training.quality.data import CrossExamples
from scar.training.quality.learning import CrossObjective
from scar.training.state import STATE, clear_state, folder_for
from scar.training.unseen.folds import Seen

log = logging.getLogger("scar")
LIGHTNING = "lightning.pytorch"
SPREADING = ("devices", "num_nodes", "strategy")
"""Arguments of the Trainer that spread one training over several devices."""
EMBEDDINGS = "embeddings.npy"
"""What the other head keeps."""


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


def untrained(settings: UnseenSettings, backbone: Backbone, work: Path) -> CrossEncoder:
    """Make what each fold starts from. Raises InputError for all that a training could be refused for later."""
    if taken := [name for name in SPREADING if name in settings.trainer]:
        raise InputError(
            f"trainer: {taken[0]}: a fold is trained on one device; devices: cuda:0,cuda:1 runs folds side by side"
        )
    if settings.layers:
        backbones.keep_layers(backbone.model, settings.layers)
    _course(settings, work / "all", next(iter(settings.device_list), None))
    return build_cross(backbone, settings, "unseen", settings.pooling)


def out_of_fold(task: Task, blank: CrossEncoder) -> NDArray[np.float64]:
    """Give each row (n,) the logit of a model of the other folds that took both sides for equally many rows."""
    folds = range(int(task.fold.max()) + 1)
    left = [number for number in folds if not task.scores_of(number).is_file()]
    if len(left) < len(folds):
        log.info("going on: %d of %d folds are done", len(folds) - len(left), len(folds))
    _run(task, blank, left)
    logits = np.empty(len(task.seen))
    for number in folds:
        logits[task.fold == number] = np.load(task.scores_of(number), allow_pickle=False)
    return logits


def _run(task: Task, blank: CrossEncoder, folds: Sequence[int]) -> None:
    devices, told = task.settings.device_list, f"of {int(task.fold.max()) + 1} is done"
    if len(devices) < 2:
        for number in folds:
            run_fold(task, blank, number, next(iter(devices), None))
            log.info("fold %d %s", number + 1, told)
        return
    threads = max(1, torch.get_num_threads() // max(1, devices.count("cpu")))
    # A new process knows nothing of what was silenced in this one.
    bars = transformers_logging.is_progress_bar_enabled()
    silence = (logging.getLogger(LIGHTNING).level, warnings.filters, bars)
    with ProcessPoolExecutor(
        len(devices), mp_context=get_context("spawn"), initializer=_silence, initargs=silence
    ) as pool:
        # A device is one process, and takes the folds that fall to it.
        shares = [folds[place :: len(devices)] for place in range(len(devices))]
        running = {
            pool.submit(_run_share, task, share, device, threads): share
            for share, device in zip(shares, devices, strict=True)
            if share
        }
        for each in as_completed(running):
            each.result()
            for number in running[each]:
                log.info("fold %d %s", number + 1, told)


def _silence(level: int, filters: Sequence[Any], bars: bool) -> None:
    logging.getLogger(LIGHTNING).setLevel(level)
    warnings.filters[:] = filters  # type: ignore[index]
    if not bars:
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _run_share(task: Task, folds: Sequence[int], device: str, threads: int) -> None:
    torch.set_num_threads(threads)
    settings = task.settings
    backbone = backbones.load(settings.encoder, settings.revision, settings.dropout)
    blank = untrained(settings, backbone, task.work)
    for number in folds:
        run_fold(task, blank, number, device)


def run_fold(task: Task, blank: CrossEncoder, number: int, device: str | None) -> None:
    """Train on the other folds, and write the logits of the rows of this one."""
    held_out = np.flatnonzero(task.fold == number)
    ranker, course = _train(
        task, blank, np.flatnonzero(task.fold != number), task.work / f"fold-{number}", device, fold=number
    )
    model = torch_model(
        ranker, task.pad_id, batch_tokens(course.settings), course.trainer.strategy.root_device
    )
    logits = model.score(task.pairs.take(held_out)).astype(np.float64)
    if not np.isfinite(logits).all():
        raise InputError(
            f"fold {number + 1}: the training came apart, its scores are not finite: lower lr, and --overwrite"
        )
    with atomic(task.scores_of(number)) as stream:
        np.save(stream, logits, allow_pickle=False)
    course.done()


def train_on_all(task: Task, blank: CrossEncoder) -> tuple[CrossEncoder, int]:
    """Train the final model on all rows; gives it and its steps.

    Its last epoch stays on disk: what comes after may be killed too.
    """
    device = next(iter(task.settings.device_list), None)
    ranker, course = _train(task, blank, np.arange(len(task.seen)), task.work / "all", device, fold=-1)
    return ranker.cpu().eval(), course.trainer.global_step


def _course(settings: UnseenSettings, out: Path, device: str | None) -> Course:
    settings = replace(settings, trainer=settings.trainer | _on(device))
    return Course.prepare(settings, out, "auc", validated=False, overwrite=False)


def _train(
    task: Task,
    blank: CrossEncoder,
    rows: NDArray[np.int64],
    out: Path,
    device: str | None,
    *,
    fold: int,
) -> tuple[CrossEncoder, Course]:
    course, ranker = _course(task.settings, out, device), copy.deepcopy(blank)
    seen, pairs = task.seen[rows], task.pairs.take(rows)
    examples = CrossExamples(
        pairs.tokens,
        pairs.texts,
        seen.astype(np.float32),
        task.pad_id,
        batch_tokens(course.settings),
    )
    # Weights teach as if both sides were as many rows.
    course.fit(
        CrossObjective(ranker, "labels", float((~seen).sum() / seen.sum())),
        ExampleData(examples, None, course.settings),
        {**task.fingerprint, "fold": fold},
    )
    return ranker, course


def _on(device: str | None) -> dict[str, Any]:
    if device is None:
        return {}
    if device == "cpu":
        return {"accelerator": "cpu", "devices": 1}
    return {"accelerator": "gpu", "devices": [int(device.partition(":")[2])]}


def clear(work: Path) -> None:
    """Remove what only an unfinished training needs, if one was begun here; what says so goes last."""
    if not (work / STATE).is_file():
        return
    for file in (*work.glob("fold-*.npy"), *work.glob(".*.npy.tmp"), work / EMBEDDINGS):
        file.unlink(missing_ok=True)
    for folder in (*work.glob("fold-*.training"), folder_for(work / "all")):
        shutil.rmtree(folder, ignore_errors=True)
    clear_state(work)

"""The chunks of a run on a Ray cluster (extra `ray`): Ray Data schedules, retries and restarts; the driver counts."""

import json
import logging
import os
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from scar.errors import InputError, RunError
from scar.pools import Chunk
from scar.runs import Folder, Plan
from scar.serving.cluster.actor import HOST, Actor
from scar.serving.cluster.hushed import hushed
from scar.serving.cluster.lines import Lines
from scar.serving.cluster.order import Answer, Order, chunk_of
from scar.serving.job import Job
from scar.serving.ledger import Counts, digest, done
from scar.serving.pipeline import Meter, where
from scar.settings import Cluster

log = logging.getLogger("scar")
TOGETHER = 2
"""Chunks that an actor has under way: one is read and tokenised while the engines run the other."""
TRIES = 4
"""How often a chunk is begun, its actor or node having died before it was done; then it is the chunk that kills."""

MANY = 20
"""Chunks of one packed stream, each of which must be unpacked from its start: the work is their square."""
REACH = 10.0
"""Seconds that the head of a cluster has to answer."""


class Tally:
    """Counts the tries of each chunk; an actor beside the driver. Ray itself tries again without end."""

    def __init__(self) -> None:
        self._tries: Counter[int] = Counter()

    def tries(self, chunk: int) -> int:
        """Tell how often it was begun."""
        return self._tries[chunk]

    def begin(self, chunk: int) -> None:
        """Count one more."""
        self._tries[chunk] += 1


class Seats:
    """Chunks that run side by side in one process, or one alone."""

    def __init__(self) -> None:
        self._seats, self._door = threading.Semaphore(TOGETHER), threading.Lock()

    @contextmanager
    def taken(self, *, alone: bool) -> Iterator[None]:
        """Have one, or all of them."""
        wanted = TOGETHER if alone else 1
        with self._door:  # who waits for all lets nobody in before
            for _ in range(wanted):
                self._seats.acquire()
        try:
            yield
        finally:
            self._seats.release(wanted)


class Udf:
    """What Ray Data makes one of in each actor."""

    def __init__(self, order: Order, tally: Any) -> None:
        self._actor, self._tally, self._seats, self._lines = Actor(order), tally, Seats(), Lines(HOST)
        log.addHandler(self._lines)
        # A worker would begin by running the script that is the main one here: Ray's own.
        vars(sys.modules["__main__"]).pop("__file__", None)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Score the chunks of a batch: it has one."""
        answers = [self._score(chunk_of(str(chunk))) for chunk in batch["chunk"]]
        return {"answer": [replace(answer, log=self._lines.take()).written() for answer in answers]}

    def _score(self, chunk: Chunk) -> Answer:
        import ray

        tries = ray.get(self._tally.tries.remote(chunk.index))
        if tries < TRIES:
            # Begun before, it may be what killed its process: whatever stands beside it must not look guilty too.
            with self._seats.taken(alone=tries > 0):
                ray.get(self._tally.begin.remote(chunk.index))
                return self._actor.score(chunk)
        if had := self._actor.had(chunk):
            return had  # what was lost was the answer: its node left after the chunk was committed
        why = f"{where(chunk)}: {TRIES} actors died over it: out of memory, or killed?"
        if not self._actor.order.scoring.workers:  # else a row cannot have done it
            why += " Where a row kills its process, the same command with --workers 1 finds it, and sets it aside"
        return Answer(chunk.index, Counts(), Meter(), why)


def score_on_ray(
    folder: Folder, plan: Plan, job: Job, left: Sequence[Chunk], cluster: Cluster
) -> Generator[Answer]:
    """Have chunks scored and committed by actors; gives an answer for each, as they come.

    Raises InputError or RunError as an actor met it, and RunError where the cluster gave up or a chunk did not arrive.
    """
    if name := unpacked_again(left):
        log.warning(
            "%s is one packed stream: each of its chunks is unpacked from the stream's start. Unpack it, or pack it in "
            "members (bgzip, pzstd) or as Parquet; --shard reads it once for each shard",
            name,
        )
    with _connected(cluster) as ray:
        left_out = set[int]()
        order = Order.of(job, plan, folder, digest(plan.fingerprint), cluster.cpus_per_actor)
        try:
            for row in _answers(ray, order, left, cluster):
                answer = Answer.read(row["answer"])
                for level, line in answer.log:
                    log.log(level, "%s", line)
                answer.refuse_error()
                left_out |= {answer.chunk} if answer.left_out else set()
                yield answer
        except ray.exceptions.RayTaskError:
            raise  # a fault of ours, with its traceback
        except ray.exceptions.RayError as error:
            raise RunError(
                f"the cluster failed ({type(error).__name__}: {_first_line(error)}); the same command goes on"
            ) from None
    folder.prepare()  # what actors that died had begun to write
    there = {*done(folder, plan, [chunk.index for chunk in left]).chunks, *left_out}
    if lost := [chunk.index for chunk in left if chunk.index not in there]:
        raise RunError(
            f"{folder.place}: chunk {lost[0]} was scored, but is not there; the same command goes on"
        )


def unpacked_again(chunks: Sequence[Chunk]) -> str | None:
    """Name a file of which many chunks stand in one gzip member or zstd frame, None where there is no such file."""
    within = Counter((chunk.file, chunk.group) for chunk in chunks if chunk.file.endswith((".gz", ".zst")))
    return next((file for (file, _), count in within.items() if count >= MANY), None)


def _answers(ray: Any, order: Order, left: Sequence[Chunk], cluster: Cluster) -> Iterator[dict[str, str]]:
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    rows = [{"chunk": json.dumps(asdict(chunk))} for chunk in left]
    # A block is what Ray schedules and tries again: a chunk each.
    chunks = ray.data.from_items(rows, override_num_blocks=len(rows))
    pool = ray.data.ActorPoolStrategy(
        min_size=1,
        max_size=min(cluster.actors or len(rows), len(rows)),
        initial_size=min(cluster.actors or 1, len(rows)),
        max_concurrent_calls_per_actor=TOGETHER,
        max_tasks_in_flight_per_actor=TOGETHER,
        enable_true_multi_threading=True,
    )
    answers = chunks.map_batches(
        Udf,
        fn_constructor_args=(order, _tally(ray)),
        batch_size=1,
        batch_format="numpy",
        compute=pool,
        num_cpus=cluster.cpus_per_actor,
        num_gpus=cluster.gpus_per_actor or None,
    )
    return iter(answers.iter_rows())


def _tally(ray: Any) -> Any:
    """Begin a tally on the driver's own node. Where memory is short Ray ends it too; it begins again, at nothing."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return (
        ray.remote(Tally)
        .options(num_cpus=0, max_restarts=TRIES, max_task_retries=TRIES, scheduling_strategy=here)
        .remote()
    )


@contextmanager
def _connected(cluster: Cluster) -> Iterator[Any]:
    """Join a cluster, or begin a Ray of this machine, and leave or end it; one that is joined already stays joined."""
    # Before it is imported: it tells its makers nothing, and the user no more than we do.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InputError(
            f"--cluster ray needs the ray extra: pip install 'scar-rank[ray]' ({error})"
        ) from None
    if ray.is_initialized():
        yield ray
        return
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it logs, it also raises
    _begin(ray, cluster)
    try:
        yield ray
    finally:
        ray.shutdown()


def _begin(ray: Any, cluster: Cluster) -> None:
    address = cluster.ray_address or os.environ.get("RAY_ADDRESS") or "local"
    own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    _reach(address)
    in_main = threading.current_thread() is threading.main_thread()
    ours = signal.getsignal(signal.SIGTERM)
    try:
        with hushed():
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **own)
    except (ConnectionError, ValueError) as error:
        raise InputError(
            f"--ray-address {address}: no cluster to be had there: {_first_line(error)}"
        ) from None
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, ours)  # Ray takes it, and ends the process without a word


def _reach(address: str) -> None:
    """Raise InputError where nobody answers at an address: Ray itself tries for minutes, and then aborts."""
    host, colon, port = address.rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"--ray-address {address}: no cluster to be had there: {error}") from None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "")

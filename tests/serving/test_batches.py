"""Batches: an engine that runs out of memory gets smaller ones, and not a score is lost or changed."""

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar import Record
from scar.errors import RunError
from scar.serving import batches
from scar.serving.batches import run_batches
from scar.serving.cross import Cross
from scar.serving.engines.engine import InFlight
from scar.serving.engines.memory import TokenBudget, is_out_of_memory
from scar.serving.engines.pytorch import Torch
from scar.serving.scorer import Scorer
from scar.settings import Scoring
from scar.tokens import TokenLists, length_batches
from tests.make import pool_rows

ONNX = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running MatMul node. Status "
    "Message: /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:376 void* onnxruntime::BFCArena::"
    "AllocateRawInternal(size_t, bool, Stream*) Failed to allocate memory for requested buffer of size 8388608000"
)
TOLD = [
    ONNX,
    "[ONNXRuntimeError] : 1 : FAIL : CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size);",
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: std::bad_alloc",
    "Non-zero status code returned while running Mul node. Status Message: bad allocation",
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 31.75 GiB",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9",
    "Exception from src/plugins/intel_cpu/src/cpu_memory.cpp:257: Failed to allocate 7663872811008 bytes of memory",
]


@pytest.mark.parametrize("text", TOLD)
def test_the_words_of_the_libraries_are_known(text):
    assert is_out_of_memory(RuntimeError(text))


def test_errors_of_memory_are_known_by_their_class():
    torch = pytest.importorskip("torch")
    assert is_out_of_memory(MemoryError()) and is_out_of_memory(torch.cuda.OutOfMemoryError(""))


@pytest.mark.parametrize(
    "text",
    ["INVALID_ARGUMENT: Unexpected input data type", "Got invalid dimensions for input", "", "stopped"],
)
def test_other_errors_are_not_of_memory(text):
    assert not is_out_of_memory(RuntimeError(text))


class Small:
    """An engine that has memory for so many padded tokens at a time, and gives each sequence's sum of ids."""

    name, precision = "small", "fp32"

    def __init__(self, room, threads=1, error=None):
        self.room, self.sizes = room, []
        self.error = error or RuntimeError(ONNX)
        self._in_flight = InFlight(threads)

    def run(self, outputs, feeds):
        ids, mask = feeds["input_ids"], feeds["attention_mask"]
        self.sizes.append(ids.size)
        if ids.size > self.room:
            raise self.error
        return [(ids * mask).sum(axis=1).astype(np.float32)]

    def stream(self, outputs, some):
        return self._in_flight.stream(lambda feeds: self.run(outputs, feeds), some)


def lists(lengths):
    return TokenLists.of(
        [np.arange(1, length + 1, dtype=np.int32) * (n + 1) for n, length in enumerate(lengths)]
    )


def sums(engine, tokens, budget, width=0):
    found = np.full(len(tokens), np.nan)
    seen = np.zeros(len(tokens), dtype=int)
    cut = length_batches(tokens.lengths, budget.tokens)
    for texts, (some,) in run_batches(engine, ["score"], tokens, cut, pad_id=0, budget=budget, width=width):
        found[texts] = some
        seen[texts] += 1
    assert (seen == 1).all()
    return found


def launching(room):
    """Make the torch engine over a device with little memory: it fails when a batch is started, not when fetched."""
    small = Small(room, error=RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."))

    def launch(outputs, feeds):
        found = small.run(outputs, feeds)
        return lambda: found

    engine = Torch(launch, "fp32", "sdpa", False)
    engine.sizes = small.sizes
    return engine


@given(st.lists(st.integers(1, 20), min_size=1, max_size=40), st.integers(20, 200), st.integers(1, 400))
def test_batches_that_fail_when_they_are_started_are_run_again_too(lengths, room, tokens):
    want = [sum(range(1, length + 1)) * (n + 1) for n, length in enumerate(lengths)]
    assert sums(launching(room), lists(lengths), TokenBudget(tokens)).tolist() == want


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=40),
    st.integers(20, 200),
    st.integers(1, 400),
    st.integers(1, 4),
)
def test_every_sequence_has_its_result_once_whatever_fits(lengths, room, tokens, threads):
    texts, budget, engine = lists(lengths), TokenBudget(tokens), Small(room, threads)
    want = [sum(range(1, length + 1)) * (n + 1) for n, length in enumerate(lengths)]
    assert sums(engine, texts, budget).tolist() == want
    if max(engine.sizes) <= room:
        assert budget.tokens == tokens
    else:
        assert room // 4 < budget.tokens <= tokens // 2


def test_the_budget_halves_once_for_each_failure_and_stays(caplog):
    texts, budget, engine = lists([10] * 64), TokenBudget(320), Small(100)
    with caplog.at_level(logging.WARNING, logger="scar"):
        sums(engine, texts, budget)
        assert budget.tokens == 80
        tried = [size for size in engine.sizes if size > 100]
        sums(engine, texts, budget)
    assert [size for size in engine.sizes if size > 100] == tried, "later batches are made to fit"
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2 and "at most 160 tokens from here on, not 320" in told[0] and "BFCArena" in told[0]


def test_of_two_threads_that_fail_at_once_one_halves():
    budget = TokenBudget(64)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: budget.halve(64, "full"), range(2)))
    assert budget.tokens == 32


def test_one_sequence_alone_that_does_not_fit_stops_with_the_flag(monkeypatch):
    monkeypatch.setattr(batches, "PAUSE", 0)
    with pytest.raises(RunError, match=r"one sequence of 50 tokens alone, --batch_tokens \d+ .*BFCArena"):
        sums(Small(49), lists([3, 50, 4]), TokenBudget(256))


def test_another_error_is_raised_as_it_is():
    with pytest.raises(RuntimeError, match="unexpected input"):
        sums(Small(10, error=RuntimeError("unexpected input")), lists([3, 50, 4]), TokenBudget(256))


def test_padding_to_a_width_counts():
    engine, budget = Small(100), TokenBudget(1000)
    assert len(sums(engine, lists([2] * 12), budget, width=40)) == 12
    assert set(engine.sizes) == {480, 240, 120, 40} and budget.tokens == 62


class Liar(Small):
    """An engine that gives more or fewer results than sequences."""

    def __init__(self, shape):
        super().__init__(10**9)
        self.shape = shape

    def run(self, outputs, feeds):
        return [np.zeros([{-1: len(feeds["input_ids"])}.get(n, n) for n in self.shape], dtype=np.float32)]


@pytest.mark.parametrize("shape", [(1,), (2,), (4,), (), (1, 3)])
def test_too_few_and_too_many_results_are_an_error(shape):
    with pytest.raises(RunError, match=r"results of shape .* for 3 sequences"):
        sums(Liar(shape), lists([5, 5, 5]), TokenBudget(100))


def test_several_scores_a_sequence_are_an_error(quality_bundle):
    scorer = Scorer.load(quality_bundle)
    rows = [Record.plain(row["instruction"], row["response"]) for row in pool_rows(3)]
    pairs = scorer.encode(rows).pairs
    with pytest.raises(RunError, match="the engine gave 6 scores for 3 sequences"):
        Cross(Liar((-1, 2)), 0, 4096).score(pairs)


class Tight:
    """A real engine in less memory: batches above so many tokens fail as ONNX Runtime does."""

    def __init__(self, engine, room):
        self.engine, self.room, self.failed = engine, room, 0
        self.name, self.precision = engine.name, engine.precision
        self._in_flight = InFlight(2)

    def run(self, outputs, feeds):
        if next(iter(feeds.values())).size > self.room:
            self.failed += 1
            raise RuntimeError(ONNX)
        return self.engine.run(outputs, feeds)

    def stream(self, outputs, some):
        return self._in_flight.stream(lambda feeds: self.run(outputs, feeds), some)


@pytest.mark.parametrize("name", ["bundle", "quality_bundle"])
def test_scores_are_those_of_enough_memory(name, request):
    folder = request.getfixturevalue(name)
    rows = pool_rows(60)
    want = Scorer.load(folder).score(rows)
    scorer = Scorer.load(folder, Scoring(batch_tokens=2048))
    parts = ("tower", "head") if name == "bundle" else ("model",)
    tight = {part: Tight(getattr(scorer.model, part), 100) for part in parts}
    for part, engine in tight.items():
        setattr(scorer.model, part, engine)
    np.testing.assert_allclose(scorer.score(rows), want, atol=1e-5)
    assert all(engine.failed for engine in tight.values()) and scorer.model.batch_tokens == 64


def test_an_engine_that_gives_no_results_for_some_batches_stops_the_run():
    class Short(Small):
        def stream(self, outputs, some):
            yield from list(super().stream(outputs, some))[:-1]

    each = [np.asarray([number]) for number in range(3)]
    with pytest.raises(RunError, match="no results for 1 batches"):
        list(run_batches(Short(100), ["score"], lists([1, 2, 3]), each, pad_id=0, budget=TokenBudget(100)))

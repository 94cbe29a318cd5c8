"""The gate: which differences pass, and on which rows they are looked for."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from scar.encoding import PairEncoder, TextEncoder, TextSettings
from scar.errors import InputError
from scar.records import Turn
from scar.serving.gates import (
    FEW,
    FP32_LIMIT,
    Reference,
    candidate_runs,
    compare,
    gate,
    hard_pairs,
    hard_texts,
    load_gate_rows,
    save_gate_rows,
)
from scar.serving.towers import Towers

REFERENCE = np.random.default_rng(0).normal(3, 2, 200).astype(np.float32)
SIGMA = float(REFERENCE.astype(np.float64).std())


@pytest.fixture(scope="module")
def encoder():
    """A word tokenizer with a token before and after each text; at most 16 tokens."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "word", "a", "list", "what", "is"]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PairEncoder(TextEncoder(tokenizer, 0), TextSettings(pad_id=0, max_tokens=16))


class SumOfIds:
    """A tower that adds up token ids and counts tokens; `error` is added where a batch is padded."""

    name, precision = "sums", "fp32"

    def __init__(self, error=0.0):
        self.error = error
        self.shapes = []

    def run(self, outputs, feeds):
        ids, mask = feeds["input_ids"], feeds["attention_mask"]
        self.shapes.append(ids.shape)
        wrong = self.error * (mask == 0).any(axis=1)
        return [
            ((ids * mask).sum(1) + wrong).astype(np.float32)[:, None],
            mask.sum(1).astype(np.float32)[:, None],
        ]

    def stream(self, outputs, batches):
        return (self.run(outputs, feeds) for feeds in batches)


class Difference:
    """A head: the response's sum less the instruction's."""

    name, precision = "sums", "fp32"

    def run(self, outputs, feeds):
        return [feeds["y_pooled"] - feeds["x_pooled"]]


def towers(error=0.0, tower=None):
    return Towers(tower or SumOfIds(error), Difference(), pad_id=0, batch_tokens=64)


def pairs_of(encoder, n):
    return encoder.encode(
        [((Turn("user", "what is"),), "word a " * (k % 7) + "list " * (k % 3 + 1)) for k in range(n)]
    )


def test_equal_scores_pass_without_a_difference():
    figures = compare(REFERENCE, [REFERENCE, REFERENCE[:10]], SIGMA)
    assert figures.passes_fp32
    assert (figures.rows, figures.max_difference, figures.rms) == (200, 0, 0)
    assert figures.spearman == pytest.approx(1)


@pytest.mark.parametrize("shift, passes", [(0.5, True), (2, False), (-2, False)])
def test_one_row_may_differ_by_no_more_than_the_limit(shift, passes):
    other = REFERENCE.astype(np.float64)
    other[77] += shift * FP32_LIMIT * SIGMA
    figures = compare(REFERENCE, [other], SIGMA)
    assert figures.passes_fp32 is passes
    assert figures.max_difference == pytest.approx(abs(shift) * FP32_LIMIT * SIGMA)
    assert figures.rms == pytest.approx(figures.max_difference / np.sqrt(200))


def test_the_limit_is_that_of_the_design():
    assert FP32_LIMIT == 1e-4


def test_a_difference_in_a_later_run_counts():
    assert not compare(REFERENCE, [REFERENCE, REFERENCE[:10] + 1], SIGMA).passes_fp32


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_fails(value):
    other = REFERENCE.copy()
    other[3] = value
    assert not compare(REFERENCE, [other], SIGMA).passes_fp32
    assert not compare(other, [REFERENCE], SIGMA).passes_fp32
    with np.errstate(invalid="ignore"):
        assert not compare(other, [other], SIGMA).passes_fp32


@pytest.mark.parametrize("sigma", [0.0, np.nan])
def test_a_constant_reference_passes_nothing(sigma):
    constant = np.ones(5, dtype=np.float32)
    assert not compare(constant, [constant], sigma).passes_fp32


def test_the_hard_texts_reach_the_limit_and_go_beyond_it(encoder):
    lengths = [len(encoder.text.encode([text], 10_000).ids) for text in hard_texts(encoder)]
    assert max(lengths) > 16
    texts = hard_texts(encoder)
    assert {"", " ", "a"} < set(texts)
    assert encoder.encode([((Turn("user", "a"),), text) for text in texts]).lengths.max() == 16 + 3


def test_every_hard_text_stands_on_both_sides(encoder):
    pairs = hard_pairs(encoder)
    texts = len(hard_texts(encoder))
    assert len(pairs.x) == 2 * texts
    assert len(set(pairs.x[:texts])) == texts and len(set(pairs.y[texts:])) == texts
    assert pairs.lengths.min() >= 4 and pairs.truncated.any()


def test_the_candidate_runs_in_batches_of_one_two_and_64_and_at_full_width(encoder):
    tower = SumOfIds()
    list(candidate_runs(towers(tower=tower), pairs_of(encoder, 200), 16))
    rows = {rows for rows, _ in tower.shapes}
    assert {1, 2} <= rows
    assert any(width == 16 for _, width in tower.shapes)
    assert len(tower.shapes) > FEW // 2


def test_the_same_graph_passes(encoder):
    record = gate("tower.onnx", "abc", Reference.of(towers(), pairs_of(encoder, 60), encoder), towers())
    assert (record["passed"], record["reason"], record["graph"], record["sha256"]) == (
        True,
        "",
        "tower.onnx",
        "abc",
    )
    assert record["real"]["max_difference"] == record["hard"]["max_difference"] == 0
    assert record["real"]["rows"] == 60


def test_a_graph_that_sees_its_padding_fails_with_a_reason(encoder):
    record = gate("t", "abc", Reference.of(towers(), pairs_of(encoder, 60), encoder), towers(0.01))
    assert not record["passed"]
    assert "scores differ by up to 0.01" in record["reason"]


def test_a_reference_without_a_finite_score_fails_with_a_reason(encoder):
    record = gate("t", "abc", Reference.of(towers(np.nan), pairs_of(encoder, 60), encoder), towers())
    assert (record["passed"], record["reason"]) == (False, "the reference gives scores that are not finite")


def test_a_reference_that_is_constant_fails_with_a_reason(encoder):
    pairs = encoder.encode([((Turn("user", "a"),), "list")] * 5)
    record = gate("t", "abc", Reference.of(towers(), pairs, encoder), towers())
    assert (record["passed"], record["reason"]) == (False, "the reference gives the same score for every row")


@pytest.mark.parametrize("most", [1, 7, 30, 100])
def test_gate_rows_come_back_as_the_same_pairs(encoder, tmp_path, most):
    pairs = pairs_of(encoder, 30)
    save_gate_rows(tmp_path / "gate_rows.npz", pairs, most)
    back = load_gate_rows(tmp_path / "gate_rows.npz")
    chosen = np.linspace(0, 29, min(most, 30)).round().astype(int)
    assert [ids(back, n) for n in range(len(back.x))] == [ids(pairs, n) for n in chosen]
    np.testing.assert_array_equal(towers().score(back), towers().score(pairs)[chosen])


def ids(pairs, number):
    """Give the token ids of both texts of a pair."""
    return [pairs.tokens.take(np.asarray([side[number]])).ids.tolist() for side in (pairs.x, pairs.y)]


def test_missing_gate_rows_name_the_remedy(tmp_path):
    with pytest.raises(InputError, match="gate_rows.npz: missing; give rows with --rows"):
        load_gate_rows(tmp_path / "gate_rows.npz")

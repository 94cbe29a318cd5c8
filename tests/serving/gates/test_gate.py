"""The gate: on which rows, and in which packings, a candidate is compared."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from scar.encoding import PairEncoder, Pairs, TextEncoder, TextSettings
from scar.errors import InputError
from scar.records import Turn
from scar.serving.gates import (
    Reference,
    candidate_runs,
    gate,
    hard_pairs,
    hard_texts,
    load_gate_rows,
    save_gate_rows,
)
from scar.serving.gates.gate import FEW
from scar.serving.towers import Towers
from scar.tokens import TokenLists


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

    name = "sums"

    def __init__(self, error=0.0, precision="fp32"):
        self.error = error
        self.precision = precision
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


@pytest.fixture(scope="module")
def many(encoder):
    """2,000 pairs, each response a text of its own."""
    answers = ["word " * (1 + k % 9) + "a " * (k % 5) for k in range(2000)]
    pairs = encoder.encode([((Turn("user", "what is"),), answer) for answer in answers])
    lists = [pairs.tokens.take(np.asarray([y])).ids + 7 * n for n, y in enumerate(pairs.y)]
    tokens = TokenLists.of([pairs.tokens.take(np.asarray([pairs.x[0]])).ids, *lists])
    texts = np.stack([np.zeros(2000, np.int64), np.arange(1, 2001)], axis=1)
    return Pairs(tokens, texts, np.zeros(2000, np.int64))


@pytest.mark.parametrize("precision", ["bf16", "fp16", "int8"])
def test_reduced_precision_is_judged_packed_as_in_a_run_and_tells_what_the_packing_does(
    encoder, many, precision
):
    reference = Reference.of(towers(), many, encoder, trained=True)
    sigma = float(np.std(reference.real_scores.astype(np.float64)))
    # Padding moves each text by 0.02 sigma, so a pair by up to 0.04, as one of them is taken off the other.
    record = gate("t", "abc", reference, towers(tower=SumOfIds(0.02 * sigma, precision)))
    assert record["passed"], record["reason"]
    assert record["precision"] == precision and record["real"]["rows"] == 2000
    assert record["batch_dependence"] == pytest.approx(0.04, rel=0.01)
    assert record["real"]["within"] == 1 and record["real"]["spearman"] >= 0.999
    in_fp32 = gate("t", "abc", reference, towers(tower=SumOfIds(0.02 * sigma)))
    assert not in_fp32["passed"] and not in_fp32.get("unverified")


def test_reduced_precision_needs_a_trained_ranker_and_two_thousand_rows(encoder, many):
    untrained = gate("t", "abc", Reference.of(towers(), many, encoder), towers(tower=SumOfIds(0, "bf16")))
    assert (untrained["passed"], untrained["unverified"]) == (False, True)
    assert "untrained" in untrained["reason"]
    few = many.take(np.arange(1999))
    tower = SumOfIds(0, "int8")
    short = gate("t", "abc", Reference.of(towers(), few, encoder, trained=True), towers(tower=tower))
    assert (short["passed"], short["unverified"]) == (False, True)
    assert "at least 2,000 rows, there are 1,999: give more with --rows" in short["reason"]
    assert tower.shapes == []


def test_a_hard_row_without_a_finite_score_fails_reduced_precision_too(encoder, many):
    class BreaksOnUnknown(SumOfIds):
        def run(self, outputs, feeds):
            pooled, form = super().run(outputs, feeds)
            return [np.where((feeds["input_ids"] == 1).any(1)[:, None], np.inf, pooled), form]

    reference = Reference.of(towers(), many, encoder, trained=True)
    record = gate("t", "abc", reference, towers(tower=BreaksOnUnknown(0, "bf16")))
    assert (record["passed"], record["reason"]) == (False, "it gives scores that are not finite")
    assert record["hard"]["max_difference"] is None and record["real"]["max_difference"] == 0


def test_a_score_that_is_not_finite_in_another_packing_fails_reduced_precision(encoder, many):
    class BreaksAlone(SumOfIds):
        def run(self, outputs, feeds):
            pooled, form = super().run(outputs, feeds)
            return [pooled * np.nan if len(pooled) == 1 else pooled, form]

    reference = Reference.of(towers(), many, encoder, trained=True)
    record = gate("t", "abc", reference, towers(tower=BreaksAlone(0, "bf16")))
    assert not record["passed"] and "not finite" in record["reason"]


def test_a_dynamic_graph_is_marked(encoder):
    reference = Reference.of(towers(), pairs_of(encoder, 60), encoder)
    marked = gate("tower.dynamic.onnx", "abc", reference, towers())
    assert marked["batch_dependent"] is True
    assert "batch_dependent" not in gate("tower.onnx", "abc", reference, towers())

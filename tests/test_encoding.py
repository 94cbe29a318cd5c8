"""Token ids are those of the reference tokenizer; batches hold every text and their budget."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from scar.encoding import CHARACTERS_A_TOKEN, PairEncoder, Template, TextEncoder, TextSettings
from scar.errors import InputError
from scar.records import Turn
from scar.tokens import TokenLists, length_batches, tight_batches
from tests.make import WORDS, sentence, tiny_tokenizer

PAD = 0


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    return folder, tiny_tokenizer(folder)


@pytest.fixture(scope="module")
def text(reference):
    return TextEncoder.from_file(reference[0] / "tokenizer.json", PAD)


class Spy:
    """A tokenizer that remembers the texts it was handed."""

    def __init__(self, path):
        self._tokenizer, self.seen = Tokenizer.from_file(str(path)), []

    def encode_batch_fast(self, texts, **options):
        self.seen += texts
        return self._tokenizer.encode_batch_fast(texts, **options)

    def __getattr__(self, name):
        return getattr(self._tokenizer, name)


@pytest.fixture
def spy(reference):
    return Spy(reference[0] / "tokenizer.json")


def ids(tokens):
    return [tokens.ids[a:b].tolist() for a, b in pairwise(tokens.offsets)]


some_text = st.one_of(
    st.text(max_size=30), st.lists(st.sampled_from([*WORDS, "[SEP]", "zebra"]), max_size=30).map(" ".join)
)


@settings(deadline=None)
@given(texts=st.lists(some_text, max_size=4), limit=st.integers(3, 24))
def test_ids_are_those_of_transformers(reference, text, texts, limit):
    expected = [reference[1](t, truncation=True, max_length=limit)["input_ids"] for t in texts]
    tokens = text.encode(texts, limit)
    assert ids(tokens) == expected
    assert len(tokens) == len(texts)
    assert tokens.lengths.tolist() == [len(e) for e in expected]


def test_the_cut_and_the_padding_of_the_file_do_not_reach_a_ranker(reference, text):
    own = Tokenizer.from_file(str(reference[0] / "tokenizer.json"))
    own.enable_truncation(16)
    own.enable_padding(length=16)
    assert len(own.encode("the").ids) == len(own.encode("the " * 40).ids) == 16
    assert TextEncoder(own, PAD).encode(["the", "the " * 40], 64).lengths.tolist() == [3, 42]


@pytest.mark.parametrize("room", [1, 5, 6])
def test_a_text_gives_way_where_its_cut_says(text, room):
    whole = text.encode([sentence(0, 30)], 512)
    bare = ids(whole)[0][1:-1]
    head, tail, middle = (
        kept[1:-1] for kept in ids(text.encode([sentence(0, 30)] * 3, room + 2, ["head", "tail", "middle"]))
    )
    assert head == bare[-room:]
    assert tail == bare[:room]
    assert middle == bare[: (room + 1) // 2] + bare[len(bare) - room // 2 :]


@pytest.mark.parametrize("where", ["head", "tail", "middle"])
def test_a_text_is_flagged_from_the_first_token_lost(text, where):
    tokens = text.encode(["the " * 6, "the " * 7], 8, [where] * 2)
    assert tokens.truncated.tolist() == [False, True]
    assert tokens.lengths.tolist() == [8, 8]


def test_a_limit_without_room_for_text_is_refused(text):
    with pytest.raises(InputError, match="2 tokens leave no room"):
        text.encode(["the"], 2)


def test_an_empty_text_is_its_special_tokens(text):
    assert ids(text.encode([""], 8)) == [[2, 3]]


def test_an_empty_text_without_special_tokens_is_one_pad():
    bare = Tokenizer(models.WordLevel({"a": 7}, unk_token="a"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    assert ids(TextEncoder(bare, PAD).encode(["", "a a"], 8)) == [[PAD], [7, 7]]


@pytest.mark.parametrize("where", ["head", "tail", "middle"])
def test_a_word_of_10_mb_costs_no_more_than_its_share_of_characters(spy, where):
    tokens = TextEncoder(spy, PAD).encode(["a" * 10_000_000], 16, [where])
    assert [len(seen) for seen in spy.seen] == [16 * CHARACTERS_A_TOKEN]
    assert tokens.truncated.tolist() == [True]


def test_characters_are_cut_on_the_side_that_gives_way(spy):
    most = 8 * CHARACTERS_A_TOKEN
    TextEncoder(spy, PAD).encode(
        ["a" * most + "b" * most] * 3 + ["c" * most], 8, ["head", "tail", "middle", "tail"]
    )
    assert spy.seen == ["b" * most, "a" * most, "a" * (most // 2) + "b" * (most // 2), "c" * most]


def lists(*lengths):
    return TokenLists.of([np.arange(1, n + 1, dtype=np.int32) + 10 * k for k, n in enumerate(lengths)])


def test_padding_stands_after_the_tokens_and_is_masked():
    padded, mask = lists(2, 4, 0, 1).padded(np.array([3, 0, 2]), pad_id=99)
    assert padded.tolist() == [[31, 99], [1, 2], [99, 99]]
    assert mask.tolist() == [[1, 0], [1, 1], [0, 0]]
    assert padded.dtype == mask.dtype == np.int64


def test_a_width_pads_further_but_never_cuts():
    assert lists(2, 1).padded(np.array([0, 1]), 99, width=4)[0].tolist() == [[1, 2, 99, 99], [11, 99, 99, 99]]
    assert lists(2, 1).padded(np.array([0, 1]), 99, width=1)[0].shape == (2, 2)


@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=6), data=st.data())
def test_taken_texts_keep_their_ids_and_flags(lengths, data):
    chosen = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=8))
    tokens = TokenLists(lists(*lengths).ids, lists(*lengths).offsets, np.arange(len(lengths)) % 2 == 0)
    taken = tokens.take(np.array(chosen, dtype=np.int64))
    assert ids(taken) == [ids(tokens)[number] for number in chosen]
    assert taken.truncated.tolist() == [number % 2 == 0 for number in chosen]


some_lengths = st.lists(st.integers(1, 40), max_size=30).map(lambda values: np.array(values, dtype=np.int64))
few_lengths = st.lists(st.integers(1, 40), max_size=8).map(lambda values: np.array(values, dtype=np.int64))


def cost(lengths, batches, overhead):
    return sum(int(lengths[batch].max()) * len(batch) + overhead for batch in batches)


@given(lengths=some_lengths, budget=st.integers(1, 120), overhead=st.integers(0, 30))
@pytest.mark.parametrize("tight", [False, True])
def test_batches_hold_every_text_once_and_their_budget(tight, lengths, budget, overhead):
    batches = tight_batches(lengths, budget, overhead) if tight else list(length_batches(lengths, budget))
    order = [int(number) for batch in batches for number in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert lengths[order].tolist() == sorted(lengths.tolist(), reverse=True)
    for batch in batches:
        assert len(batch) == 1 or lengths[batch].max() * len(batch) <= budget


@given(lengths=some_lengths, budget=st.integers(1, 120))
def test_a_length_batch_is_as_full_as_its_budget_allows(lengths, budget):
    batches = list(length_batches(lengths, budget))
    for batch in batches[:-1]:
        assert lengths[batch].max() * (len(batch) + 1) > budget


@given(lengths=some_lengths, budget=st.integers(1, 120), overhead=st.integers(0, 30))
def test_tight_batches_never_cost_more_than_length_batches(lengths, budget, overhead):
    loose = cost(lengths, length_batches(lengths, budget), overhead)
    assert cost(lengths, tight_batches(lengths, budget, overhead), overhead) <= loose


@settings(deadline=None)
@given(lengths=few_lengths, budget=st.integers(1, 120), overhead=st.integers(0, 30))
def test_tight_batches_are_the_best_of_all_cuts(lengths, budget, overhead):
    order = np.argsort(-lengths, kind="stable")
    costs = []
    for ends in product([False, True], repeat=max(0, len(order) - 1)):
        batches = (
            np.split(order, [number + 1 for number, end in enumerate(ends) if end]) if len(order) else []
        )
        if all(len(batch) == 1 or lengths[batch].max() * len(batch) <= budget for batch in batches):
            costs.append(cost(lengths, batches, overhead))
    assert cost(lengths, tight_batches(lengths, budget, overhead), overhead) == min(costs)


def test_equal_lengths_keep_their_order():
    assert [batch.tolist() for batch in length_batches(np.array([5, 5, 9, 5]), 10)] == [[2], [0, 1], [3]]


def test_a_single_turn_stands_bare():
    assert Template().render([Turn("user", "Ask.")]) == "Ask."


def test_a_lone_system_turn_is_marked():
    assert Template().render([Turn("system", "Be kind.")]) == "System: Be kind."


def test_several_turns_are_marked_and_joined_by_blank_lines_the_system_first():
    turns = [
        Turn("user", "1"),
        Turn("assistant", "2"),
        Turn("system", "Be kind."),
        Turn("tool", "3"),
        Turn("user", "4"),
    ]
    assert Template().render(turns) == "System: Be kind.\n\nUser: 1\n\nAssistant: 2\n\ntool: 3\n\nUser: 4"


def test_a_template_renders_with_its_own_marks():
    template = Template(user="<u>", assistant="<a>", system="<s>", separator="|")
    assert (
        template.render([Turn("user", "1"), Turn("assistant", "2"), Turn("system", "3")]) == "<s>3|<u>1|<a>2"
    )


def user(text):
    return (Turn("user", text),)


def test_each_distinct_text_is_tokenised_once(spy):
    encoder = PairEncoder(TextEncoder(spy, PAD), TextSettings(PAD))
    pairs = encoder.encode([(user("ask"), "one"), (user("ask"), "two"), (user("two"), "one")])
    assert sorted(spy.seen) == ["ask", "one", "two"]
    found = ids(pairs.tokens)
    assert [found[x] for x in pairs.x] == [
        ids(encoder.text.encode([t], 512))[0] for t in ("ask", "ask", "two")
    ]
    assert [found[y] for y in pairs.y] == [
        ids(encoder.text.encode([t], 512))[0] for t in ("one", "two", "one")
    ]


def test_a_dialogue_keeps_its_end_and_an_instruction_and_a_response_their_start(text):
    pairs = PairEncoder(text, TextSettings(PAD, max_tokens=8)).encode(
        [(user("the a " * 9), "of to " * 9), ((Turn("user", "the " * 9), Turn("assistant", "a " * 9)), "of")]
    )
    found, word = ids(pairs.tokens), {w: text.encode([w], 8).ids[1] for w in ("the", "a", "of", "to")}
    assert found[pairs.x[0]][1:-1] == [word["the"], word["a"]] * 3
    assert found[pairs.y[0]][1:-1] == [word["of"], word["to"]] * 3
    assert found[pairs.x[1]][1:-1] == [word["a"]] * 6
    assert pairs.truncated.tolist() == [True, True]
    assert pairs.lengths.tolist() == [16, 11]


def test_one_text_under_two_cuts_is_two_texts(text):
    dialogue = (Turn("user", "the " * 9), Turn("user", "a " * 9))
    rendered = Template().render(dialogue)
    pairs = PairEncoder(text, TextSettings(PAD, max_tokens=8)).encode(
        [(dialogue, "of"), (user(rendered), "of")]
    )
    assert len(pairs.tokens) == 3
    assert ids(pairs.tokens)[pairs.x[0]] != ids(pairs.tokens)[pairs.x[1]]


def test_no_pairs_are_no_texts(text):
    pairs = PairEncoder(text, TextSettings(PAD)).encode([])
    assert (len(pairs.tokens), len(pairs.x), len(pairs.lengths)) == (0, 0, 0)


def test_text_settings_are_read_from_a_ranker_json():
    template = {"user": "U", "assistant": "A", "system": "S", "separator": "|"}
    read = TextSettings.of(
        {"text": {"pad_id": 5, "max_tokens": 9, "template": template, "response": "middle"}}
    )
    assert read == TextSettings(5, 9, Template("U", "A", "S", "|"), response="middle")


@pytest.mark.parametrize("window", [1, 7, 10_000])
def test_texts_are_the_same_tokens_whatever_is_tokenised_together(encoder, monkeypatch, window):
    text = TextEncoder.from_file(encoder / "tokenizer.json", 0)
    pairs = PairEncoder(text, TextSettings(0, 12))
    rows = [
        ([Turn("user", f"what is {n % 4}")] * (1 + n % 3), f"the key {n % 5} " * (n % 7)) for n in range(40)
    ]
    whole = pairs.encode(rows)
    monkeypatch.setattr("scar.encoding.texts.WINDOW_CHARACTERS", window)
    parts = pairs.encode(rows)
    assert np.array_equal(whole.tokens.ids, parts.tokens.ids)
    assert np.array_equal(whole.tokens.offsets, parts.tokens.offsets)
    assert np.array_equal(whole.tokens.truncated, parts.tokens.truncated)
    assert (whole.x.tolist(), whole.y.tolist()) == (parts.x.tolist(), parts.y.tolist())
    asked = {pairs.settings.template.render(turns) for turns, _ in rows}
    assert len(whole.tokens) == len(asked) + len({response for _, response in rows})

"""Both texts in one sequence, and several rankers at once: ids are the reference tokenizer's, whoever else looks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from scar.encoding import PairEncoder, TextEncoder, TextSettings, encode_for
from scar.encoding.pairs import longest_first
from scar.errors import InputError
from scar.records import Turn
from tests.make import WORDS, tiny_tokenizer

PAD = 0


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    return folder, tiny_tokenizer(folder)


def text_of(folder):
    return TextEncoder.from_file(folder / "tokenizer.json", PAD)


def pair(x, y):
    return ((Turn("user", x),), y)


words = st.lists(st.sampled_from([*WORDS, "zebra", "你好", "[SEP]"]), max_size=24).map(" ".join)


@given(pairs=st.lists(st.tuples(words, words), min_size=1, max_size=5), limit=st.integers(8, 30))
def test_joint_ids_types_and_cuts_are_those_of_transformers(reference, pairs, limit):
    encoder = PairEncoder(text_of(reference[0]), TextSettings(PAD, limit, inputs="pair", token_types=True))
    found = encoder.encode([pair(x, y) for x, y in pairs])
    for number, (x, y) in enumerate(pairs):
        # As a batch: of a lone pair, transformers takes an empty second text for none.
        want = reference[1](
            [x], [y], truncation="longest_first", max_length=limit, return_token_type_ids=True
        )
        feeds = found.tokens.feeds(found.texts[number], PAD)
        assert feeds["input_ids"].tolist() == want["input_ids"]
        assert feeds["token_type_ids"].tolist() == want["token_type_ids"]
        (whole,) = reference[1]([x], [y])["input_ids"]
        assert found.truncated[number] == (len(whole) > limit)
        assert found.lengths[number] == len(want["input_ids"][0])


@given(first=st.integers(0, 40), second=st.integers(0, 40), room=st.integers(2, 40))
def test_the_longer_text_gives_way_until_both_are_equal(first, second, room):
    a, b = longest_first(first, second, room)
    assert a <= first and b <= second and a + b == min(room, first + second)
    if a < first and b < second:
        assert abs(a - b) <= 1
    elif a < first:
        assert a >= b - 1
    elif b < second:
        assert b >= a - 1


def test_two_marks_between_the_texts_and_no_types_are_robertas():
    tokenizer = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 2, "a": 5, "b": 6}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    encoder = PairEncoder(TextEncoder(tokenizer, 1), TextSettings(1, 16, inputs="pair"))
    tokens = encoder.encode([pair("a a", "b")]).tokens
    assert tokens.ids.tolist() == [0, 5, 5, 2, 2, 6, 2]
    assert set(tokens.feeds(np.array([0]), 1)) == {"input_ids", "attention_mask"}


def test_equal_pairs_are_one_sequence_and_one_text_of_a_pair_can_be_all_that_is_seen(reference):
    rows = [pair("the", "a"), pair("the", "of"), pair("the", "a")]
    text = text_of(reference[0])
    joint, asked, answered = (
        PairEncoder(text, TextSettings(PAD, 16, inputs=inputs)).encode(rows)
        for inputs in ("pair", "instruction", "response")
    )
    assert joint.texts.tolist() == [[0], [1], [0]] and len(joint.tokens) == 2
    assert asked.texts.tolist() == [[0], [0], [0]] and len(asked.tokens) == 1
    assert answered.texts.tolist() == [[0], [1], [0]]
    assert joint.response_tokens.tolist() == asked.response_tokens.tolist() == [1, 1, 1]


def test_the_tokens_of_a_response_are_counted_before_any_cut(reference):
    encoder = PairEncoder(text_of(reference[0]), TextSettings(PAD, 8, inputs="pair"))
    assert encoder.encode([pair("the", "a " * 50)]).response_tokens.tolist() == [50]


settings = st.builds(
    lambda limit, inputs, cut: TextSettings(PAD, limit, inputs=inputs, dialogue=cut, response=cut),
    st.sampled_from([8, 12, 30]),
    st.sampled_from(["each", "pair", "instruction", "response"]),
    st.sampled_from(["head", "tail", "middle"]),
)
turns = st.lists(words, min_size=1, max_size=3).map(lambda texts: tuple(Turn("user", t) for t in texts))


@given(
    settings=st.lists(settings, min_size=2, max_size=3), rows=st.lists(st.tuples(turns, words), max_size=6)
)
def test_every_ranker_sees_beside_others_what_it_sees_alone(reference, settings, rows):
    encoders = [PairEncoder(text_of(reference[0]), some) for some in settings]
    for encoder, found in zip(encoders, encode_for(encoders, rows), strict=True):
        alone = encoder.encode(rows)
        assert np.array_equal(found.tokens.ids, alone.tokens.ids)
        assert np.array_equal(found.tokens.offsets, alone.tokens.offsets)
        assert np.array_equal(found.texts, alone.texts)
        assert np.array_equal(found.truncated, alone.truncated)
        assert np.array_equal(found.response_tokens, alone.response_tokens)


def test_rankers_of_one_tokenizer_tokenise_each_text_once(reference, monkeypatch):
    seen = []
    bare = TextEncoder.bare

    def spied(self, texts):
        seen.extend(texts)
        return bare(self, texts)

    monkeypatch.setattr(TextEncoder, "bare", spied)
    encoders = [
        PairEncoder(text_of(reference[0]), TextSettings(PAD, limit, inputs=inputs))
        for limit, inputs in ((16, "each"), (30, "pair"))
    ]
    encode_for(encoders, [pair("the", "a"), pair("the", "of"), pair("in", "a")])
    assert sorted(seen) == ["a", "in", "of", "the"]


def test_a_limit_without_room_for_two_texts_is_refused(reference):
    with pytest.raises(InputError, match="4 tokens leave no room"):
        PairEncoder(text_of(reference[0]), TextSettings(PAD, 4, inputs="pair"))

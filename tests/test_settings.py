"""Wrong settings are refused at the border, by name and value."""

import pytest

from scar.errors import InputError
from scar.settings import STYLE_TRIPLETS, TAKEN_NAMES, Reading, Scoring, StyleSettings, from_flat

NAN = float("nan")


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, 0) for name in ("head_width", "epochs", "batch_size", "accumulate", "patience", "max_tokens")]
    + [("max_tokens", 7), ("lr", 0), ("lr", NAN), ("clip", -0.5)]
    + [
        (name, -1)
        for name in (
            "margin",
            "triplet_margin",
            "triplet_weight",
            "weight_decay",
            "freeze_layers",
            "batch_tokens",
            "seed",
        )
    ]
    + [
        (name, value)
        for name in ("warmup", "validation_share", "test_share", "dropout")
        for value in (-0.1, 1.0, NAN)
    ]
    + [
        ("name", ""),
        ("name", "a b"),
        ("name", "1st"),
        ("name", "a\n"),
        *(("name", taken) for taken in TAKEN_NAMES),
    ]
    + [("tiers", ("direct",)), ("tiers", ("direct", "direct"))],
)
def test_a_training_setting_out_of_range_is_named_with_its_value(name, value):
    with pytest.raises(InputError) as error:
        StyleSettings(**{name: value})
    assert name in str(error.value)
    assert str(list(value) if isinstance(value, tuple) else value).strip() in str(error.value)


@pytest.mark.parametrize("tiers", [("direct", "human"), ("direct", "human", "best")])
def test_a_triplet_of_other_tiers_is_named_with_its_value(tiers):
    with pytest.raises(InputError) as error:
        StyleSettings(triplets={"form": tiers})
    assert "triplets: form" in str(error.value)
    assert str(list(tiers)) in str(error.value)


def test_a_triplet_of_an_unknown_role_is_named():
    with pytest.raises(InputError, match="triplets: 'shape'"):
        StyleSettings(triplets={"shape": ("direct", "referenced", "human")})


def test_two_shares_that_leave_nothing_to_train_on_are_named_with_their_values():
    with pytest.raises(InputError, match="validation_share 0.5 and test_share 0.5"):
        StyleSettings(validation_share=0.5, test_share=0.5)


@pytest.mark.parametrize(
    "edge",
    [
        {"max_tokens": 8},
        {"patience": None},
        {"dropout": 0.0},
        {"warmup": 0},
        {"freeze_layers": 0},
        {"margin": 0},
    ],
)
def test_the_edge_of_a_range_is_allowed(edge):
    settings = StyleSettings(**edge)
    assert {name: getattr(settings, name) for name in edge} == edge


def test_triplets_are_those_of_the_paper_where_its_three_tiers_are_present():
    assert StyleSettings().triplet_roles == STYLE_TRIPLETS
    assert StyleSettings(tiers=("human", "extra", "direct", "referenced")).triplet_roles == STYLE_TRIPLETS
    assert StyleSettings(tiers=("good", "bad")).triplet_roles == {}


def test_given_triplets_take_the_place_of_the_defaults_and_none_at_all_is_off():
    mine = {"form": ("good", "fair", "bad")}
    assert StyleSettings(tiers=("good", "fair", "bad"), triplets=mine).triplet_roles == mine
    assert StyleSettings(triplets={}).triplet_roles == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_tokens", -1), ("chunk_rows", -1), ("threads", -1), ("workers", -1), ("stall", 0)],
)
def test_a_scoring_number_out_of_range_is_named_with_its_value(name, value):
    with pytest.raises(InputError, match=f"--{name} .*got {value}"):
        Scoring(**{name: value})


def test_a_column_carried_twice_is_named():
    with pytest.raises(InputError, match="--carry .*source,lang,source"):
        Scoring(carry=("source", "lang", "source"))


def test_the_fingerprint_tells_every_setting_but_who_does_the_work():
    assert Scoring(threads=1).fingerprint() == Scoring(threads=7).fingerprint()
    assert Scoring(workers=1).fingerprint() == Scoring(workers=2, stall=9).fingerprint()
    # What the choice of these led to stands in the plan beside each ranker.
    assert (
        Scoring(graph="fused", precision="fp32", engine="onnxruntime").fingerprint()
        == Scoring().fingerprint()
    )
    for other in [{"chunk_rows": 64}, {"carry": ("a",)}, {"aggregate": "min"}, {"device": "cuda"}]:
        assert Scoring(**other).fingerprint() != Scoring().fingerprint()


def test_a_column_map_is_read_once_with_its_spaces_off():
    assert Reading(columns=" instruction = prompt,response=a=b, ").column_map == {
        "instruction": "prompt",
        "response": "a=b",
    }
    assert Reading().column_map == {}


@pytest.mark.parametrize("columns", ["instruction", "instruction=", "=prompt", "a=b,c", "a=b,a=c"])
def test_a_column_map_that_cannot_be_read_is_shown_with_the_remedy(columns):
    with pytest.raises(InputError) as error:
        Reading(columns=columns)
    assert repr(columns) in str(error.value)
    assert "instruction=prompt" in str(error.value)


def test_flags_of_other_commands_are_left_alone():
    assert from_flat(Reading, {"strict": True, "out": "kept.jsonl"}) == Reading(strict=True)


@pytest.mark.parametrize("device", ["cuda:one", "cpu:1", "gpu", "", "cuda:1 "])
def test_a_device_is_spelled_in_one_way(device):
    with pytest.raises(InputError, match="--device"):
        Scoring(device=device)


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:12", "tensorrt"])
def test_devices(device):
    assert Scoring(device=device).device == device

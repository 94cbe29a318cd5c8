"""Published sequence classifiers: bundles with the logits of transformers, and what is not one is refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from scar import Record, Scorer
from scar.bundle import Bundle
from scar.cli import main
from scar.encoding import PairEncoder
from scar.training import classifiers
from scar.training.classifiers import LAYOUTS, Layout
from scar.training.cross import HeadShape
from scar.training.engine import torch_model
from scar.training.save import load_ranker
from tests.make import pool_rows, sentence, sentencepiece_tokenizer, tiny_classifier, write_jsonl

KINDS = ["bert", "roberta", "xlm-roberta", "electra", "modernbert", "deberta-v3", "deberta-v2", "deberta"]
PAIRS = [
    ("what is a list?", "a list is in order."),
    ("what is a list?", "whatever"),
    ("Größe, café", "你好，世界。 שלום мир"),
    ("what is " * 200, "a short answer."),
    ("a short question?", sentence(1, 300)),
    (sentence(2, 300), sentence(3, 290)),
    ("👩‍👩‍👧‍👦🇩🇪", "  the  list\n\tof values "),
]


def logits(checkpoint, pairs, limit):
    """Give the logits of transformers' own class, one pair at a time."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, attn_implementation="eager").eval()
    found = []
    for x, y in pairs:
        feeds = tokenizer([x], [y], truncation="longest_first", max_length=limit, return_tensors="pt")
        with torch.inference_mode():
            found.append(model(**feeds).logits.item())
    return np.array(found)


def ours(bundle, pairs, batch_tokens=1024, size=None):
    """Give the scores of a bundle in torch: packed, or `size` pairs a batch."""
    opened = Bundle.open(bundle)
    encoder = PairEncoder.of_bundle(opened)
    rows = encoder.encode((Record.plain(x, y).turns, y) for x, y in pairs)
    model = torch_model(load_ranker(opened), encoder.settings.pad_id, batch_tokens)
    if size is None:
        return model.score(rows)
    order = np.arange(len(rows))
    return model.score_in(rows, [order[n : n + size] for n in range(0, len(rows), size)])


def assert_near(scores, wanted):
    assert np.abs(scores - wanted).max() <= 1e-5 * np.maximum(1, np.abs(wanted)).min()
    assert np.std(wanted) > 1e-2, "logits that are all alike show nothing"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A DeBERTa as it is published: SentencePiece model, no tokenizer.json. Tests that change it copy it."""
    return tiny_classifier(tmp_path_factory.mktemp("classifier") / "checkpoint", "deberta-v3")


@pytest.fixture
def copy(checkpoint, tmp_path):
    return shutil.copytree(checkpoint, tmp_path / "copy")


@pytest.fixture(scope="module")
def imported(checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp("imported") / "bundle"
    assert main(["import", str(checkpoint), "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[] if k == "deberta-v3" else pytest.mark.slow) for k in KINDS]
)
def test_the_logits_are_those_of_transformers(kind, tmp_path):
    folder = tiny_classifier(tmp_path / "c", kind)
    assert main(["import", str(folder), "--out", str(tmp_path / "b")]) == 0
    limit = Bundle.open(tmp_path / "b").ranker["text"]["max_tokens"]
    wanted = logits(folder, PAIRS, limit)
    for size in (1, 2, None):
        assert_near(ours(tmp_path / "b", PAIRS, size=size), wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("modernbert", {"classifier_pooling": "mean", "classifier_bias": True, "norm_bias": True}),
        ("deberta-v3", {"pooler_hidden_act": "relu"}),
        ("electra", {"embedding_size": 16}),
    ],
)
def test_what_a_config_says_of_the_head_is_followed(kind, more, tmp_path):
    folder = tiny_classifier(tmp_path / "c", kind, **more)
    assert main(["import", str(folder), "--out", str(tmp_path / "b")]) == 0
    limit = Bundle.open(tmp_path / "b").ranker["text"]["max_tokens"]
    assert_near(ours(tmp_path / "b", PAIRS), logits(folder, PAIRS, limit))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["deberta-v3", "roberta", "bert", "electra", "modernbert"])
def test_an_imported_classifier_exports_and_scores_without_torch(kind, tmp_path):
    folder = tiny_classifier(tmp_path / "c", kind)
    assert main(["import", str(folder), "--out", str(tmp_path / "b")]) == 0
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(24))
    assert main(["export", str(tmp_path / "b"), "--rows", str(pool), "--graphs", "reference"]) == 0
    limit = Bundle.open(tmp_path / "b").ranker["text"]["max_tokens"]
    scorer, wanted = Scorer.load(tmp_path / "b"), logits(folder, PAIRS, limit)
    rows = [{"instruction": x, "response": y} for x, y in PAIRS]
    for part in (slice(None), slice(0, 1), slice(2, 4)):
        assert np.abs(scorer.score(rows[part]) - wanted[part]).max() <= 1e-5 * max(1, np.abs(wanted).max())


def test_the_bundle_says_what_it_is_and_where_it_came_from(imported, checkpoint):
    ranker = Bundle.open(imported).ranker
    assert (ranker["kind"], ranker["name"]) == ("quality", "quality")
    assert ranker["text"]["inputs"] == "pair" and ranker["text"]["max_tokens"] == 512
    assert ranker["head"]["pooling"] == "first_token" and ranker["head"]["activation"] == "gelu"
    assert ranker["trained_steps"] is None and ranker["calibration"] is None
    assert ranker["imported"]["name"] == "checkpoint" and ranker["imported"]["file"] == "model.safetensors"
    card = (imported / "README.md").read_text()
    assert "A quality ranker" in card and "imported by scar-rank" in card and "tiers" not in card


def test_a_sentencepiece_model_is_converted_once(imported, checkpoint):
    import sentencepiece

    assert not (checkpoint / "tokenizer.json").exists() and (imported / "tokenizer.json").is_file()
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(checkpoint / "spm.model"))
    encoder = PairEncoder.of_bundle(Bundle.open(imported))
    for text in ("what is a list?", "Größe, café", "你好 世界", sentence(5, 40)):
        assert encoder.text.bare([text])[0].tolist() == pieces.encode(text)


@pytest.mark.parametrize(("kind", "types"), [("bert", True), ("roberta", False)])
def test_token_types_are_given_where_the_encoder_has_them(kind, types, tmp_path):
    folder = tiny_classifier(tmp_path / "c", kind, length=64)
    assert main(["import", str(folder), "--out", str(tmp_path / "b"), "--name", "reward"]) == 0
    ranker = Bundle.open(tmp_path / "b").ranker
    assert ranker["text"]["token_types"] is types and ranker["name"] == "reward"
    assert ranker["text"]["max_tokens"] == (64 if kind == "bert" else 65)


def test_token_types_that_the_checkpoints_tokenizer_does_not_give_are_not_made_up(tmp_path):
    folder = tiny_classifier(tmp_path / "c", "bert")
    change(folder / "tokenizer_config.json", model_input_names=["input_ids", "attention_mask"])
    assert main(["import", str(folder), "--out", str(tmp_path / "b")]) == 0
    assert Bundle.open(tmp_path / "b").ranker["text"]["token_types"] is False


def test_pytorchs_own_format_gives_the_same_weights(copy, imported, tmp_path):
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    assert main(["import", str(copy), "--out", str(tmp_path / "b")]) == 0
    one, two = (load_file(path / "model.safetensors") for path in (imported, tmp_path / "b"))
    assert set(one) == set(two) and all(torch.equal(one[key], two[key]) for key in one)


def test_an_unused_pooler_that_older_versions_wrote_is_left_out(tmp_path):
    folder = tiny_classifier(tmp_path / "c", "roberta")
    weights = load_file(folder / "model.safetensors")
    unused = {"roberta.pooler.dense.weight": torch.ones(32, 32), "roberta.pooler.dense.bias": torch.ones(32)}
    save_file(weights | unused, folder / "model.safetensors", metadata={"format": "pt"})
    assert main(["import", str(folder), "--out", str(tmp_path / "b")]) == 0
    assert not any("pooler" in key for key in load_file(tmp_path / "b" / "model.safetensors"))


def test_a_config_without_labels_goes_by_the_weights(copy, tmp_path):
    change(copy / "config.json", id2label=None, label2id=None, architectures=None)
    assert main(["import", str(copy), "--out", str(tmp_path / "b")]) == 0


def change(path, **changes):
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))


def refused(capsys, folder, tmp_path, *more, code=2):
    """Import what cannot be imported; gives the one line that says why."""
    capsys.readouterr()
    assert main(["import", str(folder), "--out", str(tmp_path / "b"), *more]) == code
    assert not (tmp_path / "b").exists()
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1, shown
    return shown


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 0, "b": 1}}, "2 labels: a ranker gives one"),
        ({"architectures": ["DebertaV2Model"]}, "['DebertaV2Model']"),
        ({"architectures": ["DebertaV2ForTokenClassification"]}, "ForTokenClassification"),
        ({"model_type": "distilbert"}, "'distilbert' is known; known are bert, roberta"),
        ({"model_type": "nothing-like-it"}, "nothing-like-it"),
        ({"hidden_size": 64}, "of another shape"),
        ({"pooler_hidden_act": "wish"}, "wish"),
        ({"num_attention_heads": 0}, "modulo by zero"),
    ],
)
def test_a_config_that_is_not_of_a_known_classifier_of_one_logit_is_refused(
    changes, told, copy, tmp_path, capsys
):
    change(copy / "config.json", **changes)
    assert told in refused(capsys, copy, tmp_path)


def test_weights_of_two_logits_are_refused_whatever_the_config_says(copy, tmp_path, capsys):
    weights = load_file(copy / "model.safetensors")
    weights |= {"classifier.weight": torch.ones(2, 32), "classifier.bias": torch.ones(2)}
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert "classifier.weight (2, 32) for (1, 32)" in refused(capsys, copy, tmp_path)


def test_missing_and_unexpected_weights_are_listed_in_one_line_by_their_names_in_the_file(
    copy, tmp_path, capsys
):
    weights = load_file(copy / "model.safetensors")
    del weights["pooler.dense.bias"], weights["deberta.encoder.LayerNorm.bias"]
    weights |= {
        "deberta.junk": torch.ones(1),
        "lm_head.weight": torch.ones(1),
        "output.weight": torch.ones(1),
    }
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    shown = refused(capsys, copy, tmp_path)
    assert "2 missing: deberta.encoder.LayerNorm.bias, pooler.dense.bias" in shown
    assert "3 unexpected: deberta.junk, lm_head.weight, output.weight" in shown


def test_one_weight_under_two_names_is_refused(tmp_path, capsys):
    folder = tiny_classifier(tmp_path / "c", "roberta")
    weights = load_file(folder / "model.safetensors")
    old = {"roberta.embeddings.LayerNorm.gamma": weights["roberta.embeddings.LayerNorm.weight"].clone()}
    save_file(weights | old, folder / "model.safetensors", metadata={"format": "pt"})
    shown = refused(capsys, folder, tmp_path)
    assert "twice" in shown or "unexpected" in shown


def test_weights_that_are_no_numbers_are_refused(copy, tmp_path, capsys):
    weights = load_file(copy / "model.safetensors")
    save_file(weights | {"classifier.bias": torch.full((1,), float("nan"))}, copy / "model.safetensors")
    assert "classifier.bias holds numbers that are not finite" in refused(capsys, copy, tmp_path)


def test_a_pickle_of_more_than_tensors_is_refused(copy, tmp_path, capsys):
    (copy / "model.safetensors").unlink()
    torch.save({"x": pytest.raises}, copy / "pytorch_model.bin")
    assert "refused" in refused(capsys, copy, tmp_path)


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("config.json", "config.json"),
        ("model.safetensors", "no weights"),
        ("spm.model", "no tokenizer files"),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused(file, told, copy, tmp_path, capsys):
    (copy / file).unlink()
    assert told in refused(capsys, copy, tmp_path)


@pytest.mark.parametrize("index", ["model.safetensors.index.json", "pytorch_model.bin.index.json"])
def test_weights_in_several_files_are_refused_with_the_remedy(index, copy, tmp_path, capsys):
    (copy / "model.safetensors").rename(copy / "model-00001-of-00001.safetensors")
    (copy / index).write_text("{}")
    assert f"{index}: weights in several files" in refused(capsys, copy, tmp_path)


def test_a_tokenizer_that_cuts_at_the_head_is_refused(copy, tmp_path, capsys):
    change(copy / "tokenizer_config.json", truncation_side="left")
    assert "at their head" in refused(capsys, copy, tmp_path)


def test_a_classifier_has_its_own_encoder(checkpoint, tmp_path, capsys):
    assert "leave out --encoder" in refused(capsys, checkpoint, tmp_path, "--encoder", "org/name")
    assert "leave out --encoder" in refused(capsys, checkpoint, tmp_path, "--revision", "main")


def test_a_bundle_is_not_imported_again(imported, tmp_path, capsys):
    assert "a bundle already" in refused(capsys, imported, tmp_path)


def test_a_head_that_gives_other_logits_than_transformers_is_not_imported(
    checkpoint, tmp_path, capsys, monkeypatch
):
    right = LAYOUTS["deberta-v2"]
    wrong = Layout(right.encoder, right.layers, lambda config: HeadShape("first_token", "relu"))
    monkeypatch.setattr(classifiers, "LAYOUTS", {"deberta-v2": wrong})
    assert "logits differ from those of transformers" in refused(capsys, checkpoint, tmp_path, code=1)


def test_other_ids_than_those_of_transformers_are_not_imported(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "scar.encoding.pairs.longest_first", lambda first, second, room: (room // 3, room // 3)
    )
    assert "transformers gives other input_ids" in refused(capsys, checkpoint, tmp_path, code=1)


def test_names_of_weights_go_there_and_back():
    for layout in LAYOUTS.values():
        for key in (f"{layout.encoder}a.b", *(f"{name}.weight" for name in layout.layers.values())):
            mine = layout.ours(key)
            assert mine is not None and layout.theirs(mine) == key
        assert layout.ours("lm_head.weight") is None


def test_the_tiny_sentencepiece_tokenizer_has_the_special_tokens_of_deberta(tmp_path):
    tokenizer = sentencepiece_tokenizer(tmp_path)
    assert (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id) == (0, 1, 2)

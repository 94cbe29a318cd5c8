"""StyleRanker: SCAR's formula, independent of padding; overfits; the pooler is used only where it was trained."""

import pytest
import torch
from torch import nn

from scar.training import backbone, sources
from scar.training.backbone import embed
from scar.training.style.model import StyleRanker
from tests.make import tiny_encoder


@pytest.fixture
def ranker(encoder):
    torch.manual_seed(0)
    return StyleRanker(backbone.load(str(encoder)).model, 32, 16, "pooler").eval()


def test_the_score_is_scars_formula(ranker):
    x, y = torch.randint(5, 90, (3, 6)), torch.randint(5, 90, (3, 9))
    mask_x, mask_y = torch.ones_like(x), torch.ones_like(y)
    mask_y[1, 4:] = 0
    out_x = ranker.encoder(input_ids=x, attention_mask=mask_x)
    out_y = ranker.encoder(input_ids=y, attention_mask=mask_y)
    surprisal = ranker.relation(torch.cat([out_x.pooler_output, out_y.pooler_output], 1))
    # The original fills padding with -1e9.
    form = out_y.last_hidden_state.masked_fill(mask_y.unsqueeze(-1) == 0, -1e9).max(1).values
    want = ranker.output(torch.cat([surprisal, form], 1)).squeeze(1)
    tower_x, tower_y = ranker.tower(x, mask_x), ranker.tower(y, mask_y)
    torch.testing.assert_close(ranker(tower_x.pooled, tower_y.pooled, tower_y.form), want)


def test_padding_changes_nothing(ranker):
    ids = torch.randint(5, 90, (2, 7))
    wide = torch.cat([ids, torch.randint(5, 90, (2, 20))], 1)
    mask = torch.cat([torch.ones(2, 7), torch.zeros(2, 20)], 1).long()
    for short, padded in zip(ranker.tower(ids, torch.ones_like(ids)), ranker.tower(wide, mask), strict=True):
        torch.testing.assert_close(short, padded, atol=1e-5, rtol=0)


def test_a_batch_of_one_is_a_batch(ranker):
    vectors = torch.randn(1, 32)
    assert ranker(vectors, vectors, vectors).shape == (1,)


def test_embedding_first_gives_what_ids_give(ranker):
    ids = [torch.randint(5, 90, (2, 7)), torch.randint(5, 90, (1, 4))]
    for batch, embedded in zip(ids, embed(ranker.encoder, ids), strict=True):
        mask = torch.ones_like(batch)
        torch.testing.assert_close(ranker.tower(batch, mask).form, ranker.tower(batch, mask, embedded).form)


@pytest.mark.parametrize("kind", ["roberta", "deberta-v2", "modernbert"])
def test_embedding_first_holds_for_padded_texts_of_every_architecture(tmp_path, kind):
    model = backbone.load(str(tiny_encoder(tmp_path, kind))).model
    ranker = StyleRanker(model, 32, 16, "first_token").eval()
    ids = torch.randint(5, 90, (2, 9))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    ids[1, 5:] = model.config.pad_token_id
    (embedded,) = embed(ranker.encoder, [ids])
    for a, b in zip(ranker.tower(ids, mask), ranker.tower(ids, mask, embedded), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_a_pooler_without_trained_weights_is_not_used(tmp_path, encoder):
    from safetensors.torch import load_file, save_file

    assert backbone.load(str(encoder)).trained_pooler
    folder = tiny_encoder(tmp_path)
    weights = {name: w for name, w in load_file(folder / "model.safetensors").items() if "pooler" not in name}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    loaded = backbone.load(str(folder))
    assert not loaded.trained_pooler
    ranker = StyleRanker(loaded.model, 32, 16, "first_token")
    assert not any("pooler" in name for name in ranker.state_dict())


def test_a_checkpoint_that_lacks_weights_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    from scar.errors import InputError

    folder = tiny_encoder(tmp_path)
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if "layer.1" in name)
    del weights[lost]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="1 weights are missing"):
        backbone.load(str(folder))


@pytest.mark.parametrize("layers", [1, 2])
def test_frozen_layers_do_not_learn_and_the_others_do(encoder, layers):
    model = backbone.load(str(encoder)).model
    backbone.freeze(model, layers)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert any(name.startswith("embeddings") for name in frozen)
    for layer in range(2):
        inside = [name in frozen for name, _ in model.named_parameters() if f"layer.{layer}." in name]
        assert all(inside) == (layer < layers) and any(inside) == (layer < layers)


def test_more_frozen_layers_than_there_are_is_an_error(encoder):
    with pytest.raises(ValueError, match="2 layers"):
        backbone.freeze(backbone.load(str(encoder)).model, 3)


def test_dropout_is_set_everywhere(encoder):
    model = backbone.load(str(encoder), dropout=0.0).model
    assert {module.p for module in model.modules() if isinstance(module, nn.Dropout)} == {0.0}


def test_roberta_numbers_its_positions_from_the_padding_id(tmp_path):
    model = backbone.load(str(tiny_encoder(tmp_path, "roberta", length=64))).model
    longest = backbone.positions(model)
    ids = torch.full((1, longest), 7)
    assert model(input_ids=ids).last_hidden_state.shape[1] == longest
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, longest + 1), 7))


def test_a_hub_name_is_found_in_the_cache_with_its_revision(tmp_path, monkeypatch):
    repo = tmp_path / "models--me--tiny"
    snapshot = repo / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    tiny_encoder(snapshot)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("c" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    found = sources.find("me/tiny")
    assert (found.origin, found.revision) == ("hub cache", "c" * 40)

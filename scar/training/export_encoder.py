"""A published encoder -> a bundle that embeds: weights, tokenizer, and its graphs behind their gate."""

from itertools import permutations
from pathlib import Path

from scar.bundle import ENCODER, GATE_ROWS, RANKER, new_bundle
from scar.card import write_card
from scar.encoding import Pair
from scar.errors import InputError
from scar.files import write_json
from scar.records import Turn
from scar.serving.gates import save_gate_rows
from scar.settings import Reading, TrainSettings
from scar.training import backbone as backbones
from scar.training.bare import BareEncoder
from scar.training.export import ExportReport, export, wanted
from scar.training.fit import pair_encoder
from scar.training.save import GATE_PAIRS, SAMPLES, describe_model, versions, write_model

MAX_TOKENS = 512
"""Tokens of a text, unless the encoder takes fewer."""


def export_encoder(
    name: str,
    out: Path,
    *,
    revision: str | None = None,
    max_tokens: int = 0,
    graphs: str = "auto",
    rows: Path | None = None,
    reading: Reading | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Make the bundle `out` of an encoder, its graphs behind the same gate as any; `max_tokens` 0 is 512 or its limit.

    It is looked up as any encoder is: folder, demo package, hub cache, hub. Instruction and response are one text, a
    blank line between them; a longer one is cut at its tail, a dialogue at its head. Raises InputError where it is not
    to be had, GateError where its graph does not give its embeddings: `scar export OUT` tries that again.
    """
    wanted(graphs, ENCODER)
    if max_tokens < 0:
        raise InputError(f"--max_tokens must be at least 0, got {max_tokens}")
    backbone = backbones.load(name, revision)
    longest = max_tokens or min(MAX_TOKENS, backbones.positions(backbone.model) or MAX_TOKENS)
    settings = TrainSettings(encoder=name, revision=revision, name=ENCODER, max_tokens=longest)
    encoder = pair_encoder(backbone, settings, "text")
    bare = BareEncoder(backbone.model).eval()
    described = describe_model(settings, bare, backbone, encoder) | {"versions": versions()}
    with new_bundle(out, overwrite=overwrite) as folder:
        write_model(folder, bare, backbone, encoder)
        write_json(folder / RANKER, described)
        save_gate_rows(folder / GATE_ROWS, encoder.encode(_pairs()), GATE_PAIRS)
        write_card(folder, described, None)
    return export(out, graphs=graphs, rows=rows, reading=reading)


def _pairs() -> list[Pair]:
    """Give ordinary texts to compare on where no pool is given: no training has kept any."""
    return [((Turn("user", one),), other) for one, other in permutations(SAMPLES, 2)]

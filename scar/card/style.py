"""The model card of a bundle, generated from what its files say."""

import re
from pathlib import Path
from typing import Any

from scar.bundle import CARD
from scar.files import atomic

_CARD = """# {name}

A style ranker for instruction-tuning data, {made} (SCAR, arXiv 2406.10882). It gives a response to an
instruction one number, higher is better; numbers compare only within this ranker.

| | |
|---|---|
| encoder | {encoder} ({origin}), revision `{revision}` |
| tiers, best first | {tiers} |
| tokens of instruction and response | {tokens} each |
{facts}

{evaluation}
{use}
Licence and limits follow the encoder and the training data; the ranker knows the style of the language model that wrote
the direct and referenced tiers, and no other.
"""

_USE = """Score a pool: `scar export .`, then `scar score POOL --ranker . --out RUN`.
"""
_USE_IMPORTED = """Score a pool: `scar export . --rows POOL`, then `scar score POOL --ranker . --out RUN`.
"""
_USE_HUB = """## Use

With scar-rank, from this folder or the repository's name:

    scar import REPOSITORY --out ranker
    scar export ranker --rows POOL
    scar score POOL --ranker ranker --out RUN

The encoder alone, with its trained weights, is `transformers.AutoModel.from_pretrained(REPOSITORY)`, its tokenizer
`AutoTokenizer.from_pretrained(REPOSITORY)`. The networks on top of it are in `style_head.safetensors` (`relation`: the
surprisal of a response given its instruction, `output`: the score). A text is represented by {pooling}.
{graphs}"""
_POOLINGS = {
    "pooler": "the encoder's pooler output",
    "first_token": "the state of its first token; where the encoder's class has a pooler, zeros fill its place",
}
_FRONT = """---
license: other
library_name: scar-rank
pipeline_tag: text-classification
{base}tags:
- scar
- style-ranking
- data-selection
- instruction-tuning
---

"""


def write_card(folder: Path, ranker: dict[str, Any], evaluation: dict[str, Any] | None) -> None:
    """Write README.md of a bundle."""
    use = _USE_IMPORTED if "imported" in ranker else _USE
    with atomic(folder / CARD) as stream:
        stream.write(_card(ranker, evaluation, use).encode())


def hub_card(ranker: dict[str, Any], evaluation: dict[str, Any] | None, *, graphs: bool) -> str:
    """Give the card of a folder for the hub, with the hub's own fields before it."""
    encoder = ranker["encoder"]
    # The hub links a base model by its name there; a folder of somebody's has none.
    named = encoder["origin"] != "folder" and re.fullmatch(r"[\w.-]+/[\w.-]+", encoder["name"])
    base = f"base_model: {encoder['name']}\n" if named else ""
    onnx = "The ONNX graphs are beside them, with the figures of their gates in `gates.json`.\n"
    use = _USE_HUB.format(pooling=_POOLINGS[ranker["head"]["pooling"]], graphs=onnx if graphs else "")
    return _FRONT.format(base=base) + _card(ranker, evaluation, use)


def _card(ranker: dict[str, Any], evaluation: dict[str, Any] | None, use: str) -> str:
    return _CARD.format(
        name=ranker["name"],
        made="trained with scar-rank" if ranker.get("data") else "imported by scar-rank",
        encoder=ranker["encoder"]["name"],
        origin=ranker["encoder"]["origin"],
        revision=ranker["encoder"]["revision"],
        tiers=" > ".join(ranker.get("tiers", ())),
        tokens=ranker["text"]["max_tokens"],
        facts="\n".join(_facts(ranker)),
        evaluation=_evaluation(evaluation) if evaluation and "tiers" in evaluation else "Not evaluated.\n",
        use=use,
    )


def _facts(ranker: dict[str, Any]) -> list[str]:
    """Give the lines of the table that say how the ranker came about: trained, imported, or both in turn."""
    lines = []
    if ranker.get("data"):
        rows = ranker["data"]["rows"]
        parts = f"{rows['train']} (validation {rows['validation']}, test {rows['test']})"
        lines.append(f"| training rows | {parts}, {ranker['trained_steps']} steps, seed {ranker['seed']} |")
    if source := ranker.get("imported"):
        where = f"{source['name']} ({source['origin']}), revision `{source['revision']}`"
        lines.append(
            f"| imported from | {source['what']}: {where}, `{source['file']}` sha256 `{source['sha256']}` |"
        )
        if not ranker.get("data"):
            lines.append("| training rows and steps | not known |")
    return lines


def _evaluation(evaluation: dict[str, Any]) -> str:
    lines = [
        "Ordering accuracy on held-out rows, with bootstrap 95 % intervals:",
        "",
        "| | all pairs | length-matched |",
    ]
    lines.append("|---|---|---|")
    for name in ("ranker", "longest", "shortest", "random"):
        cells = [_cell(evaluation["overall"][part][name]) for part in ("all", "length_matched")]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines) + "\n"


def _cell(figure: dict[str, Any]) -> str:
    if not figure["n"]:
        return "no pairs"
    return f"{figure['accuracy']:.1%} ({figure['low']:.1%} to {figure['high']:.1%}, n = {figure['n']})"

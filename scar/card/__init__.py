"""The model card of a bundle, generated from what its files say."""

import re
from pathlib import Path
from typing import Any

from scar.bundle import CARD, ENCODER
from scar.card import encoder, judged, style
from scar.files import atomic

_FRONT = """---
license: other
library_name: {library}
pipeline_tag: text-classification
{base}tags:
- scar
- {tag}
- data-selection
- instruction-tuning
---

"""
_TAGS = {"style": "style-ranking", "quality": "reward-model", "unseen": "novelty-detection"}


def write_card(folder: Path, ranker: dict[str, Any], evaluation: dict[str, Any] | None) -> None:
    """Write README.md of a bundle."""
    with atomic(folder / CARD) as stream:
        stream.write(_card(ranker, evaluation).encode())


def _card(ranker: dict[str, Any], evaluation: dict[str, Any] | None) -> str:
    if ranker["kind"] == ENCODER:
        return encoder.card(ranker)
    card = style if ranker["kind"] == "style" else judged
    text: str = card.card(ranker, evaluation, card.USE_IMPORTED if "imported" in ranker else card.USE)
    return text


def hub_card(
    ranker: dict[str, Any], evaluation: dict[str, Any] | None, *, graphs: bool, classifier: bool
) -> str:
    """Give the card of a folder for the hub, with the hub's own fields before it.

    `graphs` says whether it holds some, `classifier` whether it is a classifier of transformers, head and all.
    """
    known = ranker["encoder"]
    # The hub links a base model by its name there; a folder of somebody's has none.
    named = known["origin"] != "folder" and re.fullmatch(r"[\w.-]+/[\w.-]+", known["name"])
    base = f"base_model: {known['name']}\n" if named else ""
    library = "transformers" if classifier else "scar-rank"
    front = _FRONT.format(base=base, library=library, tag=_TAGS[ranker["kind"]])
    if ranker["kind"] == "style":
        return front + style.card(ranker, evaluation, style.hub_use(ranker, graphs=graphs))
    return front + judged.card(
        ranker, evaluation, judged.hub_use(ranker, graphs=graphs, classifier=classifier)
    )

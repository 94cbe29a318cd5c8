"""The model card of a bundle, generated from what its files say."""

from pathlib import Path
from typing import Any

from scar.bundle import CARD
from scar.files import atomic

_CARD = """# {name}

A style ranker for instruction-tuning data, trained with scar-rank (SCAR, arXiv 2406.10882). It gives a response to an
instruction one number, higher is better; numbers compare only within this ranker.

| | |
|---|---|
| encoder | {encoder} ({origin}), revision `{revision}` |
| tiers, best first | {tiers} |
| tokens of instruction and response | {tokens} each |
| training rows | {train} (validation {validation}, test {test}), {steps} steps, seed {seed} |

{evaluation}
Score a pool: `scar export .`, then `scar score POOL --ranker . --out RUN`.

Licence and limits follow the encoder and the training data; the ranker knows the style of the language model that wrote
the direct and referenced tiers, and no other.
"""


def write_card(folder: Path, ranker: dict[str, Any], evaluation: dict[str, Any] | None) -> None:
    """Write README.md of a bundle."""
    rows = ranker["data"]["rows"]
    text = _CARD.format(
        name=ranker["name"],
        encoder=ranker["encoder"]["name"],
        origin=ranker["encoder"]["origin"],
        revision=ranker["encoder"]["revision"],
        tiers=" > ".join(ranker["tiers"]),
        tokens=ranker["text"]["max_tokens"],
        train=rows["train"],
        validation=rows["validation"],
        test=rows["test"],
        steps=ranker["trained_steps"],
        seed=ranker["seed"],
        evaluation=_evaluation(evaluation) if evaluation else "Not evaluated.\n",
    )
    with atomic(folder / CARD) as stream:
        stream.write(text.encode())


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

"""The card of a style ranker."""

from typing import Any

from scar.card.facts import CONTENDERS, GRAPHS, calibrated, cell, encoder, facts, made

_CARD = """# {name}

A style ranker for instruction-tuning data, {made} (SCAR, arXiv 2406.10882). It gives a response to an
instruction one number, higher is better; numbers compare only within this ranker.

| | |
|---|---|
| encoder | {encoder} |
| tiers, best first | {tiers} |
| tokens of instruction and response | {tokens} each |
{facts}

{evaluation}
{use}
Licence and limits follow the encoder and the training data; the ranker knows the style of the language model that wrote
the direct and referenced tiers, and no other.
"""

USE = """Score a pool: `scar export .`, then `scar score POOL --ranker . --out RUN`.
"""
USE_IMPORTED = """Score a pool: `scar export . --rows POOL`, then `scar score POOL --ranker . --out RUN`.
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


def hub_use(ranker: dict[str, Any], *, graphs: bool) -> str:
    """Say how a folder for the hub is used."""
    return _USE_HUB.format(pooling=_POOLINGS[ranker["head"]["pooling"]], graphs=GRAPHS if graphs else "")


def card(ranker: dict[str, Any], evaluation: dict[str, Any] | None, use: str) -> str:
    """Give the card; `use` is its last part but one."""
    return _CARD.format(
        name=ranker["name"],
        made=made(ranker),
        encoder=encoder(ranker),
        tiers=" > ".join(ranker["tiers"]),
        tokens=ranker["text"]["max_tokens"],
        facts="\n".join([*facts(ranker), *calibrated(ranker)]),
        evaluation=_evaluation(evaluation) if evaluation else "Not evaluated.\n",
        use=use,
    )


def _evaluation(evaluation: dict[str, Any]) -> str:
    lines = [
        "Ordering accuracy on held-out rows, with bootstrap 95 % intervals:",
        "",
        "| | all pairs | length-matched |",
    ]
    lines.append("|---|---|---|")
    for name in CONTENDERS:
        cells = [cell(evaluation["overall"][part][name]) for part in ("all", "length_matched")]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines) + "\n"

"""The card of an encoder."""

from typing import Any

from scar.card.facts import encoder

_CARD = """# {name}

An encoder, exported by scar-rank: it gives a text an embedding, and no score. Instruction and response are one text, a
blank line between them; its embedding is the mean of the encoder's last hidden states over the text's tokens.

| | |
|---|---|
| encoder | {encoder} |
| numbers of an embedding | {width} |
| tokens of a text | {tokens} |

Embed the rows of a pool while a ranker scores them: `scar score POOL --ranker B --embeddings . --out RUN`.

Licence and limits follow the encoder.
"""


def card(ranker: dict[str, Any]) -> str:
    """Give the card."""
    return _CARD.format(
        name=ranker["name"],
        encoder=encoder(ranker),
        width=ranker["encoder"]["hidden_size"],
        tokens=ranker["text"]["max_tokens"],
    )

"""The texts on which exports break. They are no typical text, so they stand beside the gate's real rows."""

from scar.encoding import PairEncoder, Pairs
from scar.records import Turn

_HARD = (
    "",
    " ",
    "a",
    "\U000f1234\U000f1235",
    "👩‍👩‍👧‍👦🇩🇪 emoji",
    "שלום, עולם! مرحبا بالعالم",
    "你好，世界。",
    "e\u0301 \u200b zero width",
    "line\r\none\x00two\ttab",
    "[CLS] <s> [SEP] </s> [MASK]",
)


def hard_texts(encoder: PairEncoder) -> list[str]:
    """Give the texts on which exports break: empty, unknown, emoji, right-to-left, longest, one longer."""
    longest = encoder.settings.max_tokens
    return [*_HARD, "word " * (longest - 1), "word " * (longest + 1), "x" * (8 * longest)]


def hard_pairs(encoder: PairEncoder) -> Pairs:
    """Pair each hard text with an ordinary one, on both sides."""
    ordinary, texts = "What is a list?", hard_texts(encoder)
    return encoder.encode(
        [((Turn("user", text),), ordinary) for text in texts]
        + [((Turn("user", ordinary),), text) for text in texts]
    )

"""What the cards of all kinds say alike: how a ranker came about."""

from typing import Any

GRAPHS = "The ONNX graphs are beside them, with the figures of their gates in `gates.json`.\n"
CONTENDERS = ("ranker", "longest", "shortest", "random")


def made(ranker: dict[str, Any]) -> str:
    """Say who made the weights."""
    return "trained with scar-rank" if ranker.get("data") else "imported by scar-rank"


def facts(ranker: dict[str, Any]) -> list[str]:
    """Give the lines of the table that say how the ranker came about: trained, imported, or both in turn."""
    lines = []
    if ranker.get("data"):
        rows = ranker["data"]["rows"]
        if "pool" in rows:
            parts = f"{rows['seen']} seen and {rows['pool']} candidates"
        else:
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


def cell(figure: dict[str, Any], measure: str = "accuracy") -> str:
    """Write a figure with its interval."""
    if not figure["n"]:
        return "no pairs"
    return f"{figure[measure]:.1%} ({figure['low']:.1%} to {figure['high']:.1%}, n = {figure['n']})"

"""What the cards of all kinds say alike: how a ranker came about."""

from pathlib import Path
from typing import Any

GRAPHS = "The ONNX graphs are beside them, with the figures of their gates in `gates.json`.\n"
CONTENDERS = ("ranker", "longest", "shortest", "random")


def encoder(ranker: dict[str, Any]) -> str:
    """Name the encoder and where it came from; of a folder its own name alone, no path of anybody's machine."""
    known = ranker["encoder"]
    name = Path(known["name"]).name if known["origin"] == "folder" else known["name"]
    return f"{name} ({known['origin']}), revision `{known['revision']}`"


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
        steps = ranker["trained_steps"]
        how = f"{steps} step{'' if steps == 1 else 's'}, seed {ranker['seed']}"
        lines.append(f"| training rows | {parts}, {how} |")
    if source := ranker.get("imported"):
        where = f"{source['name']} ({source['origin']}), revision `{source['revision']}`"
        lines.append(
            f"| imported from | {source['what']}: {where}, `{source['file']}` sha256 `{source['sha256']}` |"
        )
        if not ranker.get("data"):
            lines.append("| training rows and steps | not known |")
    return lines


def calibrated(ranker: dict[str, Any]) -> list[str]:
    """Give the lines of the table that say what stands beside the score."""
    lines, calibration = [], ranker.get("calibration") or {}
    if part := calibration.get("probability"):
        errors = _errors(part["facts"], part["facts"].get("measured_on"))
        lines.append(f"| probability beside the score | {part['method']}; {errors} |")
    elif known := ranker.get("temperature"):  # of an unseen ranker: it is in the weights
        lines.append(f"| p_seen beside the score | temperature; {_errors(known, known['fitted_on'])} |")
    if part := calibration.get("percentile"):
        rows = part["facts"].get("rows", len(part["scores"]))
        lines.append(f"| percentile beside the score | of {rows} reference rows |")
    return lines


def _errors(known: dict[str, Any], where: str | None) -> str:
    if "ece_after" not in known:
        return "error not measured"
    errors = f"expected calibration error {known['ece_before']:.3f} before, {known['ece_after']:.3f} after"
    return f"{errors} ({where})" if where else errors


def cell(figure: dict[str, Any], measure: str = "accuracy") -> str:
    """Write a figure with its interval."""
    if not figure["n"]:
        return "no pairs"
    return f"{figure[measure]:.1%} ({figure['low']:.1%} to {figure['high']:.1%}, n = {figure['n']})"

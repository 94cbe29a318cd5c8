"""`scar select` and `scar filter`: rules in, kept rows out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scar.cli.kept import print_correlations, print_kept
from scar.cli.parser import Parser, comma_list, from_flat
from scar.errors import InputError
from scar.selection.config import from_config
from scar.selection.fuse import By
from scar.selection.output import Output
from scar.selection.rules import (
    Above,
    Chain,
    ExactDuplicates,
    NearDuplicates,
    PerGroup,
    Quantile,
    Ratio,
    Rule,
    SemanticDuplicates,
    TokenBudget,
    TopK,
    stages_of,
)
from scar.settings import Reading

DUPLICATES: dict[str, type[Any]] = {
    "exact": ExactDuplicates,
    "near": NearDuplicates,
    "semantic": SemanticDuplicates,
}
CHOICES = ("top", "tokens", "above", "quantile", "ratio", "per_group", "rules")


def _add_rules(parser: Parser) -> None:
    parser.add_argument(
        "--out", type=str, required=True, help="kept rows: .jsonl, .jsonl.gz, .jsonl.zst or .parquet"
    )
    parser.add_argument("--top", type=int, help="keep the N best")
    parser.add_argument("--tokens", type=int, help="keep the best of at most so many tokens together")
    parser.add_argument("--above", type=float, help="keep scores of at least X")
    parser.add_argument("--quantile", type=float, help="keep scores of at least this quantile")
    parser.add_argument("--ratio", type=float, help="keep this share, the best, rounded up")
    parser.add_argument(
        "--per-group", type=str, help="COLUMN=N: keep the N best of each value of a carried column"
    )
    parser.add_argument(
        "--rules", type=Path, help="rules.yaml: several stages, top to bottom; can fuse several scores"
    )
    parser.add_argument(
        "--dedup",
        type=str,
        help="first keep one of all copies: exact, near, semantic, or several: exact,near",
    )
    parser.add_argument("--by", type=str, help="score to select by; default: the ranker's")
    parser.add_argument("--sort", action="store_true", help="write best first instead of in input order")
    parser.add_argument("--prefix", type=str, default="scar_", help="prefix of the added columns")
    parser.add_argument("--no-added-columns", action="store_true", help="write the original rows alone")


def _rule(values: dict[str, Any]) -> tuple[Rule, By | None]:
    """Make the rule that was asked for, copies out first, and the score to select by."""
    rule, by = _chosen(values)
    kinds = comma_list(values["dedup"] or "")
    if unknown := [kind for kind in kinds if kind not in DUPLICATES]:
        raise InputError(f"--dedup {unknown[0]}: there are: {', '.join(DUPLICATES)}")
    return (Chain((*(DUPLICATES[kind]() for kind in kinds), *stages_of(rule))) if kinds else rule), by


def _chosen(values: dict[str, Any]) -> tuple[Rule, By | None]:
    given = [name for name in CHOICES if values[name] is not None]
    if len(given) != 1:
        flags = ", ".join("--" + name.replace("_", "-") for name in CHOICES)
        raise InputError(f"give exactly one of {flags}; got {len(given)}")
    name, value, by = given[0], values[given[0]], values["by"]
    if name == "rules":
        rule, inside = _rules_file(value)
        return rule, inside if by is None else by
    if name == "per_group":
        column, _, count = value.rpartition("=")
        if not column or not count.isdecimal():
            raise InputError(f"--per-group {value!r}: write COLUMN=N, such as source=200")
        return PerGroup(column, int(count)), by
    rules: dict[str, type[Any]] = {
        "top": TopK,
        "tokens": TokenBudget,
        "above": Above,
        "quantile": Quantile,
        "ratio": Ratio,
    }
    return rules[name](value), by


def _rules_file(path: Path) -> tuple[Rule, By | None]:
    import yaml
    from jsonargparse import get_loader

    from scar.cli.recipes import read_yaml_text

    text = read_yaml_text(path)
    try:
        # Not yaml.safe_load: YAML 1.1 takes 1e-5 for a string.
        return from_config(get_loader("yaml")(text))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {error}") from None
    except (ValueError, OverflowError) as error:  # InputError among them
        raise InputError(f"{path}: {error}") from None


def _output(values: dict[str, Any]) -> Output:
    return Output(values["sort"], values["prefix"], not values["no_added_columns"], values["overwrite"])


def select(arguments: Sequence[str]) -> None:
    """Select from a run."""
    parser = Parser("select", "Keep rows of a scored pool by a rule; the kept file holds the original rows.")
    parser.add_argument("run", type=str, help="run folder made by `scar score`")
    _add_rules(parser)
    parser.add_argument("--pool", type=str, help="where the pool is now, if it was moved")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    values = parser.read(arguments)
    rule, by = _rule(values)
    from scar.selection.keep import select as select_rows

    report = select_rows(
        values["run"],
        rule,
        values["out"],
        by=by,
        pool=values["pool"],
        output=_output(values),
        tell=print_correlations,
    )
    print_kept(report)


def filter_(arguments: Sequence[str]) -> None:
    """Score and select in one step."""
    parser = Parser(
        "filter", "Score a pool and keep its best rows: `scar score` and `scar select` in one step."
    )
    from scar.cli.score import add_scoring, print_run, scoring_of

    add_scoring(parser)
    _add_rules(parser)
    parser.add_argument("--keep-scores", action="store_true", help="leave the run folder beside the output")
    values = parser.read(arguments)
    rule, by = _rule(values)
    from scar.cli.progress import watched
    from scar.serving.filter import filter_pool

    with watched() as watch:
        report = filter_pool(
            values["pool"],
            values["ranker"],
            values["out"],
            rule,
            by=by,
            reading=from_flat(Reading, values),
            scoring=scoring_of(values),
            output=_output(values),
            keep_scores=values["keep_scores"],
            watch=watch,
        )
    print_run(report.run)
    if report.kept.correlations:
        print_correlations(report.kept.correlations)
    print_kept(report.kept)

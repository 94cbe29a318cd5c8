"""Write the page: one file that loads nothing, and whose policy lets nothing be loaded."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import scar
from scar.errors import InputError
from scar.files import atomic, refuse_existing, refuse_input, require_folder
from scar.pools import Place
from scar.report.facts import Facts
from scar.report.gather import Gathered, gather
from scar.report.of_kept import of_kept
from scar.report.of_run import of_run
from scar.report.section import Section
from scar.report.shown import short, visible
from scar.report.svg.marks import Svg, tag
from scar.report.views.chosen import LONGEST, audit, duplicates, stages, warnings
from scar.report.views.compared import styles, twins
from scar.report.views.examples import asides, examples
from scar.report.views.groups import groups, on_map
from scar.report.views.headline import tiles
from scar.report.views.ranker import ranker
from scar.report.views.scores import length, scores
from scar.runs import open_folder


@dataclass(frozen=True)
class Written:
    """A report that was written."""

    out: Path
    bytes: int
    left_out: tuple[str, ...]
    """What it lacks, and how to get it."""


def report(
    place: str,
    out: str | Path,
    *,
    by: str | None = None,
    pool: Place | Sequence[Place] | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> Written:
    """Write the report of a run folder or a kept file to `out` (.html).

    Texts are read again from the pool, those of samples and examples alone. Raises InputError where `place` is
    neither, the output exists, or Jinja is not installed.
    """
    out = Path(out)
    _check(out, place, overwrite=overwrite)
    _environment()
    found = gather(facts_of(place, by, pool), seed)
    page = render(found).encode()
    with atomic(out) as stream:
        stream.write(page)
    return Written(out, len(page), tuple(found.left_out))


def _check(out: Path, place: str, *, overwrite: bool) -> None:
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{out}: a report is an .html file")
    require_folder(out, "reports")
    if out.is_dir():
        raise InputError(f"{out} is a folder; the report goes to a file")
    refuse_existing(out, overwrite=overwrite)
    refuse_input(out, place)


def facts_of(place: str, by: str | None = None, pool: Place | Sequence[Place] | None = None) -> Facts:
    """Open a kept file by the folder beside it, or a run folder."""
    if "://" in place or not Path(place).is_file():
        return of_run(open_folder(place), by, pool)
    if by is not None:
        raise InputError(f"--by {by}: what was kept has the score that it was kept by; --by is for a run")
    return of_kept(place, pool)


def sections(found: Gathered) -> list[Section]:
    """Put the parts in order, those that there are."""
    rankers = [ranker(found, each, number) for number, each in enumerate(found.rankers, start=1)]
    every = [make(found) for make in (stages, scores, length, groups, on_map, duplicates, styles, twins)]
    return [each for each in (*every, *rankers, audit(found)) if each is not None]


def render(found: Gathered) -> str:
    """Write the page as text; what comes from data is escaped wherever it stands."""
    style, script = _read("style.css"), _read("script.js")
    shown = examples(found)
    return str(
        _environment()
        .get_template("page.html")
        .render(
            facts=found.facts,
            policy=policy(style, script),
            style=Svg(style),
            script=Svg(script),
            tiles=tiles(found),
            sections=sections(found),
            examples=shown,
            asides=asides(found),
            warnings=warnings(found),
            left_out=found.left_out,
            rules=[short(stage.rule, LONGEST) for stage in found.facts.chosen.stages]
            if found.facts.chosen
            else [],
            version=scar.__version__,
        )
    )


def policy(style: str, script: str) -> str:
    """Give the content security policy: this style sheet and this script, and nothing from anywhere."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _read(name: str) -> str:
    return (resources("scar.report") / "page" / name).read_text(encoding="utf-8")


def prose(text: str) -> Svg:
    """Give a sentence in which `names` are set as code."""
    return Svg(
        "".join(
            tag("code", part) if n % 2 else escape(visible(part)) for n, part in enumerate(text.split("`"))
        )
    )


def _environment() -> Any:
    """Give the templates, every value escaped. InputError where Jinja is not installed."""
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError:
        raise InputError(
            "the report needs Jinja, which is not installed: pip install 'scar-rank[report]'"
        ) from None
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finally,
    )
    environment.filters["prose"] = prose
    return environment


def _finally(value: Any) -> Any:
    """Name what a page would not show, in whatever is written into it."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value

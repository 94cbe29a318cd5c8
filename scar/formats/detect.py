"""Tell a file's layout from its first rows, or say why that cannot be done, with a row and the remedy."""

from collections.abc import Mapping, Sequence

from scar.errors import InputError
from scar.formats.layouts import FIELDS, Layout, Row, candidates, known_fields, layout_of
from scar.formats.values import listed, shown


def detect(
    rows: Sequence[Row], wanted: str, columns: Mapping[str, str], file: str, lines: Sequence[int] = ()
) -> Layout:
    """Choose the layout of a file from its first readable rows; `lines` says where these stand.

    Raises InputError where nothing fits, where rows of two layouts stand side by side, and where the forced layout's
    columns are not there; the message shows a row and what to do.
    """
    _check_fields(wanted, columns)
    _check_columns(rows, columns, file)
    if wanted != "auto":
        return _prompted(_forced(rows, Layout(wanted, columns), file, lines), rows)
    return _prompted(_told(rows, wanted, columns, file, lines), rows)


def _prompted(layout: Layout, rows: Sequence[Row]) -> Layout:
    """Take `instruction` for the prompt of pairs that call it so, where no column is named `prompt`."""
    if layout.name != "preference" or "prompt" in layout.columns or any("prompt" in row for row in rows):
        return layout
    if not any("instruction" in row for row in rows):
        return layout
    return Layout(layout.name, {**layout.columns, "prompt": "instruction"})


def _told(
    rows: Sequence[Row], wanted: str, columns: Mapping[str, str], file: str, lines: Sequence[int]
) -> Layout:
    layouts = candidates(wanted, columns)
    # Columns of a row -> the layouts that have theirs among them: in most files all rows have the same.
    likely: dict[tuple[str, ...], list[Layout]] = {}
    found = []
    for number, row in enumerate(rows):
        if (names := tuple(row)) not in likely:
            likely[names] = [layout for layout in layouts if layout.has(row)]
        if layout := next((layout for layout in likely[names] if layout.fits(row)), None):
            found.append((number, layout))
    if not found:
        return _weakly(rows, layouts, file, lines)
    one, first = found[0]
    for odd, other in found:
        if other != first:
            raise InputError(
                f"{file}: rows of several layouts: {_place(one, lines)} is {first.name} {shown(rows[one])}, "
                f"{_place(odd, lines)} is {other.name} {shown(rows[odd])}; put each into a file of its own, "
                "or force one with --format (the rows of the other are then set aside)"
            )
    return first


def _weakly(rows: Sequence[Row], layouts: Sequence[Layout], file: str, lines: Sequence[int]) -> Layout:
    """Settle for the columns alone: every row then says for itself what it lacks."""
    if not rows:
        return next((layout for layout in layouts if layout.name == "plain"), layouts[0])
    for layout in layouts:
        if any(layout.has(row) for row in rows):
            return layout
    raise InputError(
        f"{file}: cannot tell the layout from the columns {_listed(rows)}; {_place(0, lines)}: {shown(rows[0])}; "
        f"map them with --columns instruction=NAME,response=NAME or force --format {'|'.join(FIELDS)}"
    )


def _forced(rows: Sequence[Row], layout: Layout, file: str, lines: Sequence[int]) -> Layout:
    present = {key for row in rows for key in row}
    missing = [name for name in FIELDS[layout.name] if layout.column(name) not in present]
    if rows and missing:
        other = layout_of(rows[0])
        likeness = f"it looks like {other.name}: leave --format auto" if other else "leave --format auto"
        raise InputError(
            f"{file}: --format {layout.name} needs the column {layout.column(missing[0])!r}; "
            f"there are: {_listed(rows)}; {_place(0, lines)}: {shown(rows[0])}; {likeness}, "
            f"or map it with --columns {missing[0]}=NAME"
        )
    return layout


def _check_fields(wanted: str, columns: Mapping[str, str]) -> None:
    if candidates(wanted, columns):
        return
    names = [wanted] if wanted != "auto" else list(FIELDS)
    known = {field for name in names for field in known_fields(name)}
    unknown = [name for name in columns if name not in known]
    if unknown:
        what = "this layout" if wanted != "auto" else "any layout"
        raise InputError(
            f"--columns {unknown[0]}=...: no such field; fields of {what}: {', '.join(sorted(known))}"
        )
    raise InputError(f"--columns {','.join(columns)}: no layout has all of these fields")


def _check_columns(rows: Sequence[Row], columns: Mapping[str, str], file: str) -> None:
    present = {key for row in rows for key in row}
    for name, column in columns.items():
        if rows and column not in present:
            raise InputError(
                f"{file}: no column {column!r} (asked for by --columns {name}={column}); there are: {_listed(rows)}"
            )


def _place(number: int, lines: Sequence[int]) -> str:
    return f"line {lines[number] if lines else number + 1}"


def _listed(rows: Sequence[Row]) -> str:
    return listed({key for row in rows for key in row})

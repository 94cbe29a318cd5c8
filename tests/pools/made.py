"""Pool files by hand, and their rows."""

import gzip

from scar.pools import find, rows_of

ROW = b'{"instruction": "Ask.", "response": "Answer."}'


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


def raws(path):
    return [(row.address.line, row.raw) for row in rows_of(find(path))]


def names(where):
    return [file.name for file in find(where)]

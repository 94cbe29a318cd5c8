"""Read files one after the other, and tell of each what came of it: run as a process, which one of them may end.

python -m tests.fuzz.reading FILE...
"""

import json
import sys

from scar.errors import InputError
from scar.pools import RowReader, cut, find, read_chunks, rows_of
from scar.settings import Reading


def told(path):
    """Give rows and set-aside rows of a file, or the error; raises what must not come out."""
    try:
        files = find(path)
        facts, chunks = cut(files, 7)
        planned = [(chunk.row, chunk.line, chunk.rows) for chunk in chunks]
        reader = RowReader(files, Reading())
        starts, items, rows, line = [], 0, 0, 0
        for row in rows_of(files):
            assert row.address.row == rows and row.address.line > line, (row.address, rows, line)
            starts.append((row.address.row, row.address.line))
            line, rows = row.address.line, rows + 1
            parsed = reader.parse(row).items
            assert parsed and all(item.address == row.address for item in parsed)
            items += len(parsed)
        assert rows == sum(fact.rows for fact in facts) == sum(count for _, _, count in planned)
        assert all(starts[row] == (row, line) for row, line, _ in planned)
        for chunk, own in read_chunks(files, chunks[:: max(1, len(chunks) // 3)]):
            there = [(row.address.row, row.address.line) for row in own]
            assert there == starts[chunk.row : chunk.row + chunk.rows]
        return {"rows": rows, "items": items}
    except InputError as error:
        assert "\n" not in str(error).strip()
        return {"refused": str(error)[-200:]}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        sys.stdout.write(json.dumps({"file": name, **told(name)}) + "\n")
        sys.stdout.flush()

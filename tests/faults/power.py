"""A disk that forgets what was not told to stay: POSIX at its word, as a power loss shows it.

What a process does to files is written down, call by call. `after` rebuilds the disk as a power loss after any of the
calls may leave it: a file's bytes are there once it was synced, its name once its folder was.
"""

import itertools
import json
import os
import random
import stat
from pathlib import Path


def record(root, log, forget=()):  # noqa: C901  one small function a call
    """Write down every call below `root` that changes files; `forget` names syncs to leave out: "file", "folder"."""
    calls, kept = [], Path(log + ".bytes")
    kept.mkdir(exist_ok=True)
    number = itertools.count()

    def note(*call):
        calls.append(call)
        with open(log, "a") as stream:
            stream.write(json.dumps(call) + "\n")

    def inside(path):
        path = os.path.abspath(os.fspath(path))
        return os.path.relpath(path, root) if path.startswith(root + os.sep) else None

    real = {name: getattr(os, name) for name in ("open", "fsync", "replace", "unlink", "mkdir", "rmdir")}

    def opened(path, flags, mode=0o777, **more):
        new = flags & os.O_CREAT and not os.path.lexists(path)
        handle = real["open"](path, flags, mode, **more)
        if new and inside(path):
            note("create", inside(path))
        return handle

    def fsync(handle):
        path = inside(os.readlink(f"/proc/self/fd/{handle}"))
        folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        if ("folder" if folder else "file") in forget:
            return
        real["fsync"](handle)
        if folder and os.readlink(f"/proc/self/fd/{handle}") == root:
            note("fsync folder", ".")
        elif path and folder:
            note("fsync folder", path)
        elif path:
            copy = kept / str(next(number))
            copy.write_bytes(Path(root, path).read_bytes())
            note("fsync", path, copy.name)

    def replace(old, new, **more):
        size = os.stat(old).st_size
        real["replace"](old, new, **more)
        if inside(new):
            note("rename", inside(old), inside(new), size)

    def simple(name):
        def done(path, *arguments, **more):
            real[name](path, *arguments, **more)
            if inside(path):
                note(name, inside(path))

        return done

    os.open, os.fsync, os.replace = opened, fsync, replace
    for name in ("unlink", "mkdir", "rmdir"):
        setattr(os, name, simple(name))


class Disk:
    """What is on the disk for good, and what only memory knows."""

    def __init__(self, kept):
        self._kept = kept
        self.inodes = {}  # number -> the bytes that were synced, or the size of bytes that were not
        self.names = {".": {}}  # folder -> name -> inode, or None for a folder: for good
        self.now = {".": {}}
        self.waiting = {".": []}  # folder -> changes of names that were not synced
        self._next = itertools.count()

    def do(self, call):
        """Take a call over."""
        getattr(self, "_" + call[0].replace(" ", "_"))(*call[1:])

    def _change(self, path, value):
        folder, name = os.path.split(path)
        folder = folder or "."
        change = (name, value)
        self.waiting[folder].append(change)
        self._apply(self.now[folder], change)

    def _apply(self, names, change):
        name, value = change
        if value == "gone":
            names.pop(name, None)
        else:
            names[name] = value

    def _inode(self, path):
        folder, name = os.path.split(path)
        return self.now[folder or "."][name]

    def _create(self, path):
        number = next(self._next)
        self.inodes[number] = 0
        self._change(path, number)

    def _fsync(self, path, copy):
        self.inodes[self._inode(path)] = (self._kept / copy).read_bytes()

    def _rename(self, old, new, size):
        number = self._inode(old)
        if isinstance(self.inodes[number], int):
            self.inodes[number] = size
        self._change(old, "gone")
        self._change(new, number)

    def _unlink(self, path):
        self._change(path, "gone")

    def _mkdir(self, path):
        self.names[path], self.now[path], self.waiting[path] = {}, {}, []
        self._change(path, None)

    def _rmdir(self, path):
        self._change(path, "gone")

    def _fsync_folder(self, path):
        for change in self.waiting[path]:
            self._apply(self.names[path], change)
        self.waiting[path] = []

    def left(self, keep, zeros):
        """Give path -> bytes, None for a folder; `keep(n)` says how many of n changes of a folder's names stayed.

        Bytes that were not synced are zeros of the right number, or none.
        """
        found = {}
        self._walk(".", "", keep, zeros, found)
        return found

    def _walk(self, folder, prefix, keep, zeros, found):
        names = dict(self.names[folder])
        for change in keep(self.waiting[folder]):
            self._apply(names, change)
        for name, number in names.items():
            path = prefix + name
            if number is None:
                found[path] = None
                self._walk(path, path + "/", keep, zeros, found)
            else:
                content = self.inodes[number]
                found[path] = content if isinstance(content, bytes) else b"\0" * (content if zeros else 0)


def calls_of(log):
    """Read what was written down."""
    return [json.loads(line) for line in Path(log).read_text().splitlines()]


def states(log, first=0):
    """Yield every different state of the disk that a power loss can leave, after that many calls or more, each once."""
    draw, seen = random.Random(0), set()
    ways = (
        lambda waiting: [],
        lambda waiting: waiting,
        lambda waiting: [c for c in waiting if draw.random() < 0.5],
    )
    calls = calls_of(log)
    disk = Disk(Path(str(log) + ".bytes"))
    for number in range(len(calls) + 1):
        for keep, zeros in itertools.product(ways, (False, True)) if number >= first else ():
            state = disk.left(keep, zeros)
            mark = hash(frozenset(state.items()))
            if mark not in seen:
                seen.add(mark)
                yield number, state
        if number < len(calls):
            disk.do(calls[number])


def rebuild(state, root):
    """Write a state down."""
    root.mkdir()
    for path, content in state.items():
        (root / path).mkdir(parents=True, exist_ok=True) if content is None else (root / path).write_bytes(
            content
        )

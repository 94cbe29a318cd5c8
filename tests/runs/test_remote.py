"""A run folder on a store: objects that are there whole or not at all, and one writer."""

import json
import time
import uuid
from contextlib import nullcontext

import pytest

from scar.errors import InputError, RunError
from scar.runs import LOCK, Listed, Shard, open_folder
from scar.runs import remote as remotes
from scar.runs.conditional import S3
from scar.runs.lease import Lease
from scar.runs.lock import Owner
from scar.runs.remote import open_remote
from tests.store import road

pytestmark = pytest.mark.slow


fsspec = pytest.importorskip("fsspec")


@pytest.fixture(params=["s3", "memory"])
def folder(request):
    """A run folder that is not there yet."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        return open_folder(f"s3://bucket/{uuid.uuid4().hex}/run")
    return open_folder(f"memory://{uuid.uuid4().hex}/run")


def again(folder):
    """Give the same folder as another process sees it."""
    return open_remote(folder.place)


def write(folder, name, content):
    with folder.writing(name) as stream:
        stream.write(content)


def read(folder, name):
    with folder.open(name) as stream:
        return stream.read()


def lease_of(folder, name=LOCK):
    return json.loads(read(folder, name))


def put_lease(folder, name=LOCK, **changed):
    """Leave a lease as another process of another machine would."""
    note = {
        "pid": 7,
        "host": "elsewhere",
        "since": "then",
        "shard": "",
        "token": "t",
        "seconds": 60,
        "ended": False,
        "times": 1,
    }
    write(folder, name, json.dumps({**note, **changed}).encode())


EXPIRED = {"seconds": -10}


def test_what_is_written_is_read_and_listed(folder):
    assert folder.names() is None and folder.listing("ledger") == {} and folder.listing() == {}
    folder.prepare()
    before = time.time()
    for name, content in {"plan.json": b"{}", "ledger/1.json": b"one", "ledger/2.json": b""}.items():
        write(folder, name, content)
    assert folder.names() == {"plan.json", "ledger"}
    assert set(folder.listing()) == {"plan.json"}
    listed = folder.listing("ledger")
    assert {name: each.bytes for name, each in listed.items()} == {"ledger/1.json": 3, "ledger/2.json": 0}
    assert all(isinstance(each, Listed) and abs(each.modified - before) < 60 for each in listed.values())
    assert read(folder, "ledger/1.json") == b"one"
    names = ["ledger/2.json", "ledger/9.json", "ledger/1.json"]
    assert list(folder.read_all(names)) == [b"", None, b"one"] and list(folder.read_all([])) == []
    with pytest.raises(FileNotFoundError):
        folder.open("ledger/9.json")


def test_many_are_read_in_their_order(folder, monkeypatch):
    monkeypatch.setattr(remotes, "AT_ONCE", 7)
    names = [f"ledger/{number}.json" for number in range(17)]
    for number, name in enumerate(names):
        write(folder, name, str(number).encode())
    assert list(folder.read_all(names[::-1])) == [str(number).encode() for number in range(17)][::-1]


def test_what_another_process_wrote_is_seen_at_once(folder):
    other = again(folder)
    assert other.names() is None
    write(folder, "plan.json", b"old")
    assert other.names() == {"plan.json"} and read(other, "plan.json") == b"old"
    write(folder, "plan.json", b"newer")
    assert other.listing()["plan.json"].bytes == 5 and read(other, "plan.json") == b"newer"


def test_a_block_that_fails_leaves_no_object(folder):
    with pytest.raises(ZeroDivisionError), folder.writing("plan.json") as stream:
        stream.write(b"half")
        raise ZeroDivisionError
    assert folder.names() is None


def test_what_is_removed_is_gone_and_what_was_not_there_is_no_error(folder):
    for name in ("plan.json", "ledger/1.json", "ledger/2.json"):
        write(folder, name, b"x")
    folder.remove(["plan.json", "ledger/2.json", "ledger/3.json", "chunks/1.parquet"])
    assert folder.names() == {"ledger"} and set(folder.listing("ledger")) == {"ledger/1.json"}
    folder.remove([])


def test_a_large_object_is_there_when_it_is_whole(folder, monkeypatch):
    monkeypatch.setattr(remotes, "ONE_PUT", 1 << 20)
    large = bytes(range(256)) * (12 << 12)
    write(folder, "set_aside.jsonl", large)
    assert read(folder, "set_aside.jsonl") == large


def test_an_upload_that_breaks_leaves_no_object_and_no_parts(s3, monkeypatch):
    folder = open_folder("s3://bucket/broken/run")
    monkeypatch.setattr(remotes, "ONE_PUT", 1 << 20)

    def broken(source, target, length):
        target.write(source.read(length) * 60)
        raise OSError("the temp file cannot be read")

    monkeypatch.setattr(remotes.shutil, "copyfileobj", broken)
    with pytest.raises(RunError, match="s3://bucket/broken/run/set_aside.jsonl: the store fails"):
        write(folder, "set_aside.jsonl", b"x" * (2 << 20))
    assert folder.names() is None
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="bucket")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("s3://key:hush@bucket/run", "holds a user name or password"),
        ("https://host/run?X-Amz-Signature=hush", "https://host/run: a run folder is a path or on a store"),
        ("http://host/run", "a run folder is a path or on a store"),
        ("file:///tmp/run", "a run folder is a path or on a store"),
        ("s3://bucket/run?versionId=hush", "has no query"),
        ("s3://bucket/run*", "has no query"),
        ("s3://[bucket/run", "not a URL"),
        ("foo://bucket/run", "not to be had"),
    ],
)
def test_a_url_that_can_be_no_run_is_refused_without_its_secret(url, told):
    with pytest.raises(InputError, match=told) as error:
        open_folder(url)
    assert "hush" not in str(error.value)


def test_the_writer_is_named_and_the_second_refused(folder):
    assert folder.owners() == []
    with folder.hold() as dead:
        me = Owner.this(None)
        assert dead is None and [owner.pid for owner in again(folder).owners()] == [me.pid]
        with pytest.raises(InputError, match=f"is being written by pid {me.pid} on {me.host}.*ends in 6. s"):
            again(folder).hold().__enter__()
        with pytest.raises(InputError, match=f"pid {me.pid}"):
            again(folder).hold(Shard(1, 2)).__enter__()
        assert lease_of(folder)["ended"] is False and not any("1-2" in name for name in live(folder))
        write(folder, "plan.json", b"{}")
    assert folder.owners() == []
    with again(folder).hold() as dead:
        assert dead is None


def live(folder):
    return [
        name for name in folder.listing() if name.startswith(LOCK) and not lease_of(folder, name)["ended"]
    ]


def test_shards_stand_beside_each_other_and_keep_the_whole_out(folder):
    with again(folder).hold(Shard(1, 2)), again(folder).hold(Shard(2, 2)):
        assert sorted(owner.shard for owner in folder.owners()) == ["1/2", "2/2"]
        with pytest.raises(InputError, match="shard 1/2"):
            folder.hold().__enter__()
        with pytest.raises(InputError, match="shard 2/2"):
            again(folder).hold(Shard(2, 2)).__enter__()
        with pytest.raises(InputError, match="shard 1/2"):
            again(folder).hold(Shard(1, 3)).__enter__()
        assert sorted(owner.shard for owner in folder.owners()) == ["1/2", "2/2"]
    with folder.hold():
        assert [name for name in folder.listing() if name.startswith(LOCK)] == [LOCK]


def test_a_lease_that_is_too_old_is_taken_over(folder, caplog):
    put_lease(folder, **EXPIRED)
    assert folder.owners() == []
    with folder.hold() as dead:
        assert (dead.pid, dead.host) == (7, "elsewhere")
        assert [owner.pid for owner in folder.owners()] == [Owner.this(None).pid]
    assert "pid 7 on elsewhere, since then, did not end well; taken over" in caplog.text
    put_lease(folder)
    with pytest.raises(InputError, match="pid 7 on elsewhere"):
        folder.hold().__enter__()


def test_a_damaged_lease_is_free(folder):
    write(folder, LOCK, b"rubbish")
    assert folder.owners() == []
    with folder.hold() as dead:
        assert dead is None


def test_the_dead_cannot_wake_beside_those_that_came_after(folder, monkeypatch):
    """A lease that expired while its owner slept is ended by whoever comes, also where that takes another one."""
    monkeypatch.setattr(Lease, "kept", lambda self: nullcontext())  # a process that is stopped renews nothing
    slept = remotes.Remote(folder.place, folder._system, folder._root, seconds=-10)
    for first, second in ((None, Shard(1, 2)), (Shard(1, 2), None)):
        with slept.hold(first):
            write(slept, "plan.json", b"mine")
            with again(folder).hold(second), pytest.raises(RunError, match="lost its lease"):
                write(slept, "plan.json", b"theirs")
        assert read(folder, "plan.json") == b"mine"


def test_a_lease_is_written_again_while_it_is_held(folder):
    held = remotes.Remote(folder.place, folder._system, folder._root, seconds=0.4)
    with held.hold():
        first = held._lease._mark
        deadline = time.monotonic() + 5
        while held._lease._mark == first:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        write(held, "plan.json", b"{}")


def test_a_lease_that_was_written_again_since_it_was_looked_at_is_not_taken(folder, monkeypatch):
    monkeypatch.setattr(Lease, "kept", lambda self: nullcontext())
    held = remotes.Remote(folder.place, folder._system, folder._root, seconds=-10)
    with held.hold():
        seen = held._lease.store.read(held._lease.path)
        held._lease.renew()
        assert held._lease.store.put(held._lease.path, b"mine", seen.mark) is None


@pytest.mark.parametrize("how", ["taken", "removed"])
def test_who_lost_the_lease_writes_and_removes_nothing_more(folder, how):
    held = remotes.Remote(folder.place, folder._system, folder._root, seconds=0.2)
    with held.hold():
        write(held, "plan.json", b"{}")
        if how == "taken":
            put_lease(again(folder), token="another")
        else:
            again(folder).remove([LOCK])
        time.sleep(0.3)
        for act in (lambda: write(held, "run.json", b"{}"), lambda: held.remove(["plan.json"])):
            with pytest.raises(RunError, match="lost its lease of the run, it (is pid 7|was removed)"):
                act()
    assert "plan.json" in folder.names() and "run.json" not in folder.names()
    if how == "taken":
        assert lease_of(folder)["token"] == "another" and not lease_of(folder)["ended"]


def test_a_put_whose_answer_was_lost_is_known_as_ones_own(s3, monkeypatch):
    """The store has written it, the client tries again and is refused: by itself."""
    real = S3.put

    def deaf(self, path, content, mark):
        real(self, path, content, mark)
        return real(self, path, content, mark)

    folder = open_folder("s3://bucket/deaf/run")
    monkeypatch.setattr(S3, "put", deaf)
    with folder.hold():
        monkeypatch.setattr(S3, "put", real)
        folder._lease.renew()
        write(folder, "plan.json", b"{}")
        assert [owner.pid for owner in folder.owners()] == [Owner.this(None).pid]


def test_a_lease_is_ended_although_the_answer_to_its_last_renewal_was_lost(folder, monkeypatch):
    with folder.hold():
        store = type(folder._lease.store)
        real = store.put

        def cut(self, path, content, mark):
            real(self, path, content, mark)
            raise ConnectionResetError

        with monkeypatch.context() as patch, pytest.raises(ConnectionResetError):
            patch.setattr(store, "put", cut)
            folder._lease.renew()
    assert lease_of(folder)["ended"] and folder.owners() == []


def test_a_store_that_ignores_the_conditions_is_refused(s3, monkeypatch):
    real = S3.put

    def ignoring(self, path, content, mark):
        seen = self.read(path)
        return real(self, path, content, seen and seen.mark)

    monkeypatch.setattr(S3, "put", ignoring)
    with pytest.raises(InputError, match="s3://bucket/ignoring/run: this store knows no conditional PUT"):
        open_folder("s3://bucket/ignoring/run").hold().__enter__()


def test_a_store_without_conditions_that_are_known_is_refused():
    class Other:
        protocol = ("gs", "gcs")

    with pytest.raises(InputError, match="gs:// is not known to: choose s3:// or a path"):
        remotes.Remote("gs://bucket/run", Other(), "bucket/run").hold().__enter__()


def test_a_bucket_that_is_not_there_is_named(s3):
    folder = open_folder("s3://no-such-bucket/run")
    assert folder.names() is None
    with pytest.raises(InputError, match="s3://no-such-bucket/run/.*: no such bucket"):
        folder.hold().__enter__()


@pytest.fixture
def through(s3, monkeypatch):
    """Open a folder on the other end of a road with holes."""
    import s3fs

    opened = []

    def open_it(holes):
        opened.append(road(s3, holes))
        address, passed = opened[-1].__enter__()
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        s3fs.S3FileSystem.clear_instance_cache()
        return open_folder(f"s3://bucket/{uuid.uuid4().hex}"), passed

    yield open_it
    for each in opened:
        each.__exit__(None, None, None)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("hole", [503, 500, 429, None])
def test_what_fails_for_a_moment_is_tried_again(through, hole):
    folder, passed = through([hole])
    write(folder, "plan.json", b"{}")
    assert [method for method, _ in passed] == ["PUT"] and read(folder, "plan.json") == b"{}"


def test_a_chunk_is_its_puts_and_its_entry_is_one_more(through):
    import pyarrow as pa

    from scar.serving.ledger import Counts, commit

    folder, passed = through([])
    commit(folder, 0, pa.table({"row": [0]}), [], Counts(rows=1, records=1, scored=1), "f")
    root = folder.place.removeprefix("s3:/")
    assert [(method, path.partition("?")[0]) for method, path in passed] == [
        ("PUT", f"{root}/chunks/00000000.parquet"),
        ("PUT", f"{root}/set_aside/00000000.jsonl"),
        ("PUT", f"{root}/ledger/00000000.json"),
    ]


def test_a_store_that_says_no_is_asked_once(through):
    folder, passed = through([403, 403, 403])
    with pytest.raises(InputError, match=f"{folder.place}/plan.json: the store refuses"):
        write(folder, "plan.json", b"{}")
    assert passed == []


def test_a_store_that_fails_for_long_stops_the_run_in_one_line(through, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    folder, _ = through([503] * 9)
    with pytest.raises(
        RunError, match=f"{folder.place}/plan.json: the store fails .*the same command goes on"
    ):
        write(folder, "plan.json", b"{}")

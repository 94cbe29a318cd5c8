"""What a run tells: one line for the user's mistakes, JSON for machines, a summary that is run.json's."""

import json
import signal

import pytest

from scar.runs import RUN
from tests.faults.pools import Gate, entries, wait_for


def lines(done):
    """Every line of standard error, as JSON."""
    return [json.loads(line) for line in done.err.splitlines()]


def test_machines_are_told_of_start_chunks_and_the_end(job, tmp_path):
    run = tmp_path / "run"
    done = job.run(run, "--log-json")
    told = lines(done)
    assert done.code == 0
    assert [line["event"] for line in told] == ["start", *["chunk"] * 10, "summary"]
    assert told[0]["rows"] == 50 and told[0]["rows_before"] == 0
    assert [line["rows"] for line in told[1:-1]] == list(range(5, 51, 5))
    said = json.loads((run / RUN).read_bytes())
    said.pop("checksum")
    summary = {
        name: value
        for name, value in told[-1].items()
        if name not in ("level", "message", "event", "run", "already")
    }
    assert summary == said and told[-1]["already"] is False
    counts = {name: said[name] for name in ("rows", "records", "scored", "set_aside", "truncated", "tokens")}
    assert {name: told[-2][name] for name in counts} == counts
    assert said["rows"] == 50 and said["records"] == said["scored"] + sum(said["set_aside"].values())


def test_people_are_told_what_run_json_says(job, tmp_path):
    done = job.run(tmp_path / "run")
    said = json.loads((tmp_path / "run" / RUN).read_bytes())
    assert f"read {said['rows']} rows, {said['records']} records: {said['scored']} scored" in done.out
    for reason, number in said["set_aside"].items():
        assert f"  {number} {reason}\n" in done.out
    assert f"{said['rows_per_second']:,.1f} rows/s" in done.out and done.err == ""


def test_a_mistake_of_the_user_is_one_line(job, tmp_path):
    for more, code in ((("--engine", "steam"), 2), (("--no-such-flag",), 2), (("--carry", "nothing"), 2)):
        plain = job.run(tmp_path / "run", *more)
        assert plain.code == code and plain.err.count("\n") == 1 and plain.err.startswith("scar: error: ")
        told = lines(job.run(tmp_path / "run", *more, "--log-json"))
        assert [(line["level"], line["exit"]) for line in told] == [("error", 2)]
        assert f"scar: error: {told[0]['message']}\n" == plain.err
    told = lines(job.parent.run("no-such-command", "--log-json"))
    assert told[0]["exit"] == 2


def broken():
    """Make a defect of ours."""
    from scar.serving import session

    def commit(*_, **__):
        raise RuntimeError("a defect,\nof two lines")

    session.commit = commit


def test_a_defect_of_ours_has_a_traceback_and_exits_1(job, tmp_path):
    how = {"before": "tests.faults.test_told:broken"}
    plain = job.run(tmp_path / "run", **how)
    assert plain.code == 1 and plain.err.startswith("Traceback") and "RuntimeError: a defect" in plain.err
    told = lines(job.run(tmp_path / "run", "--log-json", **how))
    assert told[-1]["exit"] == 1 and "RuntimeError: a defect,\nof two lines" in told[-1]["traceback"]
    assert entries(tmp_path / "run") == 0


def warn():
    """Let a library warn, as they do."""
    import logging
    import warnings

    from scar.serving import session

    real = session.commit

    def commit(*arguments):
        warnings.warn("a library's\nadvice", stacklevel=1)
        logging.getLogger("library").warning("of %s", "a library")
        return real(*arguments)

    session.commit = commit


def test_what_libraries_say_is_json_too(job, tmp_path):
    done = job.run(tmp_path / "run", "--log-json", before="tests.faults.test_told:warn")
    told = lines(done)
    assert done.code == 0 and any("a library's\nadvice" in line["message"] for line in told)
    assert any(line["message"] == "of a library" for line in told)


def test_status_and_verify_tell_machines_nothing_but_json(job, reference):
    for words, event in (("status", "status"), ("verify", "verified"), ("gather", "summary")):
        done = job.parent.run(words, reference, "--log-json")
        assert done.code == 0 and [line["event"] for line in lines(done)] == [event]


def test_machines_are_told_where_a_run_stands(job, tmp_path):
    run = tmp_path / "run"
    (planned,) = lines(job.run(run, "--log-json", command="plan"))
    assert {**planned, "level": "info", "message": "plan"} == planned
    assert (planned["run"], planned["rows"], planned["files"], planned["chunks"]) == (str(run), 50, 3, 10)
    assert planned["finished"] is False
    gate = Gate(tmp_path / "gate", chunks=3)
    process = job.start(run, **gate.how)
    wait_for(lambda: entries(run) >= 3)
    (told,) = lines(job.parent.run("status", run, "--log-json"))
    gate.open()
    assert process.wait().code == 0
    assert (told["event"], told["run"], told["finished"]) == ("status", str(run), False)
    assert (told["chunks"], told["chunks_done"], told["rows"], told["rows_left"]) == (10, 3, 50, 35)
    assert told["counts"]["rows"] == 15 and [owner["pid"] for owner in told["owners"]] == [process.pid]
    assert told["seconds_left"] == pytest.approx(35 / told["rows_per_second"])
    (told,) = lines(job.parent.run("status", run, "--log-json"))
    assert (told["finished"], told["owners"], told["seconds_left"], told["rows_left"]) == (True, [], None, 0)


def test_a_finished_run_is_told_as_such_and_as_the_same_only_where_that_was_looked_at(job, reference):
    same = "is finished already: the same pool, ranker and settings\n"
    score, plan = job.run(reference), job.run(reference, command="plan")
    gather = job.parent.run("gather", reference)
    assert (score.code, plan.code, gather.code) == (0, 0, 0)
    assert same in score.out and same in plan.out and "is finished already\n" in gather.out
    for done in (score, plan, gather):
        assert "next: scar select" in done.out and "--shard" not in done.out


@pytest.mark.parametrize(
    ("command", "step"),
    [("plan", "scar.serving.job:cut"), ("gather", "scar.serving.run:join_set_aside")],
)
def test_who_stops_a_plan_or_its_end_is_told_that_it_goes_on(job, tmp_path, command, step):
    run, mark = tmp_path / "run", tmp_path / "mark"
    if command == "gather":
        assert job.run(run, command="plan").code == job.run(run, "--shard", "1/1").code == 0
    words = ("gather", run) if command == "gather" else job.words(run, command="plan")
    given = {"step": step, "mark": str(mark)}
    process = job.parent.start(*words, before="tests.faults.test_signals:announce", given=given)
    wait_for(mark.exists)
    process.send(signal.SIGTERM)
    assert process.wait(10).err.endswith("stopped by SIGTERM; the same command goes on\n")
    assert job.parent.run(*words).code == 0

"""What a run tells: one line for the user's mistakes, JSON for machines, a summary that is run.json's."""

import json

from scar.runs import RUN
from tests.faults.pools import entries


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
    for words in (("status", reference), ("verify", reference), ("gather", reference)):
        done = job.parent.run(*words, "--log-json")
        assert done.code == 0
        lines(done)

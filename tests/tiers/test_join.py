"""Joining: what the replies say stands in the tiers file, what they do not has a reason beside it."""

import pytest

from scar.cli import main
from scar.pools import read_tiers
from scar.tiers.join import join, missing_path
from tests.make import read_jsonl, write_jsonl
from tests.tiers.server import completion
from tests.tiers.test_ask import asked, replied

ROW = {"id": "a", "instruction": "what is it", "response": "it is this, whatever"}


def reply(request, text, finish="stop"):
    body = completion(text, finish)
    return {"custom_id": request["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}


def answers(request):
    what = request["custom_id"].split("-")[1]
    return {
        "direct": "a direct text",
        "referenced": "a referenced text",
        "helpfulness": "Fine.\nScore: 8",
    }.get(what, "Well.\nScore: 6")


def rounds(folder, rows=(ROW,), answer=answers):
    """Ask and answer twice; gives the pool and both files of replies."""
    where = write_jsonl(folder / "pool.jsonl", rows)
    _, first = asked(folder)
    one = replied(folder, first, answer, "one.jsonl")
    _, second = asked(folder, one)
    return where, (one, replied(folder, second, answer, "two.jsonl"))


def joined(folder, where, replies, **more):
    out = folder / "tiers.jsonl"
    report = join(where, replies, out, overwrite=True, **more)
    return report, read_jsonl(out), read_jsonl(missing_path(out))


def test_a_row_holds_three_tiers_and_their_quality(tmp_path):
    report, rows, missing = joined(tmp_path, *rounds(tmp_path))
    grades = {"helpfulness": 8.0, "correctness": 6.0}
    assert rows == [
        {
            "id": "a",
            "instruction": "what is it",
            "responses": {
                "direct": "a direct text",
                "referenced": "a referenced text",
                "human": "it is this, whatever",
            },
            "quality": dict.fromkeys(["direct", "referenced", "human"], grades),
        }
    ]
    assert missing == [] and report.unknown == 0 and report.written == 1 and report.ungraded == 0


def test_scar_reads_what_it_wrote(tmp_path):
    joined(tmp_path, *rounds(tmp_path))
    (row,) = read_tiers(tmp_path / "tiers.jsonl")
    assert dict(row.quality) == {"direct": 7.0, "referenced": 7.0, "human": 7.0} and row.id == "a"


def test_source_and_eval_only_travel_with_the_row(tmp_path):
    rows = [ROW | {"source": "s", "eval_only": True}, ROW | {"source": 3, "eval_only": "no"}, ROW]
    _, written, _ = joined(tmp_path, *rounds(tmp_path, rows))
    assert [(row.get("source"), row.get("eval_only")) for row in written] == [
        ("s", True),
        (None, None),
        (None, None),
    ]


def test_a_dialogue_becomes_the_text_that_the_ranker_sees(tmp_path):
    turns = [("system", "s"), ("user", "u"), ("assistant", "a"), ("user", "v"), ("assistant", "human")]
    rows = [{"messages": [{"role": role, "content": text} for role, text in turns]}]
    _, (row,), _ = joined(tmp_path, *rounds(tmp_path, rows))
    assert row["instruction"] == "System: s\n\nUser: u\n\nAssistant: a\n\nUser: v"
    assert row["responses"]["human"] == "human" and "id" not in row


def reasons(missing):
    return {(row["what"], row["reason"]) for row in missing}


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("half", "length", "cut_off"),
        ("", "stop", "empty_reply"),
        ("x", "content_filter", "refused"),
        ("it is this, whatever", "stop", "identical_to_human"),
        ("As the reference answer says, it is this.", "stop", "mentions_reference"),
    ],
)
def test_a_text_of_no_use_is_a_missing_tier_with_a_reason(tmp_path, text, finish, reason):
    where, replies = rounds(tmp_path)
    first = read_jsonl(replies[0])
    bad = reply(first[1], text, finish)
    write_jsonl(replies[0], [first[0], bad, *first[2:]])
    report, (row,), missing = joined(tmp_path, where, replies)
    assert set(row["responses"]) == set(row["quality"]) == {"direct", "human"}
    assert reasons(missing) == {("referenced", reason)} and report.unknown == 0
    assert missing[0] | {"detail": ""} == {
        "row": 0,
        "part": None,
        "file": "pool.jsonl",
        "line": 1,
        "what": "referenced",
        "reason": reason,
        "detail": "",
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [("Score: 10", "out_of_range"), ("8-9", "no_score"), ("n/a", "no_score"), ("I cannot.", "refused")],
)
def test_a_grade_of_no_use_leaves_the_whole_quality_out(tmp_path, text, reason):
    def answer(request):
        return text if "helpfulness-direct" in request["custom_id"] else answers(request)

    report, (row,), missing = joined(tmp_path, *rounds(tmp_path, answer=answer))
    assert set(row["quality"]) == {"referenced", "human"} and set(row["responses"]) == {
        "direct",
        "referenced",
        "human",
    }
    assert reasons(missing) == {("helpfulness-direct", reason), ("quality-direct", "half_graded")}
    assert report.ungraded == 1
    assert (
        next(row["detail"] for row in missing if row["what"] == "quality-direct")
        == "correctness 6 is not used"
    )


def test_texts_without_a_quality_can_be_left_out(tmp_path):
    def answer(request):
        return "?" if "direct" in request["custom_id"].split("-")[2] else answers(request)

    report, (row,), missing = joined(tmp_path, *rounds(tmp_path, answer=answer), graded_only=True)
    assert set(row["responses"]) == set(row["quality"]) == {"referenced", "human"}
    assert ("direct", "no_quality") in reasons(missing) and report.ungraded == 0


def test_blank_lines_between_replies_do_not_shift_them(tmp_path):
    where, replies = rounds(tmp_path)
    replies[0].write_bytes(b"\n  \n" + replies[0].read_bytes().replace(b"\n", b"\n\n \n"))
    report, (row,), missing = joined(tmp_path, where, replies)
    assert row["responses"]["referenced"] == "a referenced text" and missing == [] and report.bad_lines == 0


def test_white_space_around_it_does_not_make_another_text(tmp_path):
    rows = [ROW | {"response": " a direct text\n"}]
    _, (row,), missing = joined(tmp_path, *rounds(tmp_path, rows))
    assert set(row["responses"]) == {"referenced", "human"} and reasons(missing) == {
        ("direct", "identical_to_human")
    }
    assert row["responses"]["human"] == " a direct text\n"


def test_a_row_with_one_tier_is_left_out_and_named(tmp_path):
    where, replies = rounds(tmp_path, [ROW, ROW | {"instruction": "another"}])
    kept = [row for row in read_jsonl(replies[0]) if not row["custom_id"].startswith(("r0-direct", "r0-ref"))]
    write_jsonl(replies[0], kept)
    report, rows, missing = joined(tmp_path, where, replies)
    assert [row["instruction"] for row in rows] == ["another"] and (report.records, report.written) == (2, 1)
    assert reasons(missing) == {
        ("direct", "missing_reply"),
        ("referenced", "missing_reply"),
        ("record", "too_few_tiers"),
    }


def test_replies_to_an_edited_row_are_stale(tmp_path):
    where, replies = rounds(tmp_path, [ROW, ROW])
    write_jsonl(where, [ROW | {"response": "it is that, whatever"}, ROW])
    report, rows, missing = joined(tmp_path, where, replies)
    # The direct text was asked of the instruction alone, which did not change.
    assert set(rows[0]["responses"]) == {"direct", "human"} and set(rows[1]["responses"]) == {
        "direct",
        "referenced",
        "human",
    }
    assert reasons(missing) == {
        ("referenced", "stale"),
        ("helpfulness-human", "stale"),
        ("correctness-human", "stale"),
    }
    assert report.unknown == 0


def test_replies_to_both_wordings_of_a_row_stand_side_by_side(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    where, old = rounds(tmp_path / "a")
    other = ROW | {"instruction": "what is that"}
    new_where, new = rounds(
        tmp_path / "b", [other], lambda request: answers(request).replace("a direct", "another")
    )
    for replies in ((*old, *new), (*new, *old)):
        _, (row,), missing = joined(tmp_path, new_where, replies)
        assert row["responses"]["direct"] == "another text" and missing == []
        _, (row,), missing = joined(tmp_path, where, replies)
        assert row["responses"]["direct"] == "a direct text" and missing == []


def test_the_last_good_reply_wins(tmp_path):
    where, replies = rounds(tmp_path)
    first = read_jsonl(replies[0])
    direct, grade = (
        next(row for row in first if row["custom_id"].startswith(name))
        for name in ("r0-direct", "r0-helpfulness")
    )
    more = [
        reply(grade, "Score: 1"),
        reply(grade, "Score: 3"),
        reply(grade, "no idea"),
        {"custom_id": direct["custom_id"], "response": None, "error": {"message": "late"}},
    ]
    third = write_jsonl(tmp_path / "three.jsonl", more)
    report, (row,), _ = joined(tmp_path, where, (*replies, third))
    assert row["quality"]["human"]["helpfulness"] == 3.0 and row["responses"]["direct"] == "a direct text"
    assert report.repeated == 4


def test_bad_lines_and_unknown_replies_are_counted(tmp_path):
    where, replies = rounds(tmp_path)
    odd = [
        b"{",
        b"[]",
        b"",
        b'{"a": 1}',
        reply({"custom_id": "r9-direct-0"}, "x"),
        reply({"custom_id": "mine"}, "x"),
    ]
    report, rows, _ = joined(tmp_path, where, (*replies, write_jsonl(tmp_path / "odd.jsonl", odd)))
    assert (report.bad_lines, report.unknown, len(rows)) == (3, 2, 1)


def test_rows_that_cannot_be_read_stand_in_the_list(tmp_path):
    where, replies = rounds(tmp_path, [b"{", ROW, {"instruction": "", "response": "x"}])
    report, rows, missing = joined(tmp_path, where, replies)
    assert len(rows) == 1 and report.set_aside == {"invalid_json": 1, "empty_instruction": 1}
    assert [(row["row"], row["what"], row["reason"]) for row in missing] == [
        (0, "record", "invalid_json"),
        (2, "record", "empty_instruction"),
    ]


def test_without_grades_there_is_no_quality_and_nothing_missing(tmp_path):
    from scar.tiers.ask import Scope

    where, replies = rounds(tmp_path)
    report, (row,), missing = joined(tmp_path, where, replies, scope=Scope(("direct", "referenced")))
    assert "quality" not in row and missing == [] and report.ungraded == 0


def test_every_part_of_a_row_is_a_record(tmp_path):
    rows = [{"instruction": "q", "responses": {"one": "first, whatever", "b-c": "second, whatever"}}]
    report, written, _ = joined(tmp_path, *rounds(tmp_path, rows))
    assert [row["responses"]["human"] for row in written] == ["first, whatever", "second, whatever"]
    assert report.unknown == 0


@pytest.fixture
def error(capsys, tmp_path):
    """Run `tiers join` that must fail with exit code 2; gives the one line on standard error."""
    where, replies = rounds(tmp_path)

    def run(*more, replies=replies, out="tiers.jsonl"):
        files = ["tiers", "join", str(where), *map(str, replies), "--out", str(tmp_path / out)]
        assert main([*files, *more]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return run


def test_existing_files_are_kept(error, tmp_path):
    (tmp_path / "tiers.jsonl.missing.jsonl").write_text("mine")
    assert "missing.jsonl exists; --overwrite" in error()
    (tmp_path / "tiers.jsonl").write_text("mine")
    assert "tiers.jsonl exists; --overwrite" in error()


def test_an_input_is_never_overwritten(error, tmp_path):
    before = (tmp_path / "one.jsonl").read_bytes()
    assert "one.jsonl is an input" in error("--overwrite", out="one.jsonl")
    assert "pool.jsonl is an input" in error("--overwrite", out="pool.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == before


def test_wrong_arguments_are_named(error, tmp_path):
    assert "gone.jsonl" in error(replies=[tmp_path / "gone.jsonl"])
    assert ".jsonl file" in error(out="tiers.csv")
    assert "--graded-only" in error("--graded-only", "--what", "direct")
    assert "--limit" in error("--limit", "0")


def test_nothing_to_write_says_why_and_leaves_the_list(error, tmp_path):
    other = write_jsonl(tmp_path / "other.jsonl", [reply({"custom_id": "r7-direct-0"}, "x")])
    line = error(replies=[other])
    assert "none of 1 records has two tiers" in line and "1 of 1 replies are about no record" in line
    assert not (tmp_path / "tiers.jsonl").exists()
    assert ("direct", "missing_reply") in reasons(read_jsonl(tmp_path / "tiers.jsonl.missing.jsonl"))


def test_the_command_counts_what_is_missing(tmp_path, capsys):
    def answer(request):
        return "8-9" if "helpfulness-direct" in request["custom_id"] else answers(request)

    where, replies = rounds(tmp_path, [ROW, ROW], answer)
    assert main(["tiers", "join", str(where), *map(str, replies), "--out", str(tmp_path / "t.jsonl")]) == 0
    shown = capsys.readouterr().out
    assert "2 records: 2 written, 0 left out" in shown and "2 helpfulness-direct no_score" in shown
    assert "--constraint none" in shown and "scar train style" in shown

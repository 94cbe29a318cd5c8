"""The report: everything in it is in its JSON, and what is printed shows text as text."""

import json

from scar.cli.train_unseen import print_report
from scar.training.unseen.report import Calibrated, Report
from scar.training.unseen.telling import Ngram, Telling
from scar.training.unseen.verdict import Verdict

VERDICT = Verdict(0.75, 0.7, 0.8, (0.74, 0.76), 0.72, True, "can be told apart", ("length alone does too",))
TELLING = Telling((Ngram("[b] x\\x1b", "words", 1.5, 0.5, 0.25),), (), 0.7, 30)


def report(telling=TELLING):
    return Report(
        verdict=VERDICT,
        telling=telling,
        seen=10,
        pool=30,
        groups=38,
        folds=2,
        head="linear",
        on="both",
        prefer="novel",
        seed=0,
        encoder="some/encoder",
        calibration=Calibrated(2.5, 0.2, 0.0625),
        set_aside={"seen": {}, "pool": {"empty_response": 3}},
        notes=("a note",),
    )


def test_the_json_holds_every_figure():
    found = json.loads(report().to_json())
    assert found["verdict"]["low"] == 0.7 and found["verdict"]["fold_aucs"] == [0.74, 0.76]
    assert found["telling"]["seen"][0]["text"] == "[b] x\\x1b"
    assert (found["share_seen"], found["groups"], found["notes"]) == (0.25, 38, ["a note"])
    assert found["calibration"]["temperature"] == 2.5 and found["calibration"]["ece_after"] == 0.0625
    assert found["set_aside"]["pool"] == {"empty_response": 3} and found["encoder"] == "some/encoder"
    assert json.loads(report(None).to_json())["telling"] is None


def test_the_verdict_its_warnings_and_ngrams_are_printed(capsys):
    print_report(report())
    shown = capsys.readouterr().out
    assert shown.startswith("can be told apart\nwarning: length alone does too\n")
    for part in (
        "0.750",
        "0.700 0.800",
        "0.720",
        "'[b] x\\x1b'",
        "+1.50",
        "50.0",
        "25.0",
        "0.2000 before, 0.0625 after",
        "note: a note",
    ):
        assert part in shown


def test_a_report_without_ngrams_is_printed(capsys):
    print_report(report(None))
    assert "speaks" not in capsys.readouterr().out

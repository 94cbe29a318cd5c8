"""Read a grade out of a judge's reply. A pure function; knows neither prompts nor files.

Only the last line that holds a letter or a digit counts, and it must hold the grade alone: what a judge
writes on the way to it, such as an echoed "(0-9)" or another answer's mark, must never become the grade.
"""

import re

from scar.tiers.missing import Missing, Why

BEST = 9.0
"""Grades go from 0 to this."""
_LONGEST_LINE = 200
"""A last line longer than this is prose."""

# Full-width forms, as Chinese and Japanese keyboards give them, and the typographer's minus.
_HALF_WIDTH = {0xFF01 + place: 0x21 + place for place in range(94)} | {0x2212: "-"}
_MARKUP = re.compile(r"[*_`#>\[\]]")
_LABEL = (
    r"(?:(?:the |my )?(?:final |overall |total )?(?:(?P<aspect>helpfulness|correctness)(?: score| rating| grade)?"
    r"|score|rating|grade)|分数|评分|得分)"
)
# No leading zero: "(0-9)" without its dash is "09", which the original took for a 9.
_NUMBER = r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"
_GRADE = re.compile(
    rf"(?:{_LABEL} ?(?:\(0 ?- ?9\))? ?(?:[:=]|is\b:?)? ?)?"
    rf"(?P<grade>{_NUMBER})(?: ?(?:/|out of) ?(?P<scale>{_NUMBER}))?",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:I (?:cannot|can ?not|can't|won't|am (?:unable|not able|sorry))|I'm (?:unable|not able|sorry)|as an AI)\b",
    re.IGNORECASE,
)


def parse_grade(reply: str, aspect: str) -> float | Missing:
    """Give the grade of an aspect that the reply's last line states, or why there is none. Never raises."""
    line = _last_line(reply)
    if not line:
        return Missing.because(Why.EMPTY_REPLY)
    found = _GRADE.fullmatch(line) if len(line) <= _LONGEST_LINE else None
    if found is None:
        # Curly apostrophes are what models write.
        refused = _REFUSAL.search(reply[:_LONGEST_LINE].replace("\u2019", "'"))
        return Missing.because(Why.REFUSED if refused else Why.NO_SCORE, line)
    if found["aspect"] is not None and found["aspect"].lower() != aspect:
        return Missing.because(Why.NO_SCORE, f"another aspect: {line}")
    if found["scale"] is not None and float(found["scale"]) != BEST:
        return Missing.because(Why.NO_SCORE, f"another scale: {line}")
    grade = float(found["grade"])
    if not 0 <= grade <= BEST:
        return Missing.because(Why.OUT_OF_RANGE, line)
    return grade + 0.0  # -0 is 0


def _last_line(reply: str) -> str:
    """Give the last line that says something, without markup; a closing code fence or rule says nothing."""
    for line in reversed(reply.splitlines()):
        # A blank in its place: "0[1]" and "7.[1]" must not grow a digit.
        plain = _MARKUP.sub(" ", line.translate(_HALF_WIDTH))
        if any(map(str.isalnum, plain)):
            return _trimmed(plain)
    return ""


def _trimmed(line: str) -> str:
    """Drop a bullet before a word, doubled blanks, quotes and the full stop."""
    text = re.sub(r"^[-\u2022+] (?=[^\W\d])", "", " ".join(line.split()))
    return text.strip(" \"'").rstrip(".!;,\u3002").strip(" \"'")

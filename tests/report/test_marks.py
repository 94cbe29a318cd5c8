"""SVG is text: what is written into it is escaped, and axes have round numbers that fit."""

import numpy as np
import pytest

from scar.report.shown import count, number, percent, short, signed, visible
from scar.report.svg.marks import Scale, Svg, tag, tick_label


def test_what_comes_into_an_element_is_escaped():
    made = tag("text", "</svg><script>x</script>", x=1.25, class_='"><b>')
    assert made == (
        '<text x="1.2" class="&quot;&gt;&lt;b&gt;">&lt;/svg&gt;&lt;script&gt;x&lt;/script&gt;</text>'
    )


def test_elements_inside_are_left_as_they_are():
    assert tag("g", Svg("<a/>"), "<", text_anchor="end") == '<g text-anchor="end"><a/>&lt;</g>'


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (-0.03, 0.021), (0, 7), (-3e6, 9e6), (1e-7, 2e-7), (0, 4.1), (-1, 1e9)]
)
def test_ticks_are_inside_in_order_and_told_apart(low, high):
    ticks = Scale(low, high, 0, 100).ticks()
    labels = [tick_label(tick, ticks) for tick in ticks]
    assert 2 <= len(ticks) <= 7 and len(set(labels)) == len(labels)
    assert all(low - 1e-9 * (high - low) <= tick <= high * (1 + 1e-9) for tick in ticks) and ticks == sorted(
        ticks
    )
    assert all(
        float(text.replace(",", "").replace("−", "-")) == pytest.approx(t)
        for text, t in zip(labels, ticks, strict=True)
    )


@pytest.mark.parametrize(("low", "high"), [(1, 2), (3, 512), (1, 1e6), (40, 60)])
def test_ticks_of_logarithms_are_inside(low, high):
    assert all(low <= tick <= high for tick in Scale(low, high, 0, 1, log=True).ticks())


def test_a_scale_puts_numbers_between_its_ends():
    scale = Scale(10, 1000, 100, 0, log=True)
    assert scale(np.array([1, 10, 100, 1000, 5000])).tolist() == pytest.approx([100, 100, 50, 0, 0])


def test_characters_that_act_are_named():
    hostile = "a\x00b\u202ec\u2028d\ud800e\ufefff\u2066\U000e0041"
    named = "a⟨U+0000⟩b⟨U+202E⟩c⟨U+2028⟩d⟨U+D800⟩e⟨U+FEFF⟩f⟨U+2066⟩⟨U+E0041⟩"
    assert visible(hostile) == named
    visible(hostile).encode()  # nothing is left that UTF-8 cannot hold


@pytest.mark.parametrize("text", ["\ta\r\nb", "👩‍👩‍👧 ok", "שלום", "می‌خواهم", "a\u00a0b"])
def test_texts_of_all_languages_stay_as_they_are(text):
    assert visible(text) == text.replace("\r\n", "\n")


def test_numbers_read_as_people_write_them():
    assert [number(n) for n in (0, 0.1234, -0.0272, 1.5, 15.67, 1234.5, 1e12, float("nan"))] == [
        "0", "0.123", "−0.0272", "1.50", "15.7", "1,234", "1.00e+12", "–",
    ]  # fmt: skip
    assert [percent(s) for s in (0, 1, 0.1234, 0.0001)] == [
        "0.0\u00a0%",
        "100.0\u00a0%",
        "12.3\u00a0%",
        "< 0.1 %",
    ]
    assert (count(1234.4), signed(-0.126), short("abcdef", 4)) == ("1,234", "−0.13", "abc…")

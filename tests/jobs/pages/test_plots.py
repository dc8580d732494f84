"""Plots are well-formed SVG with round ticks, whatever the values."""

import math
from xml.etree import ElementTree

import pytest

from jobs.pages.plots import Line, axis, histogram, line_plot


@pytest.mark.parametrize(
    ("values", "options", "ticks"),
    [
        ((0, 100), {}, (0, 25, 50, 75, 100)),
        ((0.1, 0.3), {}, (0.1, 0.15, 0.2, 0.25, 0.3)),
        ((3, 17), {"zero": True}, (0, 5, 10, 15, 20)),
        ((-1.3, 8.2), {"tight": True}, (0, 2.5, 5, 7.5)),
        ((1, 3), {"whole": True}, (1, 2, 3)),
        ((2, 2), {"zero": True}, (0, 0.5, 1, 1.5, 2)),
        ((math.nan, math.inf), {"zero": True}, (0, 0.25, 0.5, 0.75, 1)),
    ],
)
def test_ticks_are_round(values: tuple[float, ...], options: dict[str, bool], ticks: tuple[float, ...]) -> None:
    assert axis("x", values, **options).ticks == pytest.approx(ticks)


@pytest.mark.parametrize("value", [0.0, -3.0, 1e-9, 1e12])
def test_one_value_still_has_an_axis(value: float) -> None:
    found = axis("x", [value])
    assert found.low < found.high
    assert found.ticks


def test_a_plot_is_well_formed_and_escapes_its_names() -> None:
    drawn = line_plot([Line("<b>", [(0, 1), (1, math.nan), (2, 3)])], axis("a & b", (0, 2)), axis("y", (1, 3)), '"t"')
    root = ElementTree.fromstring(drawn)
    (line,) = root.iter("polyline")
    assert len(line.attrib["points"].split()) == 2
    assert "a & b" in [text.text for text in root.iter("text")]


def test_several_lines_have_a_legend_and_one_has_none() -> None:
    one, other = Line("one", [(0, 0), (1, 1)]), Line("other", [(0, 1)])
    axes = (axis("x", (0, 1)), axis("y", (0, 1)))
    assert "legend" not in line_plot([one], *axes, "t")
    assert line_plot([one, other], *axes, "t").count("<li>") == 2


def test_bars_of_nothing_are_not_drawn() -> None:
    drawn = histogram([0, 1, 2], [("all", [10, 0])], "x", "y", "t")
    assert drawn.count("<rect") == 1

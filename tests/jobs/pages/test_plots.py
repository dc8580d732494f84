"""Plots are well-formed SVG with round ticks, whatever the values."""

import math
from xml.etree import ElementTree

import pytest

from jobs.pages.plots import Line, histogram, line_plot, make_axis


@pytest.mark.parametrize(
    ("values", "options", "ticks"),
    [
        ((0, 100), {}, (0, 25, 50, 75, 100)),
        ((0.1, 0.3), {}, (0.1, 0.15, 0.2, 0.25, 0.3)),
        ((3, 17), {"from_zero": True}, (0, 5, 10, 15, 20)),
        ((-1.3, 8.2), {"tight": True}, (0, 2.5, 5, 7.5)),
        ((1, 3), {"whole": True}, (1, 2, 3)),
        ((2, 2), {"from_zero": True}, (0, 0.5, 1, 1.5, 2)),
        ((math.nan, math.inf), {"from_zero": True}, (0, 0.25, 0.5, 0.75, 1)),
    ],
)
def test_ticks_are_round(values: tuple[float, ...], options: dict[str, bool], ticks: tuple[float, ...]) -> None:
    assert make_axis("x", values, **options).ticks == pytest.approx(ticks)


@pytest.mark.parametrize("value", [0.0, -3.0, 1e-9, 1e12])
def test_one_value_still_has_an_axis(value: float) -> None:
    x_axis = make_axis("x", [value])
    assert x_axis.low < x_axis.high
    assert x_axis.ticks


def test_a_plot_is_well_formed_and_escapes_its_names() -> None:
    svg = line_plot(
        [Line("<b>", [(0, 1), (1, math.nan), (2, 3)])], make_axis("a & b", (0, 2)), make_axis("y", (1, 3)), '"t"'
    )
    root = ElementTree.fromstring(svg)
    (line,) = root.iter("polyline")
    assert len(line.attrib["points"].split()) == 2
    assert "a & b" in [text.text for text in root.iter("text")]


def test_several_lines_have_a_legend_and_one_has_none() -> None:
    first, second = Line("first", [(0, 0), (1, 1)]), Line("second", [(0, 1)])
    axes = (make_axis("x", (0, 1)), make_axis("y", (0, 1)))
    assert "legend" not in line_plot([first], *axes, "t")
    assert line_plot([first, second], *axes, "t").count("<li>") == 2


def test_bars_of_nothing_are_not_svg() -> None:
    svg = histogram([0, 1, 2], [("all", [10, 0])], "x", "y", "t")
    assert svg.count("<rect") == 1

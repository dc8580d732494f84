"""Plots as inline SVG. The page's style sheet colours them, for a light and for a dark screen."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

# Of a plot and of its margins, in units of the SVG.
WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 26, 42


@dataclass(frozen=True)
class Line:
    """A named line through points (x, y). A line of one point is drawn as a dot.

    `style` is a class of the style sheet: `guide` for a line to compare with, `noise` for one in the background. A line
    without a style gets the next colour.
    """

    name: str
    points: Sequence[tuple[float, float]]
    style: str = ""


@dataclass(frozen=True)
class Axis:
    """An axis: its label with the unit, its range, and the values of its ticks."""

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]

    def fraction(self, value: float) -> float:
        """The position of a value: 0 at the low end, 1 at the high end."""
        return (value - self.low) / (self.high - self.low)


def make_axis(
    label: str, values: Sequence[float], *, from_zero: bool = False, tight: bool = False, whole: bool = False
) -> Axis:
    """An axis with round ticks for these values.

    Parameters
    ----------
    label
        Name and unit.
    values
        What is drawn along the axis. Values that are not finite are ignored.
    from_zero
        The axis includes 0.
    tight
        The axis ends at the lowest and the highest value. Otherwise it ends at ticks.
    whole
        As `tight`, with ticks at whole numbers only.
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    if from_zero:
        low = min(0.0, low)
    if high - low < 1e-12:
        low, high = (low, low + 1) if from_zero or whole else (low - 0.5, low + 0.5)
    step = _round_step((high - low) / 4.5)
    if whole or tight:
        step = max(1.0, round(step)) if whole else step
        return Axis(label, low, high, _multiples(math.ceil(low / step), math.floor(high / step), step))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Axis(label, first * step, last * step, _multiples(first, last, step))


def line_plot(lines: Sequence[Line], x_axis: Axis, y_axis: Axis, title: str) -> Markup:
    """An SVG of lines, with a legend if there are several. Points that are not finite are left out."""
    paths = [_path(line, style, x_axis, y_axis) for line, style in zip(lines, _styles(lines), strict=True)]
    return _svg(title, x_axis, y_axis, Markup("").join(paths)) + _legend(lines)


def histogram(
    edges: Sequence[float], layers: Sequence[tuple[str, Sequence[float]]], x_label: str, y_label: str, title: str
) -> Markup:
    """An SVG of histograms that share their bins.

    Parameters
    ----------
    edges
        (n + 1) edges of the bins.
    layers
        (name, (n) heights) of each histogram. A later one is drawn over the earlier ones.
    x_label, y_label
        Labels of the axes, with units.
    title
        What the plot shows, for a screen reader.
    """
    x_axis = make_axis(x_label, edges, tight=True)
    y_axis = make_axis(y_label, [height for _, heights in layers for height in heights], from_zero=True)
    bars = []
    for number, (_, heights) in enumerate(layers):
        for low, high, height in zip(edges, edges[1:], heights, strict=False):
            if height <= 0:
                continue
            x0, x1, top = _x(x_axis, low), _x(x_axis, high), _y(y_axis, height)
            bars.append(
                Markup('<rect class="area s{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                    number, x0 + 0.4, top, max(0.4, x1 - x0 - 0.8), _y(y_axis, 0) - top
                )
            )
    return _svg(title, x_axis, y_axis, Markup("").join(bars)) + _legend(
        [Line(name, ()) for name, _ in layers], areas=True
    )


def _round_step(step: float) -> float:
    """The next 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * (1 - 1e-9))


def _multiples(first: int, last: int, step: float) -> tuple[float, ...]:
    # 0.1 * 3 is 0.30000000000000004, but the tick is labelled 0.3.
    return tuple(round(number * step, 12) for number in range(first, last + 1))


def _styles(lines: Sequence[Line]) -> list[str]:
    """The style of each line: its own, or `s0`, `s1`, … in order."""
    numbers = itertools.count()
    return [line.style or f"s{next(numbers)}" for line in lines]


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.fraction(value) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - axis.fraction(value) * (HEIGHT - TOP - BOTTOM)


def _path(line: Line, style: str, x_axis: Axis, y_axis: Axis) -> Markup:
    points = [(_x(x_axis, x), _y(y_axis, y)) for x, y in line.points if math.isfinite(x) and math.isfinite(y)]
    if len(points) == 1:
        return Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="3.5"/>').format(style, *points[0])
    coordinates = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup('<polyline class="line {}" points="{}"/>').format(style, coordinates)


def _svg(title: str, x_axis: Axis, y_axis: Axis, marks: Markup) -> Markup:
    parts = [Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, title)]
    for value in y_axis.ticks:
        y = _y(y_axis, value)
        parts.append(Markup('<path class="grid" d="M{} {:.1f}H{}"/>').format(LEFT, y, WIDTH - RIGHT))
        text = Markup('<text class="end" x="{}" y="{:.1f}">{}</text>')
        parts.append(text.format(LEFT - 7, y + 4, tick_text(value, y_axis)))
    for value in x_axis.ticks:
        text = Markup('<text class="middle" x="{:.1f}" y="{}">{}</text>')
        parts.append(text.format(_x(x_axis, value), HEIGHT - BOTTOM + 17, tick_text(value, x_axis)))
    parts.append(marks)
    label = Markup('<text class="label middle" x="{}" y="{}">{}</text>')
    parts.append(label.format((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, x_axis.label))
    # The label of the upright axis stands level above it, which is easier to read.
    parts.append(Markup('<text class="label" x="0" y="9">{}</text>').format(y_axis.label))
    return Markup("").join([*parts, Markup("</svg>")])


def tick_text(value: float, axis: Axis) -> str:
    """The label of a tick, in thousands on an axis that reaches 10,000: `12k`, `0.25`."""
    if max(abs(axis.low), abs(axis.high)) >= 10_000:
        return f"{value / 1000:,.4g}k" if value else "0"
    return f"{value:,.6g}"


def _legend(lines: Sequence[Line], *, areas: bool = False) -> Markup:
    """The names of the lines with their colours; empty for a single line."""
    if len(lines) < 2:
        return Markup("")
    items = [
        Markup('<li><svg class="swatch" viewBox="0 0 22 8" aria-hidden="true">{}</svg>{}</li>').format(
            _swatch("area" if areas else "dot" if len(line.points) == 1 else "line", style), line.name
        )
        for line, style in zip(lines, _styles(lines), strict=True)
    ]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def _swatch(kind: str, style: str) -> Markup:
    if kind == "dot":
        return Markup('<circle class="dot {}" cx="11" cy="4" r="3.5"/>').format(style)
    if kind == "area":
        return Markup('<rect class="area {}" width="22" height="8"/>').format(style)
    return Markup('<path class="line {}" d="M0 4H22"/>').format(style)

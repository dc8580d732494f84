"""Plots as inline SVG, coloured by the page's style sheet, so that they read in light and in dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 26, 42


@dataclass(frozen=True)
class Line:
    """A named line through points (x, y); one point alone is a dot.

    In the style `guide` it is drawn faintly, as something to compare with, and as `noise` more faintly still.
    """

    name: str
    points: Sequence[tuple[float, float]]
    style: str = ""


@dataclass(frozen=True)
class Axis:
    """An axis: its label (with the unit), its range and the values ticked on it."""

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Where a value lies, 0 to 1."""
        return (value - self.low) / (self.high - self.low)


def axis(label: str, values: Sequence[float], *, zero: bool = False, tight: bool = False, whole: bool = False) -> Axis:
    """An axis with round ticks around these values.

    `zero` begins it at 0, `tight` ends it at the values themselves, `whole` too and ticks whole numbers only.
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    if zero:
        low = min(0.0, low)
    if high - low < 1e-12:
        low, high = (low, low + 1) if zero or whole else (low - 0.5, low + 0.5)
    step = _round_step((high - low) / 4.5)
    if whole or tight:
        step = max(1.0, round(step)) if whole else step
        return Axis(label, low, high, _multiples(math.ceil(low / step), math.floor(high / step), step))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Axis(label, first * step, last * step, _multiples(first, last, step))


def line_plot(lines: Sequence[Line], across: Axis, up: Axis, title: str) -> Markup:
    """An SVG of lines with both axes labelled; points that are not finite are left out."""
    drawn = [_path(line, number, across, up) for line, number in zip(lines, _numbers(lines), strict=True)]
    return _svg(title, across, up, Markup("").join(drawn)) + _legend(lines)


def histogram(
    edges: Sequence[float], layers: Sequence[tuple[str, Sequence[float]]], across: str, up: str, title: str
) -> Markup:
    """An SVG of bars between `edges` (n + 1), one layer of heights (n) before the other."""
    x = axis(across, edges, tight=True)
    y = axis(up, [height for _, heights in layers for height in heights], zero=True)
    bars = []
    for number, (_, heights) in enumerate(layers):
        for left, right, height in zip(edges, edges[1:], heights, strict=False):
            if height <= 0:
                continue
            x0, x1, top = _x(x, left), _x(x, right), _y(y, height)
            bars.append(
                Markup('<rect class="area s{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                    number, x0 + 0.4, top, max(0.4, x1 - x0 - 0.8), _y(y, 0) - top
                )
            )
    return _svg(title, x, y, Markup("").join(bars)) + _legend([Line(name, ()) for name, _ in layers], areas=True)


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))


def _multiples(first: int, last: int, step: float) -> tuple[float, ...]:
    # 0.1 * 3 is 0.30000000000000004: a tick is what is written beside it.
    return tuple(round(number * step, 12) for number in range(first, last + 1))


def _numbers(lines: Sequence[Line]) -> list[str]:
    """The style of each line: its own, or `s0`, `s1`, … in their order."""
    series = iter(range(len(lines)))
    return [line.style or f"s{next(series)}" for line in lines]


def _x(across: Axis, value: float) -> float:
    return LEFT + across.share(value) * (WIDTH - LEFT - RIGHT)


def _y(up: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - up.share(value) * (HEIGHT - TOP - BOTTOM)


def _path(line: Line, style: str, across: Axis, up: Axis) -> Markup:
    points = [(_x(across, x), _y(up, y)) for x, y in line.points if math.isfinite(x) and math.isfinite(y)]
    if len(points) == 1:
        return Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="3.5"/>').format(style, *points[0])
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup('<polyline class="line {}" points="{}"/>').format(style, joined)


def _svg(title: str, across: Axis, up: Axis, inside: Markup) -> Markup:
    parts = [Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, title)]
    for value in up.ticks:
        y = _y(up, value)
        parts.append(Markup('<path class="grid" d="M{} {:.1f}H{}"/>').format(LEFT, y, WIDTH - RIGHT))
        parts.append(Markup('<text class="end" x="{}" y="{:.1f}">{}</text>').format(LEFT - 7, y + 4, tick(value, up)))
    for value in across.ticks:
        place = Markup('<text class="middle" x="{:.1f}" y="{}">{}</text>')
        parts.append(place.format(_x(across, value), HEIGHT - BOTTOM + 17, tick(value, across)))
    parts.append(inside)
    label = Markup('<text class="label middle" x="{}" y="{}">{}</text>')
    parts.append(label.format((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, across.label))
    # The label of the upright axis stands above it, level: nobody has to tilt the head.
    parts.append(Markup('<text class="label" x="0" y="9">{}</text>').format(up.label))
    return Markup("").join([*parts, Markup("</svg>")])


def tick(value: float, of: Axis) -> str:
    """A tick as short as its neighbours allow: `2k`, `0.25`."""
    if max(abs(of.low), abs(of.high)) >= 10_000:
        return f"{value / 1000:,.4g}k" if value else "0"
    return f"{value:,.6g}"


def _legend(lines: Sequence[Line], *, areas: bool = False) -> Markup:
    """Which colour is which line, beneath the plot; one line alone needs none."""
    if len(lines) < 2:
        return Markup("")
    items = [
        Markup('<li><svg class="swatch" viewBox="0 0 22 8" aria-hidden="true">{}</svg>{}</li>').format(
            _swatch("area" if areas else "dot" if len(line.points) == 1 else "line", style), line.name
        )
        for line, style in zip(lines, _numbers(lines), strict=True)
    ]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def _swatch(kind: str, style: str) -> Markup:
    if kind == "dot":
        return Markup('<circle class="dot {}" cx="11" cy="4" r="3.5"/>').format(style)
    if kind == "area":
        return Markup('<rect class="area {}" width="22" height="8"/>').format(style)
    return Markup('<path class="line {}" d="M0 4H22"/>').format(style)

"""charts owns the pictures of a session's summary page: price with its trades, equity with its falls, as inline SVG.

Colours are variables of the page; coordinates have a tenth of a pixel, so the same trail gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape

from maestro_engine.session.evidence.story import Story, StoryTrade

WIDE, NARROW = 1_040, 400
LEFT, RIGHT = 74, 12
MOST_BOXES = 260
STEPS_S = (1, 5, 15, 60, 300, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400, 172_800, 604_800)
"""Distances between times below a chart, seconds."""


@dataclass
class Chart:
    """One coordinate system: *across* is UTC milliseconds, *up* is quote currency."""

    width: int
    height: int
    across: tuple[float, float]
    up: tuple[float, float]
    top: int = 24
    bottom: int = 26
    parts: list[str] = field(default_factory=list[str])

    def x(self, ms: float) -> float:
        first, last = self.across
        return LEFT + (ms - first) / (last - first) * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.up
        return self.top + (high - value) / (high - low) * (self.height - self.top - self.bottom)

    def path(self, data: str, look: str) -> None:
        if data:
            self.parts.append(f'<path d="{data}" {look}/>')

    def through(self, points: Sequence[tuple[float, float]]) -> str:
        return "".join(f"{'L' if n else 'M'}{self.x(x):.1f} {self.y(y):.1f}" for n, (x, y) in enumerate(points))

    def text(self, x: float, y: float, said: str, anchor: str, colour: str = "muted") -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="12" fill="var(--{colour})">'
            f"{escape(said)}</text>"
        )

    def axes(self, title: str) -> None:
        """Amounts at the left with a faint line each, times below, and what is measured above."""
        places = ticks(*self.up, max(2, (self.height - self.top - self.bottom) // 44))
        digits = decimals(places)
        for place in places:
            self.path(f"M{LEFT} {self.y(place):.1f}H{self.width - RIGHT}", 'stroke="var(--grid)"')
            self.text(LEFT - 8, self.y(place) + 4, amount(place, digits), "end")
        self.text(0, 12, title, "start", "ink")
        if self.bottom > 20:
            for ms, said in moments(*self.across, (self.width - LEFT) // 100):
                self.path(f"M{self.x(ms):.1f} {self.height - self.bottom}v4", 'stroke="var(--muted)"')
                self.text(self.x(ms), self.height - self.bottom + 18, said, "middle")

    def svg(self, label: str) -> str:
        frame = f'viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(label)}"'
        return f"<svg {frame}>{''.join(self.parts)}</svg>"


def price_chart(story: Story, step_ms: int, width: int) -> str:
    """Lows and highs of the candles, and every trade from its entry to its exit with its stop and target."""
    candles = story.candles
    every = -(-len(candles) // (MOST_BOXES if width == WIDE else MOST_BOXES // 2))
    boxes = [
        (group[0].open_ms, group[-1].open_ms + step_ms, min(c.low for c in group), max(c.high for c in group))
        for group in (candles[n : n + every] for n in range(0, len(candles), every))
    ]
    trades = [*story.trades, *([story.open] if story.open else [])]
    prices = [price for trade in trades for price in reached(story, trade)]
    low, high = min([b[2] for b in boxes] + prices), max([b[3] for b in boxes] + prices)
    begin = min([boxes[0][0], *(t.entered_ms for t in trades)])
    end = max([boxes[-1][1], *(t.left_ms for t in trades)])
    chart = Chart(width, 320 if width == WIDE else 260, (begin, end), padded(low, high))
    chart.axes("price, quote currency; times UTC")
    bodies = "".join(
        f"M{chart.x(a):.1f} {chart.y(hi):.1f}H{chart.x(b):.1f}V{max(chart.y(lo), chart.y(hi) + 0.6):.1f}"
        f"H{chart.x(a):.1f}Z"
        for a, b, lo, hi in boxes
    )
    chart.path(bodies, 'fill="var(--noise)" fill-opacity=".55"')
    for trade in trades:
        _draw_trade(chart, story, trade)
    return chart.svg(f"Price with {len(trades)} trades")


def _draw_trade(chart: Chart, story: Story, trade: StoryTrade) -> None:
    colour = "var(--warn)" if trade is story.open else "var(--good)" if trade.pnl > 0 else "var(--bad)"
    entry = float(trade.entered / trade.bought)
    end_ms = trade.left_ms if trade.sold else chart.across[1]
    for level in story.bracket(trade):
        if level is not None:
            line = chart.through([(trade.entered_ms, float(level)), (end_ms, float(level))])
            chart.path(line, f'fill="none" stroke="{colour}" stroke-dasharray="2 3"')
    if trade.sold:
        left = float(trade.left / trade.sold)
        line = chart.through([(trade.entered_ms, entry), (end_ms, left)])
        chart.path(line, f'fill="none" stroke="{colour}" stroke-width="2"')
        chart.parts.append(f'<circle cx="{chart.x(end_ms):.1f}" cy="{chart.y(left):.1f}" r="3" fill="{colour}"/>')
    up = -5 if trade.side > 0 else 5
    x, y = chart.x(trade.entered_ms), chart.y(entry)
    chart.path(f"M{x:.1f} {y + up:.1f}l4.5 {-2 * up}h-9Z", f'fill="{colour}"')


def reached(story: Story, trade: StoryTrade) -> list[float]:
    """Prices that *trade* shows on a chart."""
    levels = [float(level) for level in story.bracket(trade) if level is not None]
    left = [float(trade.left / trade.sold)] if trade.sold else []
    return [float(trade.entered / trade.bought), *left, *levels]


def equity_chart(points: Sequence[tuple[int, float]], start: float, width: int) -> str:
    """The equity's path (UTC milliseconds, quote currency) over where it started, and its fall below its peak."""
    values = [start, *(value for _, value in points)]
    across = (points[0][0], max(points[-1][0], points[0][0] + 1))
    falls: list[tuple[float, float]] = []
    peak = start
    for ms, value in points:
        peak = max(peak, value)
        falls.append((ms, value - peak))
    upper = Chart(width, 240, across, padded(min(values), max(values)), bottom=8)
    upper.axes("equity, quote currency")
    upper.path(f"M{LEFT} {upper.y(start):.1f}H{width - RIGHT}", 'stroke="var(--muted)" stroke-dasharray="4 3"')
    upper.path(upper.through(points), 'fill="none" stroke="var(--s1)" stroke-width="1.8"')
    deepest = min(value for _, value in falls)
    lower = Chart(width, 130, across, (deepest * 1.06 or -1.0, 0.0))
    lower.axes("below the highest before, quote currency; times UTC")
    area = f"M{lower.x(across[0]):.1f} {lower.y(0):.1f}{lower.through(falls).replace('M', 'L')}"
    lower.path(f"{area}L{lower.x(points[-1][0]):.1f} {lower.y(0):.1f}Z", 'fill="var(--bad)" fill-opacity=".28"')
    lower.path(lower.through(falls), 'fill="none" stroke="var(--bad)" stroke-width="1.2"')
    return upper.svg("Equity") + lower.svg("Fall of the equity below its highest before")


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers within low .. high, about *most* of them."""
    span = high - low
    size = 10.0 ** math.floor(math.log10(span / most))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10, 20) if span / (size * factor) <= most)
    return [n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def decimals(places: Sequence[float]) -> int:
    """As many as tell neighbours apart."""
    step = abs(places[1] - places[0]) if len(places) > 1 else abs(places[0]) if places else 1.0
    return next((n for n in range(13) if abs(round(step, n) - step) < 1e-9 * step), 12)


def moments(first: float, last: float, most: int) -> list[tuple[float, str]]:
    """Round times (UTC milliseconds) within first .. last, as a reader writes them."""
    span_s = (last - first) / 1_000
    step_s = next((step for step in STEPS_S if span_s / step <= max(2, most)), STEPS_S[-1])
    form = (
        "%H:%M:%S" if step_s < 60 else "%H:%M" if span_s <= 86_400 else "%d %b %H:%M" if step_s < 86_400 else "%d %b"
    )
    places = range(math.ceil(first / (step_s * 1_000)), math.floor(last / (step_s * 1_000)) + 1)
    return [(n * step_s * 1_000, datetime.fromtimestamp(n * step_s, UTC).strftime(form)) for n in places]


def amount(value: float, digits: int) -> str:
    """*value* with thousands apart and a true minus."""
    said = f"{value:,.{digits}f}"
    return f"−{said[1:]}" if said.startswith("-") and float(said.replace(",", "")) else said.lstrip("-")


def padded(low: float, high: float) -> tuple[float, float]:
    """The range with some air, never empty."""
    air = (high - low) * 0.06 or abs(high) * 0.001 or 1.0
    return low - air, high + air

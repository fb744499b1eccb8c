"""returns owns the pictures of when money was made: by month for all finalists, by day for the first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from maestro.report import formatting
from maestro.report.campaign_data import Facts
from maestro.report.plots import theme
from maestro.report.plots.canvas import Canvas
from maestro.report.plots.equity import dates
from maestro.report.plots.panel import Panel, padded
from maestro.report.plots.theme import Drawn, Plot
from maestro_protocol.messages.tearsheet import TearSheets

MONTHS, DAYS = "Returns by month", "Returns by day"
MOST_BARS = 220
DAY_MS = 86_400_000
_SPANS = (1, 3, 12, 120)
"""Months in a column: months, quarters, years, decades."""
NONE_KEPT = "Not drawn: there is no finalist whose days are kept."


def months(facts: Facts) -> Plot:
    """A map: a row a finalist and buy and hold, a column a month, or what is longer where there are too many."""
    told = facts.sheets
    if told is None or not told.sheets:
        return Plot("months", MONTHS, NONE_KEPT)
    rows = [(sheet.run_id, sheet.days) for sheet in told.sheets] + [("buy and hold", told.hold.days)]
    wide = _map(told, rows, theme.WIDE, 13, facts.simulated, "wide")
    narrow = _map(told, rows, theme.HALF, 6, facts.simulated, "narrow")
    caption = (
        f"What each column's days added, in % of the capital of {formatting.usd(told.capital, 0)} USD, after "
        "costs, by "
        "UTC days; the first and the last may be cut short."
    )
    return Plot("months", MONTHS, caption, (wide, narrow), wide=True)


def _map(
    told: TearSheets, rows: Sequence[tuple[str, Sequence[float]]], width: int, most: int, simulated: bool, shows: str
) -> Drawn:
    labels, of_day = spans(told.first_day, len(rows[0][1]), most)
    columns = len(labels) + 1
    panel = Panel(Canvas(width, 34 + 36 * len(rows)), (92, 4, 22, 12), (-0.5, columns - 0.5), (len(rows) - 0.5, -0.5))
    sums = [_sums(days, of_day, len(labels), float(told.capital)) for _, days in rows]
    strongest = max((abs(value) for row in sums for value in row), default=0.0) or 1.0
    for y, ((name, _), row) in enumerate(zip(rows, sums, strict=True)):
        panel.text(-0.5, y, name, dx=-8, size=11, ha="right")
        for x, value in enumerate(row):
            colour = theme.GOOD if value >= 0 else theme.BAD
            panel.boxes([(x - 0.48, x + 0.48, y + 0.46, y - 0.46)], colour, 0.06 + 0.5 * abs(value) / strongest)
            panel.text(x, y, formatting.fixed(value, 1), theme.INK, size=11)
        panel.text(columns - 1, y, formatting.fixed(sum(row), 1), theme.INK, size=11)
    for x, label in enumerate((*labels, "all")):
        panel.text(x, len(rows) - 0.5, label, size=11, dy=-5, va="top")
    return theme.render(panel.canvas, "Returns of each finalist by the calendar", simulated, shows)


def _sums(days: Sequence[float], of_day: Sequence[int], count: int, capital: float) -> list[float]:
    found = [0.0] * count
    for place, value in zip(of_day, days, strict=True):
        found[place] += 100 * value / capital
    return found


def spans(first_ms: int, days: int, most: int) -> tuple[list[str], list[int]]:
    """The shortest of months, quarters, years that number at most *most*: their labels, and each day's place."""
    start = datetime.fromtimestamp(first_ms / 1000, UTC)
    dated = [start + timedelta(days=place) for place in range(days)]
    months = [day.year * 12 + day.month - 1 for day in dated]
    length = next((size for size in _SPANS if len({month // size for month in months}) <= most), _SPANS[-1])
    first = months[0] // length
    labels = [_label(place * length, length) for place in range(first, months[-1] // length + 1)]
    return labels, [month // length - first for month in months]


def _label(month: int, length: int) -> str:
    year, place = divmod(month, 12)
    if length == 1:
        return f"{datetime(year, place + 1, 1, tzinfo=UTC):%b %y}"
    return f"Q{place // 3 + 1} {year % 100:02d}" if length == 3 else str(year)


def daily(facts: Facts) -> Plot:
    told = facts.sheets
    if told is None or not told.sheets:
        return Plot("days", DAYS, NONE_KEPT)
    sheet = told.sheets[0]
    size = -(-len(sheet.days) // MOST_BARS)
    scale = 100 / float(told.capital)
    bars = [sum(sheet.days[at : at + size]) * scale for at in range(0, len(sheet.days), size)]
    label = f"Returns of {sheet.run_id} by day"
    drawn = tuple(
        _bars(told, bars, size, width, label, facts.simulated, shows)
        for width, shows in ((theme.WIDE, "wide"), (theme.HALF, "narrow"))
    )
    return Plot("days", f"{DAYS}: {sheet.run_id}", _day_caption(sheet.days, scale, size), drawn, wide=True)


def _bars(
    told: TearSheets, bars: Sequence[float], size: int, width: int, label: str, simulated: bool, shows: str
) -> Drawn:
    first = told.first_day // DAY_MS
    panel = Panel(Canvas(width, 200), (50, 8, 26, 14), (first, first + len(bars) * size), padded([0.0, *bars]))
    if told.sealed_day is not None:
        panel.boxes([(told.sealed_day / DAY_MS, panel.across[1], *panel.up)], theme.SHADE)
    panel.scale_up(4)
    for colour, wanted in ((theme.GOOD, True), (theme.BAD, False)):
        panel.boxes(
            [
                (first + place * size + 0.1 * size, first + (place + 0.9) * size, min(value, 0.0), max(value, 0.0))
                for place, value in enumerate(bars)
                if value and (value > 0) is wanted
            ],
            colour,
        )
    panel.level(0, theme.MUTED, 0.8)
    dates(panel, 6 if width > theme.HALF else 3)
    panel.text(panel.across[0], panel.up[1], "%", dx=-50, dy=12, ha="left", va="top")
    return theme.render(panel.canvas, label, simulated, shows)


def _day_caption(days: Sequence[float], scale: float, size: int) -> str:
    traded = [value for value in days if value]
    how = "Each bar is one UTC day" if size == 1 else f"Each bar is {size} UTC days together"
    if not traded:
        return f"{how}, in % of the capital after costs; equity never moved."
    won = sum(value > 0 for value in traded)
    return (
        f"{how}, in % of the capital after costs, the sealed part shaded; equity moved on {len(traded):,} of "
        f"{formatting.plural(len(days), 'day')} and rose on {formatting.percent(won / len(traded))} of them, "
        "the best "
        f"{formatting.fixed(max(days) * scale, 2, sign=True)}{formatting.GLUE}%, the worst "
        f"{formatting.fixed(min(days) * scale, 2, sign=True)}{formatting.GLUE}%."
    )

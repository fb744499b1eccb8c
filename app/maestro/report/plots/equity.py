"""equity owns the picture of what the finalists earned, and how far they fell, on the open and the sealed part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from maestro.report import formatting
from maestro.report.campaign_data import Facts
from maestro.report.plots import theme
from maestro.report.plots.canvas import Canvas
from maestro.report.plots.panel import Panel, padded
from maestro.report.plots.theme import Plot
from maestro_protocol.messages.campaign import Curve

Line = tuple[list[float], list[float]]
POINTS = 260
"""Most points of a drawn curve; the lowest of the points that share one is never lost."""
TITLE = "What the finalists earned"


@dataclass(frozen=True, slots=True)
class Track:
    """One finalist's equity and its distance from the last peak, USD, at ``days`` since 1970."""

    name: str
    days: list[float]
    equity: list[float]
    below: list[float]
    open_end: float
    """Equity where the sealed part begins."""
    sealed_day: float | None
    """Where that is; None where the sealed part was not opened."""


def plot(facts: Facts) -> Plot:
    curves = [c for c in (facts.exhibits.curves if facts.exhibits else ()) if c.pnl][: len(theme.SERIES)]
    if not curves:
        return Plot("equity", TITLE, "Not drawn: there is no finalist with a course of profit and loss.")
    tracks = [track(curve) for curve in curves]
    hold = held(facts)
    label = f"Equity and drawdown of {formatting.plural(len(tracks), 'finalist')}"
    return Plot(
        "equity",
        TITLE,
        _caption(tracks),
        (
            _draw(tracks, hold, theme.WIDE, label, facts.simulated, "wide"),
            _draw(tracks, hold, theme.HALF, label, facts.simulated, "narrow"),
        ),
        wide=True,
        legend=(
            *((f"s{n}", "", f"{t.name} {formatting.gain(t.equity[-1])}") for n, t in enumerate(tracks, start=1)),
            *((("muted", "╌", f"buy and hold {formatting.gain(hold[1][-1])}"),) if hold[1] else ()),
        ),
    )


def track(curve: Curve) -> Track:
    equity = list(accumulate(curve.pnl))
    below = [value - peak for value, peak in zip(equity, accumulate(equity, max, initial=0.0), strict=False)]
    below = [min(fall, 0.0) for fall in below]
    step = -(-len(equity) // POINTS)
    firsts = range(0, len(equity), step)
    start, period = curve.start_ms / 86_400_000, curve.period_ms / 86_400_000
    return Track(
        name=curve.run_id,
        days=[start, *(start + min(first + step, len(equity)) * period for first in firsts)],
        equity=[0.0, *(equity[min(first + step, len(equity)) - 1] for first in firsts)],
        below=[0.0, *(min(below[first : first + step]) for first in firsts)],
        open_end=equity[curve.sealed_from - 1] if curve.sealed_from > 0 else 0.0,
        sealed_day=start + curve.sealed_from * period if curve.sealed_from < len(equity) else None,
    )


def held(facts: Facts) -> Line:
    """Days since 1970 and USD of buying and holding; empty where it is not known."""
    if facts.sheets is None:
        return [], []
    first, days = facts.sheets.first_day / 86_400_000, facts.sheets.hold.days
    step = max(1, -(-len(days) // POINTS))
    line = list(accumulate(days))
    places = [*range(step - 1, len(days), step)]
    places += [len(days) - 1] * (places[-1:] != [len(days) - 1])
    return [first, *(first + place + 1 for place in places)], [0.0, *(line[place] for place in places)]


def _draw(tracks: Sequence[Track], hold: Line, width: int, label: str, simulated: bool, shows: str) -> theme.Drawn:
    canvas = Canvas(width, 430)
    days = min(t.days[0] for t in tracks), max([t.days[-1] for t in tracks] + hold[0][-1:])
    above = Panel(canvas, (66, 8, 152, 24), days, padded([v for t in tracks for v in t.equity] + hold[1]))
    below = Panel(canvas, (66, 8, 28, 306), days, padded([0.0, *(v for t in tracks for v in t.below)]))
    for panel in (above, below):
        if tracks[0].sealed_day is not None:
            panel.boxes([(tracks[0].sealed_day, days[1], *panel.up)], theme.SHADE)
        panel.scale_up(5 if panel is above else 2)
    above.level(0, theme.MUTED, 0.8)
    above.line(*hold, theme.MUTED, 1.4, "--")
    for colour, one in reversed(list(zip(theme.SERIES, tracks, strict=False))):
        above.line(one.days, one.equity, colour, 1.8)
        below.line(one.days, one.below, colour, 1.1)
    dates(below, 6 if width > theme.HALF else 3)
    if tracks[0].sealed_day is not None:
        above.text((tracks[0].sealed_day + days[1]) / 2, above.up[1], "sealed", theme.INK, dy=-4, va="top")
    above.text(days[0], above.up[1], "equity, USD", dx=-66, dy=22, ha="left", va="top")
    below.text(days[0], below.up[1], "below the peak, USD", dx=-66, dy=18, ha="left", va="top")
    return theme.render(canvas, label, simulated, shows)


def dates(panel: Panel, most: int) -> None:
    """A few whole days along the axis, inside its ends."""
    first, last = panel.across
    step = max(1, round((last - first) / most))
    places = [int(first) + step * n + step // 2 for n in range(most)]
    places = [place for place in places if first <= place <= last]
    panel.names(places, [formatting.day(place * 86_400_000) for place in places])


def _caption(tracks: Sequence[Track]) -> str:
    how = "Each line adds up one finalist's profit and loss after costs, with its fall from the last peak below it"
    best = max(tracks, key=lambda t: t.open_end)
    before = f"in the part that was searched the best of them, {best.name}, ended at {formatting.gain(best.open_end)}"
    after = [t.equity[-1] - t.open_end for t in tracks if t.sealed_day is not None]
    if not after:
        return f"{how}; {before}; the sealed part was not opened."
    won = sum(value > 0 for value in after)
    return (
        f"{how}; {before}, and in the shaded part, sealed until the search was over, {won} of {len(after)} gained "
        f"(from {formatting.gain(min(after))} to {formatting.gain(max(after))})."
    )

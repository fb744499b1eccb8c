"""pictures owns how a study of searches is drawn: percent of hindsight, edges by market, answers of the verdict."""

from __future__ import annotations

from collections.abc import Sequence

from maestro.report.plots import theme
from maestro.report.plots.canvas import Canvas
from maestro.report.plots.panel import Panel, padded
from maestro.report.plots.theme import Plot
from maestro.wiring.yardstick.comparison import ArmRow, Interval, Overall

ROW = 24
"""Pixels that an arm has."""
NAMES = 150
"""Pixels for an arm's name."""
ANSWERS = ("SURVIVES", "NOT ENOUGH EVIDENCE", "DOES NOT SURVIVE")
ANSWER_COLOURS = (theme.GOOD, theme.NOISE, theme.BAD)


def over_all(sums: Sequence[Overall]) -> Plot:
    """How much of the best in hindsight each arm's picks are worth, over the markets of a medium limit."""
    title = "What the picks are worth, in percent of the best in hindsight"
    known = [each for each in sums if each.percent is not None]
    if not known:
        return Plot("overall", title, "Not drawn: no market of the study has a limit of 250 to 900 USD a day.")
    canvas, panel = _rows(
        len(known), theme.WIDE, padded([0.0, 100.0, *(each.percent or 0.0 for each in known)], 0.04)
    )
    for place, each in enumerate(known):
        percent = each.percent or 0.0
        panel.boxes([(min(0.0, percent), max(0.0, percent), -place - 0.32, -place + 0.32)], theme.SERIES[0], 0.85)
        traded = each.traded_percent
        if traded is not None:
            panel.mark(traded, -place, "o", theme.INK, 7, hollow=True)
        _name(panel, place, each.arm)
    panel.upright(100.0, theme.GOOD, 1.5)
    panel.upright(0.0, theme.MUTED)
    caption = (
        "Bars: the true edge of the pick, traded or not. Rings: the same, with standing aside as 0. The line at 100 "
        "is the mean of the five best in hindsight among variants drawn from all over the ranges."
    )
    return Plot("overall", title, caption, (theme.render(canvas, title, simulated=False),), wide=True)


def edges(rows: Sequence[ArmRow]) -> list[Plot]:
    """A picture of every market: each arm's true edge a day with its interval, and the limit."""
    places = list(dict.fromkeys((row.market, row.size) for row in rows))
    return [_market([row for row in rows if (row.market, row.size) == place]) for place in places]


def _market(rows: Sequence[ArmRow]) -> Plot:
    market, size, limit = rows[0].market, rows[0].size, rows[0].limit
    title = market if size in ("none", "recorded") else f"{market}, {size}"
    spans = [span for row in rows for span in (row.edge, row.traded) if span is not None]
    ends = [end for span in spans for end in (span.low, span.high)]
    canvas, panel = _rows(len(rows), theme.HALF, padded([0.0, limit or 0.0, *ends], 0.05))
    for place, row in enumerate(rows):
        if row.edge is not None:
            _whisker(panel, place, row.edge, theme.SERIES[0])
        panel.mark(row.traded.mean, -place, "o", theme.INK, 7, hollow=True)
        _name(panel, place, row.arm)
    panel.upright(0.0, theme.MUTED)
    if limit:
        panel.upright(limit, theme.GOOD, 1.5)
    seeds = max(row.seeds for row in rows)
    hindsight = f", limit {limit:,.0f}" if limit is not None else ""
    caption = f"USD a day after costs at 100,000 notional, {seeds} seeds{hindsight}"
    return Plot(f"{market}-{size}", title, caption, (theme.render(canvas, title, simulated=False),))


def answers(rows: Sequence[ArmRow]) -> Plot:
    """How often the verdict gave each answer, by market, for the arms that end with one."""
    title = "The verdict's answers"
    ruled = [row for row in rows if row.words]
    if not ruled:
        return Plot("answers", title, "Not drawn: no arm of the study ends with a verdict.")
    canvas, panel = _rows(len(ruled), theme.WIDE, (0.0, 1.0))
    for place, row in enumerate(ruled):
        words, begun = dict(row.words), 0.0
        for word, colour in zip(ANSWERS, ANSWER_COLOURS, strict=True):
            share = words.get(word, 0) / sum(words.values())
            if share:
                panel.boxes([(begun, begun + share, -place - 0.32, -place + 0.32)], colour, 0.85)
            begun += share
        _name(panel, place, f"{row.market} {row.size}: {row.arm}"[:34])
    legend = tuple((colour[6:-1], "", word.lower()) for word, colour in zip(ANSWERS, ANSWER_COLOURS, strict=True))
    caption = "Share of seeds. Where there is nothing to find, at most one in twenty may say that anything survives."
    return Plot("answers", title, caption, (theme.render(canvas, title, simulated=False),), wide=True, legend=legend)


def _rows(count: int, width: int, across: tuple[float, float]) -> tuple[Canvas, Panel]:
    canvas = Canvas(width, 52 + ROW * count)
    panel = Panel(canvas, (NAMES if width == theme.HALF else 240, 16, 36, 8), across, (-count + 0.5, 0.5))
    panel.scale_across(5)
    return canvas, panel


def _name(panel: Panel, place: int, text: str) -> None:
    panel.text(panel.across[0], -place, text, theme.INK, 12, dx=-8, ha="right")


def _whisker(panel: Panel, place: int, span: Interval, colour: str) -> None:
    panel.line((span.low, span.high), (-place, -place), colour, 2)
    panel.mark(span.mean, -place, "s", colour, 8)

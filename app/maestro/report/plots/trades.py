"""trades owns the pictures of single trades: what they made, how far they went, how long, and where on the price."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from maestro.report import formatting, sheets
from maestro.report.campaign_data import Facts
from maestro.report.plots import theme
from maestro.report.plots.canvas import Canvas
from maestro.report.plots.panel import Panel, padded
from maestro.report.plots.theme import Drawn, Plot
from maestro_protocol.messages.tearsheet import PriceChart, TearSheet, TradeGroup

SPREAD, EXCURSIONS, HELD = "What single trades made", "How far trades went", "How long trades were held"
KINDS = "Long, short, and what ended trades"
PRICES = "Entries and exits on the price"
NO_TRADES = "Not drawn: there is no finalist whose trades are kept."
_WON_LOST = (("good", "●", "won"), ("bad", "●", "lost"))
DAY_MS = 86_400_000


def _first(facts: Facts) -> TearSheet | None:
    """The first finalist, where it traded."""
    found = facts.sheets.sheets if facts.sheets else ()
    return found[0] if found and found[0].net.counts else None


def spread(facts: Facts) -> Plot:
    sheet = _first(facts)
    if sheet is None:
        return Plot("spread", SPREAD, NO_TRADES)
    edges, counts = sheet.net.edges, sheet.net.counts
    panel = Panel(Canvas(theme.HALF, 320), (46, 10, 44, 14), (edges[0], edges[-1]), (0, max(counts) * 1.06))
    panel.scale_up(4)
    for colour, won in ((theme.GOOD, True), (theme.BAD, False)):
        panel.boxes(
            [
                (low, high, 0, count)
                for low, high, count in zip(edges, edges[1:], counts, strict=False)
                if count and (low + high > 0) is won
            ],
            colour,
            0.8,
        )
    if edges[0] < 0 < edges[-1]:
        panel.upright(0, theme.INK, 0.8)
    panel.scale_across(5, "PnL of a trade after costs, USD")
    total = sum(counts)
    wins, net = sum(g.wins for g in _sides(sheet)), float(sum(g.net for g in _sides(sheet)))
    mean = f"{formatting.fixed(net / total, 2, sign=True)}{formatting.GLUE}USD"
    caption = (
        f"All {formatting.plural(total, 'trade')} of {sheet.run_id}; the outermost bars hold what lies beyond. "
        f"{formatting.percent(wins / total)} won, and the mean of all is {mean}."
    )
    return Plot("spread", SPREAD, caption, (theme.render(panel.canvas, SPREAD, facts.simulated),))


def _sides(sheet: TearSheet) -> list[TradeGroup]:
    return [group for group in sheet.groups if group.by == "side"]


def excursions(facts: Facts) -> Plot:
    sheet = _first(facts)
    if sheet is None or not sheet.sample.net:
        return Plot("excursions", EXCURSIONS, NO_TRADES)
    sample = sheet.sample
    across, up = [-mae for mae in sample.mae], list(sample.mfe)
    panel = Panel(Canvas(theme.HALF, 320), (54, 10, 44, 26), (0, max(across) * 1.04 or 1), (0, max(up) * 1.04 or 1))
    panel.scale_up(4)
    for colour, won in ((theme.BAD, False), (theme.GOOD, True)):
        places = [(x, y) for x, y, net in zip(across, up, sample.net, strict=True) if (net > 0) is won]
        panel.dots(places, colour, 4.5)
    panel.scale_across(5, "worst loss while open (MAE), USD")
    panel.text(0, panel.up[1], "best gain while open (MFE), USD", dx=-54, dy=24, ha="left", va="top")
    lost = [mfe > -net for mfe, net in zip(sample.mfe, sample.net, strict=True) if net <= 0]
    led = formatting.percent(sum(lost) / len(lost)) if lost else ""
    ahead = f"; {led} of the losers had been ahead by more than they lost" if lost else ""
    caption = f"{formatting.plural(len(sample.net), 'trade')} of {sheet.run_id}, evenly out of all{ahead}."
    return Plot(
        "excursions", EXCURSIONS, caption, (theme.render(panel.canvas, EXCURSIONS, facts.simulated),),
        legend=_WON_LOST,
    )  # fmt: skip


def held(facts: Facts) -> Plot:
    sheet = _first(facts)
    if sheet is None:
        return Plot("held", HELD, NO_TRADES)
    edges, counts = sheet.held.edges, sheet.held.counts
    panel = Panel(Canvas(theme.HALF, 240), (46, 10, 44, 14), (-0.6, len(counts) - 0.4), (0, max(counts) * 1.06))
    panel.scale_up(4)
    panel.boxes([(x - 0.4, x + 0.4, 0, count) for x, count in enumerate(counts) if count], theme.SERIES[0], 0.85)
    names = [formatting.lasting(edge * 3_600_000).replace(formatting.GLUE, " ") if edge else "0" for edge in edges]
    step = -(-len(counts) // 6)
    panel.names([x - 0.5 for x in range(0, len(edges), step)], names[::step], "time held", size=11)
    total, held_to = sum(counts), 0
    half = next(x for x in range(len(counts)) if (held_to := held_to + counts[x]) * 2 >= total)
    caption = (
        "Each bar spans twice the time of the one before; half of the trades of "
        f"{sheet.run_id} took less than {names[half + 1]}."
    )
    return Plot("held", HELD, caption, (theme.render(panel.canvas, HELD, facts.simulated),))


def kinds(facts: Facts) -> Plot:
    """What trades of each side and of each exit made."""
    sheet = _first(facts)
    if sheet is None:
        return Plot("kinds", KINDS, NO_TRADES)
    sums = {name: [g for g in sheet.groups if g.name == name] for name in sheets.KINDS}
    bars = [(sheets.KINDS[name], float(sum(g.net for g in found)), found) for name, found in sums.items() if found]
    values = [0.0, *(net for _, net, _ in bars)]
    panel = Panel(Canvas(theme.HALF, 240), (150, 14, 44, 14), padded(values), (len(bars) - 0.5, -0.5))
    panel.scale_across(3, "PnL after costs, USD")
    for y, (name, net, found) in enumerate(bars):
        colour = theme.GOOD if net >= 0 else theme.BAD
        panel.boxes([(min(net, 0.0), max(net, 0.0), y + 0.34, y - 0.34)], colour, 0.85)
        panel.text(panel.across[0], y, f"{name} ({sum(g.trades for g in found):,})", dx=-8, size=11, ha="right")
    panel.line((0, 0), panel.up, theme.MUTED, 0.8)
    best = max(bars, key=lambda bar: bar[1])
    caption = (
        f"All trades of {sheet.run_id} by side and by what ended them, with their number; those {best[0]} made "
        f"{formatting.gain(best[1])}."
    )
    return Plot("kinds", KINDS, caption, (theme.render(panel.canvas, KINDS, facts.simulated),))


def prices(facts: Facts) -> Plot:
    charts = [
        (s.run_id, s.chart) for s in (facts.sheets.sheets if facts.sheets else ()) if s.chart and s.chart.trades
    ]
    if not charts:
        return Plot("prices", PRICES, NO_TRADES)
    return Plot(
        "prices",
        PRICES,
        "The last trades of each finalist, in the sealed part where it has any, good or bad: from entry to exit over "
        "the market's lows and highs. The colour says what a trade made after costs.",
        tuple(drawn for place in range(len(charts)) for drawn in _charts(charts, place, facts.simulated)),
        wide=True,
        legend=(("muted", "▲", "long"), ("muted", "▼", "short"), ("good", "", "won"), ("bad", "", "lost")),
    )  # fmt: skip


def _charts(charts: Sequence[tuple[str, PriceChart]], place: int, simulated: bool) -> Iterator[Drawn]:
    """One finalist's chart; the first of an odd number is as wide as two, where there is room."""
    if place or len(charts) % 2 == 0:
        yield _chart(*charts[place], theme.HALF, simulated, "always")
    else:
        yield _chart(*charts[place], theme.WIDE, simulated, "wide")
        yield _chart(*charts[place], theme.HALF, simulated, "narrow")


def _chart(name: str, chart: PriceChart, width: int, simulated: bool, shows: str) -> Drawn:
    days = [time / DAY_MS for time in chart.times]
    step = days[1] - days[0] if len(days) > 1 else 1.0
    reached = [*chart.lows, *chart.highs, *(p for t in chart.trades for p in (t.entry, t.left))]
    panel = Panel(Canvas(width, 270), (62, 10, 26, 28), (days[0], days[-1] + step), padded(reached))
    panel.scale_up(4)
    panel.boxes(
        [(day, day + step, low, high) for day, low, high in zip(days, chart.lows, chart.highs, strict=True)],
        theme.NOISE,
        0.55,
    )
    for trade in chart.trades:
        colour = theme.GOOD if trade.net > 0 else theme.BAD
        begin, end = trade.entered_at / DAY_MS, trade.left_at / DAY_MS
        panel.line((begin, end), (trade.entry, trade.left), colour, 2)
        panel.mark(begin, trade.entry, "^" if trade.side == "long" else "v", colour, 7)
        panel.mark(end, trade.left, "o", colour, 4)
    _moments(panel)
    net = sum(trade.net for trade in chart.trades)
    earned = formatting.gain(net).replace(formatting.GLUE, " ")
    title = f"{name}: {formatting.plural(len(chart.trades), 'trade')}, {earned}"
    panel.text(days[0], panel.up[1], title, theme.INK, dx=-62, dy=26, ha="left", va="top")
    return theme.render(panel.canvas, f"Trades of {name} on the price", simulated, shows)


def _moments(panel: Panel) -> None:
    """Two or three dates below, with the hour where the chart is short."""
    first, last = panel.across
    places = [first + (last - first) * share for share in (0.14, 0.5, 0.86)]
    panel.names(places, [_moment(place * DAY_MS, last - first) for place in places], size=11)


def _moment(ms: float, days: float) -> str:
    return formatting.day(ms) if days > 3 else formatting.minute(ms).removesuffix(" UTC")

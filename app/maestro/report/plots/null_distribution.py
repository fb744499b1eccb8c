"""null_distribution owns the plots of search against chance: trial Sharpes, random traders, overfitting."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from maestro.report import formatting
from maestro.report.campaign_data import Facts
from maestro.report.plots import theme
from maestro.report.plots.canvas import Canvas
from maestro.report.plots.panel import Box, Panel, padded
from maestro.report.plots.theme import Plot
from maestro_protocol.messages.campaign import Histogram, NullModel

BINS = 36
TRIALS = "Everything that was tried, beside luck"
NULLS = "The finalists beside random traders"
LOGITS = "Does the best of one half stay good in the other?"


def trial_sharpes(facts: Facts) -> Plot:
    exhibits = facts.exhibits
    if exhibits is None or not exhibits.trial_sharpes:
        return Plot("trials", TRIALS, "Not drawn: no configuration has a Sharpe ratio.")
    values, luck = exhibits.trial_sharpes, exhibits.expected_maximum
    best = max(values)
    low, high = padded([*values, *([luck] if luck is not None else [])])
    bars = histogram(values, low, high)
    panel = Panel(Canvas(theme.HALF, 360), (46, 12, 46, 66), (low, high), (0, max(top for *_, top in bars) * 1.05))
    panel.scale_up(3)
    panel.boxes(bars, theme.NOISE)
    panel.scale_across(6, "Sharpe ratio, annualised, on the open data")
    lines = [(best, f"best {formatting.fixed(best)}", theme.SERIES[0])]
    if luck is not None:
        lines.append((luck, f"luck alone {formatting.fixed(luck)}", theme.BAD))
    for row, line in enumerate(sorted(lines)):
        _marker(panel, *line, row)
    caption = (
        f"Each bar counts configurations by their Sharpe ratio on the open data; the best of {len(values):,} reached "
        f"{formatting.fixed(best)}, {_beside_luck(best, luck)}."
    )
    return Plot("trials", TRIALS, caption, (theme.render(panel.canvas, TRIALS, facts.simulated),))


def _beside_luck(best: float, luck: float | None) -> str:
    if luck is None:
        return "and what luck alone would reach in so few tries is undefined"
    if best <= luck:
        reach = formatting.fixed(luck)
        return f"and luck alone would carry the best of as many tries to about {reach}: nothing stands out"
    return (
        f"above the {formatting.fixed(luck)} to which luck alone would carry the best of as many tries, "
        "which is needed but proves nothing yet"
    )


def _marker(panel: Panel, x: float, text: str, colour: str, row: int) -> None:
    """A line at *x* with its label above it; the line further right is taller, so that labels stay apart."""
    low, high = panel.across
    top = panel.up[1] * (1.04 + 0.085 * row)
    panel.line((x, x), (0, top), colour, 2)
    left = row == 0 if low + (high - low) * 0.25 < x < low + (high - low) * 0.75 else x > (low + high) / 2
    panel.text(x, top, text, colour, dx=-6 if left else 6, dy=-4, ha="right" if left else "left")


def nulls(facts: Facts) -> Plot:
    models = [m for m in (facts.exhibits.nulls if facts.exhibits else ()) if m.values][: len(theme.SERIES)]
    if not models:
        return Plot("nulls", NULLS, "Not drawn: no random traders were run.")
    everything = [v for m in models for v in (*m.values, *([m.observed] if m.observed is not None else []))]
    panel = Panel(Canvas(theme.HALF, 360), (10, 160, 46, 24), padded(everything), (0, len(models)))
    for place, (model, colour) in enumerate(zip(models, theme.SERIES, strict=False)):
        _ridge(panel, model, len(models) - 1 - place, colour)
    panel.scale_across(5, "Sharpe ratio, annualised")
    return Plot("nulls", NULLS, _null_caption(models), (theme.render(panel.canvas, NULLS, facts.simulated),))


def _ridge(panel: Panel, model: NullModel, floor: int, colour: str) -> None:
    """One finalist's row: the random traders as bars, itself as a line, its name and p-value at the right."""
    bars = histogram(model.values, *panel.across)
    tall = max(top for *_, top in bars) / 0.76
    panel.level(floor, theme.GRID)
    panel.boxes([(left, right, floor, floor + top / tall) for left, right, _, top in bars], theme.NOISE)
    if model.observed is not None:
        panel.line((model.observed, model.observed), (floor, floor + 0.86), colour, 2.4)
    beaten = f"{formatting.chance(p_of(model))}, beats {_share(beats(model))}"
    panel.text(panel.across[1], floor + 0.4, model.run_id, colour, dx=10, dy=9, ha="left")
    panel.text(panel.across[1], floor + 0.4, beaten, dx=10, dy=-8, size=11, ha="left")


def p_of(model: NullModel) -> float | None:
    """``(1 + #{null >= observed}) / (1 + n)``."""
    if model.observed is None:
        return None
    return (1 + sum(value >= model.observed for value in model.values)) / (1 + len(model.values))


def beats(model: NullModel) -> float | None:
    """The share of random traders that did worse."""
    if model.observed is None:
        return None
    return sum(value < model.observed for value in model.values) / len(model.values)


def _share(value: float | None) -> str:
    if value in (0, 1):
        return "all" if value else "none"
    return formatting.percent(value, 1 if value and value > 0.99 else 0)


def _null_caption(models: Sequence[NullModel]) -> str:
    how = (
        f"Grey counts {max(len(m.values) for m in models):,} traders that enter at random and exit by the same "
        "rules, the line is the finalist, and p is the chance of a random trader doing as well"
    )
    known = [p for p in map(p_of, models) if p is not None]
    if not known:
        return f"{how}; no finalist has a Sharpe ratio to compare."
    clear = sum(p <= 0.05 for p in known)
    return (
        f"{how}; {clear} of {len(models)} stand out at p ≤ 0.05, and the surest has {formatting.chance(min(known))}."
    )


def logits(facts: Facts) -> Plot:
    found = facts.exhibits.pbo_logits if facts.exhibits else None
    if found is None or not sum(found.counts):
        return Plot("logits", LOGITS, "Not drawn: too few configurations or periods to split the data both ways.")
    low, high = min(found.edges[0], -0.5), max(found.edges[-1], 0.5)
    panel = Panel(Canvas(theme.HALF, 380), (58, 12, 46, 48), (low, high), (0, max(found.counts) * 1.05))
    panel.scale_up(3)
    bars = list(zip(found.edges, found.edges[1:], found.counts, strict=False))
    for colour, side in (
        (theme.BAD, [bar for bar in bars if bar[0] + bar[1] <= 0]),
        (theme.GOOD, [bar for bar in bars if bar[0] + bar[1] > 0]),
    ):
        panel.boxes([(left, left + (right - left) * 0.9, 0, count) for left, right, count in side], colour, 0.8)
    panel.scale_across(6, "logit of the chosen one's rank on the other half")
    panel.line((0, 0), (0, panel.up[1] * 1.06), theme.INK, 1.5)
    panel.text(0, panel.up[1] * 1.06, "worse than half", theme.BAD, dx=-7, ha="right")
    panel.text(0, panel.up[1] * 1.06, "better than half", theme.GOOD, dx=7, ha="left")
    drawn = theme.render(panel.canvas, LOGITS, facts.simulated)
    return Plot("logits", LOGITS, _logit_caption(facts, found), (drawn,))


def _logit_caption(facts: Facts, found: Histogram) -> str:
    share = formatting.percent(overfit(facts, found))
    return (
        f"Each of {sum(found.counts):,} splits chooses the best configuration on one half of the periods and ranks "
        f"it on the other; left of the line it did worse than half of the others there, as in {share} of the "
        "splits (under 10 % the ranking holds, which is not yet a profit; 50 % is a coin toss)."
    )


def overfit(facts: Facts, found: Histogram) -> float:
    """The probability of backtest overfitting: the verdict's own figure, else as the bins tell it."""
    for figure in facts.verdict.figures if facts.verdict else ():
        if figure.value is not None and ("pbo" in figure.name.lower() or "overfit" in figure.name.lower()):
            return figure.value
    below = 0.0
    for left, right, count in zip(found.edges, found.edges[1:], found.counts, strict=False):
        below += count * (1.0 if right <= 0 else max(0.0, -left / (right - left)))
    return below / sum(found.counts)


def histogram(values: Sequence[float], low: float, high: float) -> list[Box]:
    """The filled bars of *values* counted in equal parts of low .. high."""
    width = (high - low) / BINS
    edges = [low + width * n for n in range(1, BINS)]
    counts = [0] * BINS
    for value in values:
        counts[bisect_right(edges, value)] += 1
    return [(low + width * n, low + width * (n + 0.88), 0, count) for n, count in enumerate(counts) if count]

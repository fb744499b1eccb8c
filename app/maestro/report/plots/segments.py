"""segments owns the pictures of progress: score and profit by segment, and training beside validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maestro.report import formatting
from maestro.report.campaign_data import Facts
from maestro.report.plots import theme
from maestro.report.plots.canvas import Canvas
from maestro.report.plots.panel import Box, Panel, padded
from maestro.report.plots.theme import Plot
from maestro_protocol.messages.report import SegmentFinished, TestReport

BLOCKS = 14
"""Most pairs of bars; more windows than that are drawn several to a pair."""
SCORES = "Score and profit by segment"
_PHASES = (("noise", "", "training"), ("s1", "", "validation"))
WALK = "Chosen on training, judged on what came after"


def scores(facts: Facts) -> Plot:
    found = facts.segments
    if not found:
        return Plot("segments", SCORES, "Not drawn: no segment was finished.")
    canvas = Canvas(theme.HALF, 350)
    span = (-0.5, len(found) - 0.5)
    points = {
        phase: [(x, v) for x, s in enumerate(found) if (v := getattr(s, phase).score) is not None]
        for phase in ("train", "validation")
    }
    reached = [100.0, *(value for line in points.values() for _, value in line)]
    above = Panel(canvas, (66, 10, 176, 26), span, padded(reached, 0.15))
    above.scale_up(3)
    above.level(100, theme.GOOD, 1, "--")
    for line, colour in zip(points.values(), (theme.NOISE, theme.SERIES[0]), strict=True):
        above.line([x for x, _ in line], [y for _, y in line], colour, 2)
        above.dots(line, colour, 7)
    earned = [float(segment.whole.total_pnl) for segment in found]
    below = Panel(canvas, (66, 10, 44, 206), span, padded([0.0, *earned], 0.1))
    below.scale_up(3)
    bars = [(x - 0.3, x + 0.3, min(value, 0.0), max(value, 0.0)) for x, value in enumerate(earned)]
    below.boxes([bar for bar in bars if bar[2] == 0], theme.GOOD, 0.8)
    below.boxes([bar for bar in bars if bar[2] < 0], theme.BAD, 0.8)
    below.level(0, theme.MUTED, 0.8)
    step = -(-len(found) // 8)
    below.names(range(0, len(found), step), [_name(s, len(found)) for s in found[::step]], size=10)
    above.text(span[0], above.up[1], "score", dx=-66, dy=24, ha="left", va="top")
    below.text(span[0], below.up[1], "PnL of all tests, USD", dx=-66, dy=20, ha="left", va="top")
    return Plot(
        "segments",
        SCORES,
        _score_caption(found),
        (theme.render(canvas, SCORES, facts.simulated),),
        legend=_PHASES,
    )


def _name(segment: SegmentFinished, many: int) -> str:
    return f"{segment.segment}\n{formatting.GOALS[segment.goal]}" if many <= 5 else str(segment.segment)


def _score_caption(found: Sequence[SegmentFinished]) -> str:
    how = (
        "Points are the score of a segment's tests together, 100 (dashed) when every target is exactly met, and bars "
        "add up their profit and loss after costs"
    )
    first, last = found[0], found[-1]
    won = sum(s.whole.total_pnl > 0 for s in found)
    return (
        f"{how}; the validation score went from {formatting.fixed(first.validation.score, 1)} in segment "
        f"{first.segment} to {formatting.fixed(last.validation.score, 1)} in segment {last.segment}, and {won} of "
        f"{formatting.plural(len(found), 'segment')} made money."
    )


@dataclass(frozen=True, slots=True)
class ScorePair:
    """PnL per test and day, USD, on training and on validation, of what ``name`` stands for."""

    name: str
    train: float
    validation: float


def walk_forward(facts: Facts) -> Plot:
    """By window where a segment walked forward, else by segment."""
    walked = [s for s in facts.segments if s.goal == "walk_forward"]
    tests = [test for segment in walked for test in segment.results]
    pairs = by_window(facts, tests) if tests else by_segment(facts)
    if not pairs:
        return Plot("walk", WALK, "Not drawn: no segment was finished.")
    reached = [0.0, *(value for pair in pairs for value in (pair.train, pair.validation))]
    panel = Panel(Canvas(theme.HALF, 350), (66, 10, 44, 26), (-0.6, len(pairs) - 0.4), padded(reached))
    panel.scale_up(5)
    panel.boxes([_bar(x - 0.38, pair.train) for x, pair in enumerate(pairs)], theme.NOISE)
    panel.boxes([_bar(x + 0.02, pair.validation) for x, pair in enumerate(pairs)], theme.SERIES[0])
    panel.level(0, theme.MUTED, 0.8)
    step = -(-len(pairs) // 7)
    title = "windows, in the order of their dates" if tests else "segment"
    panel.names(range(0, len(pairs), step), [p.name for p in pairs[::step]], title)
    panel.text(-0.6, panel.up[1], "PnL a day, USD", dx=-66, dy=24, ha="left", va="top")
    return Plot(
        "walk",
        WALK,
        _walk_caption(pairs, walked),
        (theme.render(panel.canvas, WALK, facts.simulated),),
        legend=_PHASES,
    )


def _bar(left: float, value: float) -> Box:
    return left, left + 0.36, min(value, 0.0), max(value, 0.0)


def by_segment(facts: Facts) -> list[ScorePair]:
    return [_pair(facts, str(segment.segment), segment.results) for segment in facts.segments if segment.results]


def by_window(facts: Facts, tests: Sequence[TestReport]) -> list[ScorePair]:
    """Windows in order, neighbours together where there are too many to tell apart."""
    windows = sorted({test.window for test in tests})
    size = -(-len(windows) // BLOCKS)
    blocks = [windows[first : first + size] for first in range(0, len(windows), size)]
    return [
        _pair(
            facts,
            f"{block[0]}–{block[-1]}" if len(block) > 1 else str(block[0]),
            [test for test in tests if block[0] <= test.window <= block[-1]],
        )
        for block in blocks
    ]


def _pair(facts: Facts, name: str, tests: Sequence[TestReport]) -> ScorePair:
    cut = facts.config.windows
    train = sum(float(test.train.total_pnl) for test in tests) / len(tests) / cut.train_days
    return ScorePair(
        name, train, sum(float(test.validation.total_pnl) for test in tests) / len(tests) / cut.validation_days
    )


def _walk_caption(pairs: Sequence[ScorePair], walked: Sequence[SegmentFinished]) -> str:
    how = (
        "Each pair shows what a day earned after costs in the part that a configuration was chosen on and in the "
        "part that came after it"
    )
    won = sum(pair.validation > 0 for pair in pairs)
    held = f"{won} of {formatting.plural(len(pairs), 'pair')} earned something on validation"
    if not walked:
        return f"{how}, by segment, as no segment walked forward; {held}."
    kept = [s.walk_forward_efficiency for s in walked if s.walk_forward_efficiency is not None]
    if not kept:
        return f"{how}; {held}, and efficiency is undefined because training earned nothing to keep."
    return (
        f"{how}; {held}, and {formatting.percent(sum(kept) / len(kept))} of what training earned was kept "
        "(50 % and more is held to be robust)."
    )

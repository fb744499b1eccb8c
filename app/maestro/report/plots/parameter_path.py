"""parameter_path owns the plot of parameters over time: starts, jitter and patches."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from maestro.report import formatting
from maestro.report.audit_tables import effect
from maestro.report.campaign_data import Facts
from maestro.report.journal import JournalStep, PatchStory
from maestro.report.plots import theme
from maestro.report.plots.canvas import Canvas, Symbol
from maestro.report.plots.panel import Panel, padded
from maestro.report.plots.theme import Drawn, Plot
from maestro_protocol.space import Value

PANELS = 4
TITLE = "How parameters moved, and what patches did"
_MARKS: dict[str, tuple[Symbol, str, tuple[str, str, str]]] = {
    "kept": ("^", theme.GOOD, ("good", "▲", "kept")),
    "reverted": ("X", theme.BAD, ("bad", "✖", "reverted")),
    "applied": ("s", theme.WARN, ("warn", "■", "not measured")),
    "refused": ("o", theme.MUTED, ("muted", "○", "refused")),
}
"""Of each end of a patch: the mark, its colour, and its entry in the legend."""


def plot(facts: Facts) -> Plot:
    stories = facts.told.stories if facts.told else []
    names = chosen(facts, stories)
    if not names:
        return Plot("path", TITLE, "Not drawn: no parameter ever changed.")
    starts = template_values(facts)
    return Plot(
        "path",
        TITLE,
        _caption(stories),
        tuple(_draw(facts, name, starts, stories) for name in names),
        wide=len(names) > 1,
        legend=tuple(entry for status, (_, _, entry) in _MARKS.items() if any(s.status == status for s in stories)),
    )


def chosen(facts: Facts, stories: Sequence[PatchStory]) -> list[str]:
    """The parameters worth a panel: those patched most, then those that took the most values."""
    patched = Counter(step.parameter for story in stories for step in story.steps)
    taken: dict[str, set[Value]] = {}
    for values in facts.values.values():
        for name, value in values.items():
            taken.setdefault(name, set()).add(value)
    moved = [name for name, values in taken.items() if len(values) > 1 or patched[name]]
    return sorted(moved, key=lambda name: (-patched[name], -len(taken[name]), name))[:PANELS]


def template_values(facts: Facts) -> dict[str, dict[str, Value]]:
    """Of every test of a segment that learns, the values of the run it descends from."""
    found: dict[str, dict[str, Value]] = {}
    for segment in facts.segments:
        if segment.goal == "walk_forward":
            continue
        runs = {run.run_id: {item.name: item.value for item in run.params} for run in segment.variations}
        found |= {test.test_id: runs.get(test.parent_run or "", {}) for test in segment.results}
    return found


def _draw(facts: Facts, name: str, starts: dict[str, dict[str, Value]], stories: Sequence[PatchStory]) -> Drawn:
    marks = [(story, step) for story in stories if (step := story.step(name))]
    own = [_number(facts.values[test.test_id].get(name)) for test in facts.tests]
    base = [_number(starts.get(test.test_id, {}).get(name)) for test in facts.tests]
    reached = [value for value in (*own, *(_number(step.new) for _, step in marks)) if value == value]
    panel = Panel(Canvas(theme.HALF, 220), (56, 10, 42, 30), (0.5, len(own) + 0.5), padded(reached, 0.12))
    edge = 0.5
    for segment in facts.segments[:-1]:
        edge += len(segment.results)
        panel.upright(edge, theme.GRID)
    if isinstance(next((v[name] for v in facts.values.values() if name in v), None), bool):
        for place in (0, 1):
            panel.text(0.5, place, formatting.setting(bool(place)), dx=-8, ha="right")
    else:
        panel.scale_up(3)
    strayed = [(x, y) for x, (y, from_) in enumerate(zip(own, base, strict=True), start=1) if y == y and y != from_]
    panel.dots(strayed, theme.NOISE, 3)
    panel.line(*steps(base), theme.SERIES[0], 2)
    for story, step in marks:
        _mark(panel, facts, story, step)
    panel.scale_across(5, "test")
    panel.text(0.5, panel.up[1], name, theme.INK, dx=-56, dy=29, ha="left", va="top")
    return theme.render(panel.canvas, f"{name} over the tests, with its patches", facts.simulated)


def _number(value: Value | None) -> float:
    return math.nan if value is None else float(value)


def steps(line: Sequence[float]) -> tuple[list[float], list[float]]:
    """The corners of a stepped line through *line*, with a gap where it is not a number."""
    xs: list[float] = []
    ys: list[float] = []
    for place, value in enumerate(line, start=1):
        if ys and (ys[-1] == value or (ys[-1] != ys[-1] and value != value)):
            xs[-1] = place + 0.5
            continue
        xs += [place - 0.5, place + 0.5]
        ys += [value, value]
    return xs, ys


def _mark(panel: Panel, facts: Facts, story: PatchStory, step: JournalStep) -> None:
    """The patch where it began to reach tests: its step, and at the new value what became of it."""
    start = story.start
    place = facts.place.get(f"seg{start[0]}_test{start[1]:03d}") if start else None
    if place is None:
        return
    symbol, colour, _ = _MARKS[story.status]
    old, new = _number(step.old), _number(step.new)
    panel.line((place - 0.5, place - 0.5), (old, new), colour, 1, ":")
    panel.mark(place - 0.5, new, symbol, colour, hollow=story.status == "refused")


def _caption(stories: Sequence[PatchStory]) -> str:
    how = (
        "The line is the value that tests started from and dots are tests that strayed from it; a mark is a patch, "
        "at its new value and the first test it reached"
    )
    if not stories:
        return f"{how}; nothing was patched in this campaign."
    count = Counter(story.status for story in stories)
    told = formatting.listed(
        f"{count[status]} {entry[2]}" for status, (_, _, entry) in _MARKS.items() if count[status]
    )
    kept = [
        (s.effect.p_value, s) for s in stories if s.status == "kept" and s.effect and s.effect.p_value is not None
    ]
    _, best = min(kept, key=lambda pair: pair[0], default=(None, None))
    worth = (
        f", the surest of those kept on {best.steps[-1].parameter} ({effect(best.effect)})"
        if best and best.effect
        else ""
    )
    return f"{how}; of {formatting.plural(len(stories), 'patch', 'patches')}: {told}{worth}."

"""tables owns the tables behind the verdict: figures, finalists, segments, leaderboard, data and settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from maestro.report import formatting
from maestro.report.campaign_data import Facts
from maestro_protocol.messages.campaign import Figure, Finalist
from maestro_protocol.messages.report import Metrics, SegmentFinished
from maestro_protocol.space import Value

Kind = Literal["text", "name", "num", "code", "mark"]
"""``text`` is prose and may wrap; a ``name`` does not; a ``mark`` is one of a few words that are told by colour."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells as they are read; a cell may hold foreign text, and every page escapes it its own way."""

    name: str
    title: str
    columns: tuple[tuple[str, Kind], ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def behind_verdict(facts: Facts) -> Table | None:
    if facts.verdict is None or not facts.verdict.figures:
        return None
    return Table(
        "behind",
        "Behind the verdict",
        (("Figure", "text"), ("Value", "num"), ("Wanted", "text"), ("Passes", "mark"), ("What it is", "text")),
        tuple(
            (f.name, formatting.shown(f.value), formatting.wanted(f.threshold), formatting.passed(f.passes), f.about)
            for f in facts.verdict.figures
        ),
    )


def finalists(facts: Facts) -> Table | None:
    if facts.verdict is None or not facts.verdict.finalists:
        return None
    return Table(
        "finalists",
        "Finalists",
        (
            ("Run", "code"), ("Methods", "name"), ("Survives", "mark"),
            ("Open: trades", "num"), ("PnL, USD", "num"), ("Sharpe", "num"),
            ("Sealed: trades", "num"), ("PnL, USD", "num"), ("Sharpe", "num"), ("Deepest fall, USD", "num"),
        ),
        tuple(
            (f.run_id, formatting.methods(f.methods), formatting.passed(f.survives, "undecided"),
             *_brief(f.open_part), *_brief(f.holdout), formatting.usd(f.holdout.maxdd if f.holdout else None, 0))
            for f in facts.verdict.finalists
        ),
        "The best distinct configurations of the search, over the whole open part of the data and then over the "
        "sealed part, which code opened for them at the end.",
    )  # fmt: skip


def _brief(metrics: Metrics | None) -> tuple[str, str, str]:
    if metrics is None:
        return formatting.UNKNOWN, formatting.UNKNOWN, formatting.UNKNOWN
    return f"{metrics.n_trades:,}", formatting.usd(metrics.total_pnl, 0), formatting.fixed(metrics.sharpe)


def further_metrics(facts: Facts) -> Table | None:
    """The metrics that the campaign asked for beside the fixed ones: over all tests, and of each finalist."""
    asked, finished = facts.config.metrics, facts.finished
    if not asked or finished is None:
        return None
    found = facts.verdict.finalists if facts.verdict else ()
    parts = (finished.train, finished.validation, finished.whole)
    kept = [part for finalist in found for part in (finalist.open_part, finalist.holdout)]
    return Table(
        "further",
        "Metrics asked for",
        (
            ("Metric", "text"), ("Unit", "name"), ("Better", "name"),
            ("All tests: train", "num"), ("validation", "num"), ("whole", "num"),
            *((f"{finalist.run_id}: {part}", "num") for finalist in found for part in ("open", "sealed")),
        ),
        tuple(
            (m.label, m.unit, m.better, *(_further(part, m.name) for part in (*parts, *kept))) for m in asked
        ),
        "Over all tests it is the mean of those in which the metric is defined.",
    )  # fmt: skip


def _further(metrics: Metrics | None, name: str) -> str:
    return formatting.fixed(None if metrics is None else metrics.extra.get(name))


def finalist_figures(facts: Facts) -> Table | None:
    """What each honest test said of each finalist: a row a test, a column a finalist."""
    found = facts.verdict.finalists if facts.verdict else ()
    wanted = {figure.name: figure.threshold for finalist in found for figure in finalist.figures}
    if not wanted:
        return None
    by_name = [{figure.name: figure for figure in finalist.figures} for finalist in found]
    return Table(
        "finalist-figures",
        "Each test of each finalist",
        (("Test", "text"), ("Wanted", "text"), *((finalist.run_id, "num") for finalist in found)),
        tuple(
            (name, formatting.wanted(threshold), *(_answer(figures.get(name)) for figures in by_name))
            for name, threshold in wanted.items()
        ),
    )


def _answer(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return formatting.UNKNOWN
    mark = {True: " ✓", False: " ✗", None: ""}[figure.passes]
    return formatting.shown(figure.value) + mark


def parameters(facts: Facts) -> Table | None:
    """The finalists' parameters: those that differ row by row, the common ones in the note."""
    found = facts.verdict.finalists if facts.verdict else ()
    if not found:
        return None
    values = [_values(finalist) for finalist in found]
    names = list(dict.fromkeys(name for given in values for name in given))
    same = [name for name in names if len(found) > 1 and len({given.get(name) for given in values}) == 1]
    rows = [(name, *(formatting.setting(given.get(name)) for given in values)) for name in names if name not in same]
    shared = ", ".join(f"{name} {formatting.setting(values[0].get(name))}" for name in same)
    return Table(
        "parameters",
        "Parameters of the finalists",
        (("Parameter", "code"), *((finalist.run_id, "num") for finalist in found)),
        tuple(rows),
        f"The same in all: {shared}." if shared else "",
    )


def _values(finalist: Finalist) -> dict[str, Value]:
    return {item.name: item.value for item in finalist.params}


def memory(facts: Facts) -> Table | None:
    """Validation results before and after the end of what each model may remember, apart."""
    if facts.finished is None or not facts.finished.memory:
        return None
    rows: list[tuple[str, ...]] = []
    for known in facts.finished.memory:
        who = (known.role, known.model, formatting.day(known.knows_until))
        rows.append((*who, "up to then", *_brief(known.before)))
        rows.append((*who, "after it", *_brief(known.after)))
    return Table(
        "memory",
        "What models may remember",
        (
            ("Role", "text"), ("Model", "text"), ("Knows until", "text"), ("Validation parts", "text"),
            ("Trades", "num"), ("PnL, USD", "num"), ("Sharpe", "num"),
        ),
        tuple(rows),
        "A model may have read about the markets up to the end of its knowledge; only results after it are free of "
        "memory.",
    )  # fmt: skip


def segments(facts: Facts) -> Table | None:
    if not facts.segments:
        return None
    return Table(
        "segments",
        "Segments",
        (
            ("Segment", "num"), ("Goal", "name"), ("Tests", "num"), ("Trades", "num"), ("PnL, USD", "num"),
            ("Winners", "num"), ("Payoff", "num"), ("Blunders per 100", "num"), ("Mean fall, USD", "num"),
            ("Score: train", "num"), ("validation", "num"), ("Patches", "num"), ("refused", "num"),
            ("Efficiency", "num"),
        ),
        tuple(map(_segment, facts.segments)),
        "After all costs. A score of 100 means that every target is exactly met. Efficiency is what a day earned on "
        "validation for each dollar it earned in training; it exists for walk-forward segments whose training made "
        "money.",
    )  # fmt: skip


def _segment(segment: SegmentFinished) -> tuple[str, ...]:
    whole = segment.whole
    return (
        str(segment.segment),
        formatting.GOALS[segment.goal],
        f"{segment.tests:,}",
        f"{whole.n_trades:,}",
        formatting.usd(whole.total_pnl),
        formatting.percent(whole.hit, 1),
        formatting.fixed(whole.payoff),
        formatting.fixed(whole.blunders_per_100, 1),
        formatting.usd(whole.maxdd, 0),
        formatting.fixed(segment.train.score, 1),
        formatting.fixed(segment.validation.score, 1),
        str(segment.patches_applied),
        str(segment.patches_refused),
        formatting.fixed(segment.walk_forward_efficiency),
    )


_BOARD: tuple[tuple[str, str, Kind, int | None], ...] = (
    ("rank", "Rank", "num", 0),
    ("test_id", "Test", "code", None),
    ("methods", "Methods", "name", None),
    ("validation_sharpe", "Sharpe: validation", "num", 2),
    ("train_sharpe", "train", "num", 2),
    ("validation_pnl", "PnL, USD: validation", "num", 2),
    ("total_pnl", "whole", "num", 2),
    ("n_trades", "Trades", "num", 0),
    ("score", "Score", "num", 1),
    ("params", "Differs from the defaults in", "text", None),
)


def leaderboard(facts: Facts) -> Table | None:
    if not facts.leaderboard:
        return None
    return Table(
        "leaderboard",
        "Top of the leaderboard",
        tuple((title, kind) for _, title, kind, _ in _BOARD),
        tuple(tuple(_cell(row.get(name), digits) for name, _, _, digits in _BOARD) for row in facts.leaderboard),
        "Single tests by validation Sharpe ratio. With so many short tests some look splendid by luck alone: "
        "this table shows where to look, and proves nothing. All tests are in leaderboard.csv.",
    )


def _cell(text: str | None, digits: int | None) -> str:
    if not text:
        return formatting.UNKNOWN
    if digits is None:
        return text
    try:
        return formatting.fixed(float(text), digits)
    except ValueError:
        return text


def present(found: Sequence[Table | None]) -> tuple[Table, ...]:
    """Those that there are."""
    return tuple(table for table in found if table is not None)

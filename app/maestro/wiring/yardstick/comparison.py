"""comparison owns what the study says: each arm on each market, and each against the race, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maestro.wiring.yardstick.cells import Limit, Result

DRAWS = 4_000
MEDIUM = (250.0, 900.0)
"""Between which limits, USD a day, a market is worth searching and not plain to see."""
ALL = "all medium"


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One arm on one market. Amounts are USD a day after costs at 100,000 notional."""

    market: str
    size: str
    arm: str
    seeds: int
    limit: float | None
    edge: Interval | None
    """Of the pick, whether it would be traded or not; null where no pick was ever named."""
    traded: Interval
    """The same where it would be traded, 0 where the arm stands aside."""
    aside: float
    """Share of seeds in which it stands aside."""
    percent: float | None
    """*edge* in percent of the limit; null where there is nothing to find."""
    over: Interval | None
    """*edge* over that of the arm compared with, on the same seeds; null for itself."""
    first_seen: float | None
    """Median number of tests after which the pick was first seen."""
    tests: float
    seconds: float
    words: tuple[tuple[str, int], ...]
    """How often each verdict was given, where there was one."""


def compare(results: Sequence[Result], limits: Sequence[Limit], base: str) -> list[ArmRow]:
    """A row for each arm on each market, in the order of *results*; differences are against the arm *base*."""
    known = {(limit.market, limit.size): limit.edge for limit in limits}
    cells: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        cells.setdefault((result.market, result.size, result.arm), []).append(result)
    return [
        _row(cells[cell], known.get(cell[:2]), cells.get((cell[0], cell[1], base), []) if cell[2] != base else [])
        for cell in sorted(cells, key=lambda cell: cell[:2])
    ]


def _row(own: Sequence[Result], limit: float | None, base: Sequence[Result]) -> ArmRow:
    edges = {r.seed: r.edge for r in own if r.edge is not None}
    theirs = {r.seed: r.edge for r in base if r.edge is not None}
    paired = [edges[seed] - theirs[seed] for seed in sorted(edges.keys() & theirs.keys())]
    firsts = [r.first_seen for r in own if r.first_seen is not None]
    edge = interval(list(edges.values())) if edges else None
    words = [r.word for r in own if r.word is not None]
    return ArmRow(
        market=own[0].market,
        size=own[0].size,
        arm=own[0].arm,
        seeds=len(own),
        limit=limit,
        edge=edge,
        traded=interval([r.traded for r in own]),
        aside=sum(r.aside for r in own) / len(own),
        percent=100 * edge.mean / limit if limit and edge else None,
        over=interval(paired) if paired else None,
        first_seen=float(np.median(firsts)) if firsts else None,
        tests=sum(r.tests for r in own) / len(own),
        seconds=sum(r.seconds for r in own) / len(own),
        words=tuple((word, words.count(word)) for word in sorted(set(words))),
    )


@dataclass(frozen=True, slots=True)
class Overall:
    """One arm over all markets of a medium limit, each market counted once, and over those with nothing to find."""

    arm: str
    percent: float | None
    """Mean percent of the limit of its picks."""
    traded_percent: float | None
    """The same with its standing aside as 0."""
    nothing: float | None
    """What it earns a day where there is nothing to find, standing aside counted as 0, the mean over markets."""


def overall(rows: Sequence[ArmRow]) -> list[Overall]:
    """Every arm in the order of *rows*, the best percent first."""
    arms = list(dict.fromkeys(row.arm for row in rows))
    found: list[Overall] = []
    for name in arms:
        own = [row for row in rows if row.arm == name]
        medium = [r for r in own if r.limit is not None and MEDIUM[0] <= r.limit <= MEDIUM[1]]
        empty = [row for row in own if row.limit is not None and row.limit <= 0.0]
        found.append(
            Overall(
                name,
                _mean([r.percent for r in medium if r.percent is not None]),
                _mean([100 * r.traded.mean / r.limit for r in medium if r.limit]),
                _mean([row.traded.mean for row in empty]),
            )
        )
    return sorted(found, key=lambda each: (each.percent is None, -(each.percent or 0.0)))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def interval(values: Sequence[float]) -> Interval:
    """The mean of *values* with its 95 % percentile bootstrap interval; seeds are independent of each other."""
    array = np.array(values)
    random = np.random.Generator(np.random.PCG64(0))
    means = array[random.integers(len(array), size=(DRAWS, len(array)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(array.mean()), float(low), float(high))

"""estimates owns what a variant is worth by what was seen of it, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maestro_agents.search.space import Variant

SWEEPS = 8
"""Rounds by which effects of windows and of variants are told apart; later ones change less than a cent."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One backtest: one variant on one window. Amounts are USD a day of the window."""

    variant: Variant
    window: int
    gross: float
    """Before fees and slippage."""
    costs: float
    """Fees, slippage and funding, as measured; funding received makes them less."""
    exposure: float
    """Share of the window's bars at whose close a position was open."""
    trades: int
    days: float

    @property
    def net(self) -> float:
        return self.gross - self.costs


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a variant is expected to earn, USD a day after costs."""

    variant: Variant
    net: float
    """Gross a unit of exposure, shrunk towards its method set's, times exposure, less measured costs."""
    raw: float
    """The plain mean over the windows seen."""
    noise: float
    """Standard error of *raw* by chance: volatility of what a position earns, times root of exposure over days."""
    costs: float
    exposure: float
    trades: int
    windows: int

    @property
    def z(self) -> float:
        """*net* over its noise: what is left after shrinkage, in standard errors; 0 where nothing was ever traded."""
        return self.net / self.noise if self.noise > 0 else 0.0


@dataclass(frozen=True, slots=True)
class _Cell:
    """One backtest as the model sees it: what an exposed day earned before costs, and how many there were."""

    window: int
    rate: float
    exposed: float


@dataclass(frozen=True, slots=True)
class _Effects:
    """Of one method set: what an exposed day earns on all windows alike, and what each variant adds to it."""

    mean: float
    added: Mapping[Variant, float]


def estimate_all(seen: Sequence[Observation]) -> list[Estimate]:
    """An estimate of every variant in *seen*, the best first; ties by what was seen first.

    The gross of an exposed day of variant i on window w is m[w] + a[i] + noise of variance s^2 / e[i, w], e being
    exposed days: m is what its method set earns there (all its variants trade the same path, so a good window is no
    merit of theirs), a ~ N(0, t^2) the variant's own. s^2 and t^2 by moments (DerSimonian, Laird 1986); a is its
    expectation given the data, t^2 / (t^2 + s^2 / e[i]) of what was seen (Henderson 1975; Efron, Morris 1975).
    """
    grouped: dict[Variant, list[Observation]] = {}
    for each in seen:
        grouped.setdefault(each.variant, []).append(each)
    sets: dict[tuple[str, ...], dict[Variant, list[_Cell]]] = {}
    for variant, own in grouped.items():
        cells = [_Cell(o.window, o.gross / o.exposure, o.exposure * o.days) for o in own if o.exposure > 0]
        sets.setdefault(variant.methods, {})[variant] = cells
    scatter = _scatter(list(sets.values()))
    effects = {methods: _effects(cells, scatter) for methods, cells in sets.items()}
    volatility = _volatility(seen, {methods: found.mean for methods, found in effects.items()})
    found = [_estimate(variant, own, effects[variant.methods], volatility) for variant, own in grouped.items()]
    return sorted(found, key=lambda e: -e.net)


def _mean(values: Sequence[tuple[float, float]]) -> float:
    """The mean of values, each with its weight; 0 of nothing."""
    weight = math.fsum(w for _, w in values)
    return math.fsum(v * w for v, w in values) / weight if weight > 0 else 0.0


def _window_means(cells: Mapping[Variant, Sequence[_Cell]], added: Mapping[Variant, float]) -> dict[int, float]:
    by_window: dict[int, list[tuple[float, float]]] = {}
    for variant, own in cells.items():
        for cell in own:
            by_window.setdefault(cell.window, []).append((cell.rate - added.get(variant, 0.0), cell.exposed))
    return {window: _mean(values) for window, values in by_window.items()}


def _differences(cells: Mapping[Variant, Sequence[_Cell]], means: Mapping[int, float]) -> dict[Variant, float]:
    """What each variant earned over its set on the windows it was on, an exposed day."""
    return {v: _mean([(c.rate - means[c.window], c.exposed) for c in own]) for v, own in cells.items()}


def _scatter(sets: Sequence[Mapping[Variant, Sequence[_Cell]]]) -> float:
    """s^2: what a variant's exposed day scatters by around its set's and its own mean, over all sets."""
    terms, freedom = [0.0], 0
    for cells in sets:
        added: dict[Variant, float] = {}
        means: dict[int, float] = {}
        for _ in range(SWEEPS):
            means = _window_means(cells, added)
            added = _differences(cells, means)
        traded = {variant: own for variant, own in cells.items() if own}
        terms += [c.exposed * (c.rate - means[c.window] - added[v]) ** 2 for v, own in traded.items() for c in own]
        freedom += max(0, sum(map(len, traded.values())) - len(traded) - len(means) + 1)
    return math.fsum(terms) / freedom if freedom else 0.0


def _effects(cells: Mapping[Variant, Sequence[_Cell]], scatter: float) -> _Effects:
    weights = {variant: math.fsum(c.exposed for c in own) for variant, own in cells.items()}
    added: dict[Variant, float] = {}
    means: dict[int, float] = {}
    for _ in range(SWEEPS):
        means = _window_means(cells, added)
        seen = _differences(cells, means)
        between = _between(seen, weights, scatter)
        added = {
            v: between / (between + scatter / weights[v]) * d for v, d in seen.items() if weights[v] > 0 < between
        }
    return _Effects(math.fsum(means.values()) / len(means) if means else 0.0, added)


def _between(seen: Mapping[Variant, float], weights: Mapping[Variant, float], scatter: float) -> float:
    """t^2: what variants truly differ by, which is what their scatter has over chance; never below 0."""
    traded = [(weights[v], d) for v, d in seen.items() if weights[v] > 0]
    total = math.fsum(w for w, _ in traded)
    if len(traded) < 2:
        return 0.0
    middle = _mean([(d, w) for w, d in traded])
    found = math.fsum(w * (d - middle) ** 2 for w, d in traded)
    spread = total - math.fsum(w * w for w, _ in traded) / total
    return max(0.0, (found - (len(traded) - 1) * scatter) / spread) if spread > 0 else 0.0


def _volatility(seen: Sequence[Observation], means: Mapping[tuple[str, ...], float]) -> float:
    """Variance of what an exposed day earns by chance, the path that all share included, USD squared."""
    terms = [
        o.days * (o.gross - means[o.variant.methods] * o.exposure) ** 2 / o.exposure for o in seen if o.exposure > 0
    ]
    return math.fsum(terms) / len(terms) if terms else 0.0


def _estimate(variant: Variant, own: Sequence[Observation], effects: _Effects, volatility: float) -> Estimate:
    days = math.fsum(o.days for o in own)
    exposure = math.fsum(o.exposure * o.days for o in own) / days
    costs = math.fsum(o.costs * o.days for o in own) / days
    rate = effects.mean + effects.added.get(variant, 0.0)
    return Estimate(
        variant=variant,
        net=rate * exposure - costs,
        raw=math.fsum(o.net * o.days for o in own) / days,
        noise=math.sqrt(volatility * exposure / days),
        costs=costs,
        exposure=exposure,
        trades=sum(o.trades for o in own),
        windows=len(own),
    )

"""regimes owns made-up bars: seeded, labelled as simulated, with a known amount of edge in each regime."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from maestro_engine.data.bars import Bars, Floats, Ints
from maestro_engine.data.digest import sealed
from maestro_engine.data.timeframes import name_of
from maestro_protocol.errors import ParameterError

Kind = Literal["noise", "trending", "mean_reverting", "volatility_clusters", "mixed", "planted"]

MAX_BARS = 2_000_000
RULE_BARS = 48
"""Look-back and holding time of the planted rule: four hours of 5m bars."""

_SUB_STEPS = 4  # stretches of a bar's path, each a Brownian bridge
_BAR_VOLATILITY = 0.0012  # of a 5m bar's log return: 2 % a day, as of BTCUSDT in 2025
_BAR_NOTIONAL = 15e6  # quote currency traded in a 5m bar
_FIVE_MINUTES = 300_000
_REGIME_BARS = 576  # mean length of a regime of ``mixed``
_DRIFT_HALF_LIFE = 96.0  # bars
_DRIFT_DECAY = 0.5 ** (1 / _DRIFT_HALF_LIFE)


@dataclass(frozen=True, slots=True)
class _Regime:
    """Per bar, in units of the bar's own volatility."""

    drift: float = 0.0  # standard deviation of the slowly changing drift
    pull: float = 0.0  # share of the distance to the anchor that is undone each bar
    slow: float = 0.25  # volatility of log volatility with a half-life of a day
    fast: float = 0.35  # the same with a half-life of an hour


_BLOCK = 4_096
_NOISE = _Regime()
_REGIMES = (_NOISE, _Regime(drift=0.15), _Regime(pull=0.05), _Regime(slow=0.5, fast=0.6))
_BY_KIND = dict(zip(("noise", "trending", "mean_reverting", "volatility_clusters"), _REGIMES, strict=True))
_STEADY = _Regime(slow=0.0, fast=0.0)


def simulate_bars(
    kind: Kind,
    seed: int,
    n: int = 52_128,
    step_ms: int = _FIVE_MINUTES,
    start_ms: int = 1_735_689_600_000,
    price: float = 60_000.0,
    *,
    edge: float = 0.003,
) -> Bars:
    """*n* bars of regime *kind* from *start_ms* (UTC) at *price*; the same arguments give the same bits.

    ``noise`` and ``volatility_clusters``: the price is a martingale, so no rule has an edge before costs; size of
    moves clusters and has fat tails, direction is unpredictable. ``trending``: a drift that persists (half-life 96
    bars) and is 0.15 of a bar's volatility. ``mean_reverting``: 5 % of the distance to a wandering anchor is undone
    each bar. ``mixed``: these four in turn, each for 576 bars on average, length geometric.
    ``planted``: constant volatility and a persistent drift of such size that ``planted_rule_returns`` has
    expectation *edge* (a fraction: 0.003 is 0.3 % a trade before costs); *edge* is not used by other kinds.

    Taker-buy volume follows the bar's own return and tells nothing of the next. Raises ParameterError
    when an argument is out of its range.
    """
    _check(kind, seed, n, step_ms, start_ms, price, edge)
    random = np.random.Generator(np.random.PCG64(seed))
    volatility = _BAR_VOLATILITY * math.sqrt(step_ms / _FIVE_MINUTES)
    if kind == "planted":
        regimes, labels = (_Regime(_planted_drift(edge / volatility), slow=0.0, fast=0.0),), np.zeros(n, np.int64)
    elif kind == "mixed":
        regimes, labels = _REGIMES, _switching(random, n)
    else:
        regimes, labels = (_BY_KIND[kind],), np.zeros(n, np.int64)
    activity = _volatility(random, regimes, labels)
    sigma = volatility * activity
    paths = _paths(random, regimes, labels, sigma)
    opens, highs, lows, closes = _log_prices(random, paths, sigma)
    # Prices lie on ticks, as traded ones do; that also keeps the last bits of exp() out of the digest.
    decimals = max(0, 6 - math.floor(math.log10(price)))

    def priced(log_prices: Floats) -> Floats:
        return np.maximum(np.round(price * np.exp(log_prices), decimals), 10.0**-decimals)

    lots = _BAR_NOTIONAL * step_ms / _FIVE_MINUTES / price
    volume, taker_buy_volume = _volumes(random, lots, activity, paths[:, -1] / sigma)
    return sealed(
        Bars(
            symbol=f"SIM-{kind.upper().replace('_', '-')}",
            step_ms=step_ms,
            open_time=start_ms + step_ms * np.arange(n, dtype=np.int64),
            open=priced(opens),
            high=priced(highs),
            low=priced(lows),
            close=priced(closes),
            volume=volume,
            taker_buy_volume=taker_buy_volume,
            source=f"simulated:{kind}:seed={seed}",
            simulated=True,
        )
    )


def shuffle_bars(bars: Bars, seed: int) -> Bars:
    """*bars* in a random order, each with its own gap from the close before it, its shape and its volume.

    What a rule could know of the next bar is gone; the moves, their tails and their costs are those of *bars*.
    """
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(bars))
    before: Floats = np.empty_like(bars.close)
    before[0], before[1:] = bars.open[0], bars.close[:-1]
    moves: Floats = np.cumsum(np.log(bars.close / before)[order])
    begun: Floats = np.zeros_like(moves)
    begun[1:] = moves[:-1]
    base: Floats = np.exp(begun) * bars.open[0]
    base /= before[order]

    def placed(prices: Floats) -> Floats:
        return np.maximum(np.round(prices[order] * base, 8), 1e-8)

    taker = None if bars.taker_buy_volume is None else bars.taker_buy_volume[order]
    return sealed(
        replace(
            bars,
            open=placed(bars.open),
            high=placed(bars.high),
            low=placed(bars.low),
            close=placed(bars.close),
            volume=bars.volume[order],
            taker_buy_volume=taker,
            source=f"shuffled:{bars.source}:seed={seed}"[:300],
            simulated=True,
        )
    )


def planted_rule_returns(bars: Bars) -> Floats:
    """Log return of each trade of the rule that ``planted`` is made for.

    At the close of every 48th bar, take the sign of the log return over the last 48 bars as side and hold it to the
    close 48 bars on; trades follow each other without overlap. Shape ``(len(bars) // 48 - 1,)``.
    """
    closes = np.log(bars.close[RULE_BARS - 1 :: RULE_BARS])
    moves = np.diff(closes, prepend=math.log(bars.open[0]))
    return np.sign(moves[:-1]) * moves[1:]


def _check(kind: str, seed: int, n: int, step_ms: int, start_ms: int, price: float, edge: float) -> None:
    if kind not in get_args(Kind):
        raise ParameterError(f"no simulated market {kind!r}; one of: {', '.join(get_args(Kind))}")
    if name_of(step_ms) is None:
        raise ParameterError(f"simulated bars of {step_ms} ms: that is no timeframe")
    fits = seed >= 0 and 2 <= n <= MAX_BARS and 10**11 <= start_ms <= 4 * 10**12 and 1e-3 <= price <= 1e7
    if not fits or not 0 <= edge <= 0.05:
        raise ParameterError(
            f"simulated bars: seed {seed} (at least 0), n {n} (2 to {MAX_BARS:,}), start {start_ms} (ms since 1970),"
            f" price {price} (0.001 to 10,000,000), edge {edge} (0 to 0.05): one is out of its range"
        )


def _planted_drift(edge: float) -> float:
    """Standard deviation of an AR(1) drift that gives the rule the expectation *edge*, both in bar volatilities.

    Past move X and next move Y over k bars are jointly normal with mean 0, so E[sign(X) Y] = sqrt(2/pi) Cov(X,Y) /
    sd(X). With drift variance v and decay a per bar: Cov = v C, Var(X) = k + v V, where C = a ((1-a^k)/(1-a))^2 and
    V = k + 2 sum_{l<k} (k-l) a^l. Squaring leaves a quadratic in v.
    """
    k, a = RULE_BARS, _DRIFT_DECAY
    covariance = a * ((1 - a**k) / (1 - a)) ** 2
    own = k + 2 * sum((k - lag) * a**lag for lag in range(1, k))
    lead = 2 / math.pi * covariance**2
    middle = edge**2 * own
    return math.sqrt((middle + math.sqrt(middle**2 + 4 * lead * edge**2 * k)) / (2 * lead))


def _switching(random: np.random.Generator, n: int) -> Ints:
    """A regime's number for each bar; never the same twice in a row."""
    lengths = random.geometric(1 / _REGIME_BARS, size=n)
    hops = random.integers(1, len(_REGIMES), size=n)
    enough = int(np.searchsorted(np.cumsum(lengths), n)) + 1
    return np.repeat(np.cumsum(hops[:enough]) % len(_REGIMES), lengths[:enough])[:n]


def _volatility(random: np.random.Generator, regimes: tuple[_Regime, ...], labels: Ints) -> Floats:
    """Each bar's volatility over the mean one, of mean square 1: log-normal, two persistent parts."""
    n = len(labels)
    log = np.zeros(n)
    for half_life, amplitudes in ((288.0, [r.slow for r in regimes]), (12.0, [r.fast for r in regimes])):
        amplitude = np.array(amplitudes)[labels]
        log += amplitude * _persistent(random, n, 0.5 ** (1 / half_life)) - amplitude**2
    return np.exp(log)


def _persistent(random: np.random.Generator, n: int, decay: float) -> Floats:
    """A stationary AR(1) series of mean 0 and variance 1."""
    shocks = random.standard_normal(n)
    shocks[1:] *= math.sqrt(1 - decay**2)
    values: list[float] = []
    value = 0.0
    for shock in shocks.tolist():
        value = decay * value + shock
        values.append(value)
    return np.array(values)


def _drift(
    random: np.random.Generator, regimes: tuple[_Regime, ...], labels: Ints, sigma: Floats, moves: Floats
) -> Floats:
    """Each bar's expected log return; all of it known before the bar begins."""
    n = len(labels)
    persistent = np.array([r.drift for r in regimes])[labels] * _persistent(random, n, _DRIFT_DECAY)
    # Half the variance off the log return makes the price, not its logarithm, a martingale.
    drift = sigma * persistent - sigma**2 / 2
    pulls = np.array([r.pull for r in regimes])[labels]
    if pulls.any():
        drift -= _pull(pulls, moves)
    return drift


def _pull(pulls: Floats, moves: Floats) -> Floats:
    """What is undone in each bar of the distance to the anchor; the anchor is where the regime began, and
    takes a tenth of each move along for good."""
    undone: list[float] = []
    distance = 0.0
    for pull, move in zip(pulls.tolist(), (0.9 * moves).tolist(), strict=True):
        back = pull * distance
        undone.append(back)
        distance = distance - back + move if pull else 0.0
    return np.array(undone)


def _paths(random: np.random.Generator, regimes: tuple[_Regime, ...], labels: Ints, sigma: Floats) -> Floats:
    """Log price after each sub-step of each bar, over the bar's open: shape ``(n, sub-steps)``."""
    paths = random.standard_normal((len(sigma), _SUB_STEPS))
    np.cumsum(paths, axis=1, out=paths)
    paths /= math.sqrt(_SUB_STEPS)
    paths *= sigma[:, None]
    drift = _drift(random, regimes, labels, sigma, paths[:, -1].copy())
    for rows in _blocks(len(sigma)):
        paths[rows] += drift[rows, None] * (np.arange(1, _SUB_STEPS + 1) / _SUB_STEPS)
    return paths


def _blocks(n: int) -> Iterator[slice]:
    """Bars a few thousand at a time: their sub-steps fit into the cache, and no copy of all of them is made."""
    return (slice(first, min(first + _BLOCK, n)) for first in range(0, n, _BLOCK))


def _log_prices(random: np.random.Generator, paths: Floats, sigma: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Open, high, low and close of each bar, as logarithms over the first price; *paths* begins after each open.

    High and low are those of a continuous path: the extreme of a Brownian bridge from a to b with variance s^2 is
    (a + b +- sqrt((b - a)^2 + 2 s^2 E)) / 2, E exponential. Were they those of a few steps only, a stop filled at
    its own price would gain what the step went beyond it, and noise would have an edge.
    """
    closes = np.cumsum(paths[:, -1])
    opens = np.concatenate(([0.0], closes[:-1]))
    variance = 2 * (sigma**2 / _SUB_STEPS)[:, None]

    def extremes(up: bool) -> Floats:
        """Twice the farthest reach of each bar's path, a block of bars at a time."""
        found = np.empty(len(paths))
        for rows in _blocks(len(paths)):
            ends = np.concatenate((np.zeros((len(found[rows]), 1)), paths[rows]), axis=1)
            middle, squared = ends[:, 1:] + ends[:, :-1], np.diff(ends, axis=1) ** 2
            reach = np.sqrt(squared + variance[rows] * random.standard_exponential(squared.shape))
            found[rows] = (middle + reach).max(axis=1) if up else (middle - reach).min(axis=1)
        return found

    highs = opens + extremes(up=True) / 2
    lows = opens + extremes(up=False) / 2
    return opens, np.maximum(highs, np.maximum(opens, closes)), np.minimum(lows, np.minimum(opens, closes)), closes


def _volumes(random: np.random.Generator, lots: float, activity: Floats, move: Floats) -> tuple[Floats, Floats]:
    """Volume and taker-buy volume: larger in busy bars and with large moves, buying with the bar's own *move*."""
    n = len(move)
    busy = np.exp(0.8 * np.log(activity) + 0.4 * np.abs(move) + 0.4 * random.standard_normal(n))
    volume = np.round(np.maximum(lots * busy, 0.001), 3).astype(np.float64)
    buying = np.clip(0.5 + 0.12 * np.tanh(move) + 0.05 * random.standard_normal(n), 0.02, 0.98)
    return volume, np.minimum(np.round(volume * buying, 3), volume)

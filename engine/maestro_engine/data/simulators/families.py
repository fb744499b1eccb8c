"""families owns made-up markets whose edge has a known kind and size, for measuring what a search finds.

Every family starts at 50,000. Bar *t* opens where the last one closed and its log return is

    r[t] = drift[t] + v[t] e[t],     v[t] = 0.0012 s[t] exp(0.2 u[t]),     e, u ~ N(0, 1)

with volatility scale s = 1 unless said. High and low lie |N(0, 0.4)| v[t] beyond the body. ``none`` is the size 0.

| family | drift[t] | size |
|---|---|---|
| ``trend`` | +-size, the sign alternating, in stretches of geometric length 150 | log return a bar |
| ``cycle`` | c[t] - c[t-1], c an AR(2) cycle of 140 bars and damping 0.985 | standard deviation of c |
| ``burst`` | +-size in volatile spells (geometric 60, s = 1.6), 0 between them (180, s = 0.8) | log return a bar |
| ``reversion`` | -size x the distance from an anchor, a tenth of each move stays | share of the distance a bar |
| ``fading`` | as ``trend`` in the first three fifths of the bars, 0 from then on | log return a bar |
| ``noise`` | 0; v[t]^2 is GARCH(1, 1) with alpha 0.06, beta 0.92 (Bollerslev 1986) | none |
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from maestro_engine.data.bars import Bars, Floats
from maestro_engine.data.digest import sealed
from maestro_protocol.errors import ParameterError

Family = Literal["trend", "cycle", "burst", "reversion", "fading", "noise"]

SIZES: Mapping[Family, Mapping[str, float]] = {
    "trend": {"none": 0.0, "small": 0.00008, "medium": 0.00012, "large": 0.00018},
    "cycle": {"none": 0.0, "small": 0.0036, "medium": 0.0048, "large": 0.0060},
    "burst": {"none": 0.0, "small": 0.00028, "medium": 0.00035, "large": 0.00045},
    "reversion": {"none": 0.0, "small": 0.02, "medium": 0.05, "large": 0.1},
    "fading": {"none": 0.0, "small": 0.00008, "medium": 0.00012, "large": 0.00018},
    "noise": {"none": 0.0},
}
"""The sizes that studies name."""

MAX_BARS = 2_000_000
FADES_AT = 0.6
"""Share of the bars of ``fading`` that have the edge."""

_STEP_MS = 300_000
_START_MS = 1_735_689_600_000
_PRICE = 50_000.0
_VOLATILITY = 0.0012
_STRETCH, _SPELL, _CALM = 150, 60, 180  # mean lengths, bars
_PERIOD, _DAMPING = 140, 0.985
_ALPHA, _BETA = 0.06, 0.92
_LARGEST = 0.2
_LOTS = 300.0  # base currency in a bar

Random = np.random.Generator


def family_bars(family: Family, size: float, seed: int, n: int = 52_000) -> Bars:
    """*n* 5m bars of *family* with an edge of *size* (its unit is in the table above); same arguments, same bits.

    Taker-buy volume follows the bar's own return and tells nothing of the next. Raises ParameterError for an unknown
    family or a number out of its range (size 0 to 0.2, n 2 to 2,000,000, seed from 0).
    """
    if family not in get_args(Family):
        raise ParameterError(f"no family {family!r} of markets; one of: {', '.join(get_args(Family))}")
    if not (0.0 <= size <= _LARGEST and 2 <= n <= MAX_BARS and seed >= 0):
        raise ParameterError(
            f"family {family}: size {size} (0 to {_LARGEST}), n {n} (2 to {MAX_BARS:,}), seed {seed}"
        )
    random = np.random.Generator(np.random.PCG64([seed, *family.encode()]))
    volatility, drift = _garch(random, n), np.zeros(n)
    if family != "noise":
        volatility = _VOLATILITY * np.exp(0.2 * random.standard_normal(n))
    if family in ("trend", "fading"):
        drift = _stretches(random, n, size)
        drift[int(n * FADES_AT) if family == "fading" else n :] = 0.0
    elif family == "cycle":
        drift = np.diff(_cycle(random, n + 1, size))
    elif family == "burst":
        spells, signs = _spells(random, n)
        drift, volatility = size * signs * spells, volatility * np.where(spells, 1.6, 0.8)
    shocks = volatility * random.standard_normal(n)
    returns = _pulled(shocks, size) if family == "reversion" else drift + shocks
    return _bars(
        random, returns, volatility, f"SIM-{family.upper()}", f"simulated:{family}:size={size:g}:seed={seed}"
    )


def _bars(random: Random, returns: Floats, volatility: Floats, symbol: str, source: str) -> Bars:
    n = len(returns)
    closes = np.cumsum(returns)
    opens = np.concatenate(([0.0], closes[:-1]))
    above, below = (np.abs(0.4 * random.standard_normal(n)) * volatility for _ in range(2))
    log_prices = (opens, np.maximum(opens, closes) + above, np.minimum(opens, closes) - below, closes)
    prices = [np.maximum(np.round(_PRICE * np.exp(log), 2), 0.01) for log in log_prices]
    moves = returns / volatility
    volume = np.round(_LOTS * np.exp(0.4 * np.abs(moves) + 0.4 * random.standard_normal(n)), 3)
    buying = np.clip(0.5 + 0.12 * np.tanh(moves) + 0.05 * random.standard_normal(n), 0.02, 0.98)
    return sealed(
        Bars(
            symbol,
            _STEP_MS,
            _START_MS + _STEP_MS * np.arange(n, dtype=np.int64),
            *prices,
            volume=volume,
            taker_buy_volume=np.minimum(np.round(volume * buying, 3), volume),
            source=source,
            simulated=True,
        )
    )


def _stretches(random: Random, n: int, size: float) -> Floats:
    """+-*size*, the sign alternating after each geometric length."""
    lengths = random.geometric(1 / _STRETCH, size=n)
    count = int(np.searchsorted(np.cumsum(lengths), n)) + 1
    signs = np.where((np.arange(count) + random.integers(2)) % 2, size, -size)
    return np.repeat(signs, lengths[:count])[:n]


def _spells(random: Random, n: int) -> tuple[np.ndarray, Floats]:
    """Whether each bar is in a volatile spell, and the sign of its spell; calm and volatile take turns."""
    lengths = random.geometric(np.where(np.arange(n) % 2, 1 / _SPELL, 1 / _CALM))
    count = int(np.searchsorted(np.cumsum(lengths), n)) + 1
    signs = random.choice(np.array([-1.0, 1.0]), count)
    return (np.repeat(np.arange(count) % 2 == 1, lengths[:count])[:n], np.repeat(signs, lengths[:count])[:n])


def _cycle(random: Random, n: int, deviation: float) -> Floats:
    """A stationary AR(2) series with complex roots: x[t] = 2 d cos(2 pi / p) x[t-1] - d^2 x[t-2] + e[t].

    Its variance is (1 - b) s^2 / ((1 + b) ((1 - b)^2 - a^2)), a and b the two coefficients (Box, Jenkins 1970, 3.2).
    """
    a, b = 2 * _DAMPING * math.cos(2 * math.pi / _PERIOD), -(_DAMPING**2)
    variance = (1 - b) / ((1 + b) * ((1 - b) ** 2 - a**2))
    settling = 10 * _PERIOD
    last = before = 0.0
    values: list[float] = []
    for shock in (deviation / math.sqrt(variance) * random.standard_normal(n + settling)).tolist():
        last, before = a * last + b * before + shock, last
        values.append(last)
    return np.array(values[settling:])


def _garch(random: Random, n: int) -> Floats:
    """Volatility of each bar, known before it: v^2[t] = w + alpha r^2[t-1] + beta v^2[t-1], mean square 0.0012^2."""
    ground = _VOLATILITY**2 * (1 - _ALPHA - _BETA)
    squares: list[float] = []
    square = _VOLATILITY**2
    for shock in random.standard_normal(n).tolist():
        squares.append(square)
        square = ground + (_ALPHA * shock * shock + _BETA) * square
    return np.sqrt(np.array(squares))


def _pulled(shocks: Floats, pull: float) -> Floats:
    """Log returns of a price that is drawn back by *pull* of its distance from an anchor each bar."""
    returns: list[float] = []
    distance = 0.0
    for shock in shocks.tolist():
        move = shock - pull * distance
        distance += 0.9 * shock - pull * distance
        returns.append(move)
    return np.array(returns)

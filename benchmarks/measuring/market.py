"""market owns the bars that engines are compared on: seeded, so that everyone everywhere trades the same prices."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MICRO, MEGA = "micro", "mega"
SETS = {MICRO: (4_320, 7), MEGA: (1_000_000, 11)}
"""Name to number of bars and seed."""

STEP_MS = 300_000
FIRST_MS = 1_735_689_600_000
"""2025-01-01 UTC."""
_PRICE = 60_000.0
_PATH = 24
"""Steps inside a bar, so that highs and lows are those of a path."""
_BLOCK = 20_000
_VOLATILITY = 0.60 / np.sqrt(105_120)
"""60 % a year, for a bar of five minutes."""


class Columns(NamedTuple):
    """Bars as columns, each ``(n,)``. ``open_ms`` is UTC; prices are rounded to cents."""

    open_ms: npt.NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    taker_buy_volume: Floats


def make(n: int, seed: int) -> Columns:
    """A log price that is pulled back weakly, with a log volatility that is pulled back in eight hours; no gaps."""
    rng = np.random.default_rng(seed)
    level = log_volatility = 0.0
    blocks: list[list[Floats]] = []
    for begun in range(0, n, _BLOCK):
        m = min(_BLOCK, n - begun)
        shocks = rng.standard_normal(m) * 0.08
        normals = rng.standard_normal((m, _PATH)) / np.sqrt(_PATH)
        log_volatilities = _recursion(log_volatility, shocks, 0.0072)
        log_volatility = float(log_volatilities[-1])
        sigma = _VOLATILITY * np.exp(log_volatilities - 0.2)
        steps = normals * sigma[:, None]
        moves = steps.sum(1)
        ends = _recursion(level, moves, 2e-5)
        starts = np.concatenate(([level], ends[:-1]))
        level = float(ends[-1])
        path = starts[:, None] + np.cumsum(steps, 1)
        size = moves / sigma
        volume = np.exp(rng.standard_normal(m) * 0.5 + 0.6 * np.abs(size)) * 40.0
        bought = np.clip(0.5 + 0.18 * np.tanh(size) + 0.06 * rng.standard_normal(m), 0.02, 0.98)
        blocks.append(
            [starts, np.maximum(path.max(1), starts), np.minimum(path.min(1), starts), volume, volume * bought]
        )
    return _columns(*(np.concatenate(column) for column in zip(*blocks, strict=True)))


def _recursion(value: float, shocks: Floats, pull: float) -> Floats:
    """``x += shock - pull * x`` for each shock: the values after it."""
    values = np.empty(len(shocks))
    for i, shock in enumerate(shocks.tolist()):
        value += shock - pull * value
        values[i] = value
    return values


def _columns(starts: Floats, tops: Floats, bottoms: Floats, volume: Floats, bought: Floats) -> Columns:
    opened, high, low = (np.round(_PRICE * np.exp(log), 2) for log in (starts, tops, bottoms))
    close = np.append(opened[1:], opened[-1])
    return Columns(
        FIRST_MS + np.arange(len(opened), dtype=np.int64) * STEP_MS,
        opened,
        np.maximum(high, np.maximum(opened, close)),
        np.minimum(low, np.minimum(opened, close)),
        close,
        np.round(volume, 4),
        np.round(bought, 4),
    )


def kept(folder: Path, name: str) -> Path:
    """The file of the set *name* in *folder*, made when it is not there."""
    path = folder / f"{name}.npz"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(path, **make(*SETS[name])._asdict())
    return path

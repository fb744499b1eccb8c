"""Each method that ships beside the first three, against a slow formulation of its own, bar by bar."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from maestro_engine import methods
from maestro_engine.data.bars import Bars
from maestro_engine.indicators.columns import columns_of


def market(seed: int, n: int = 3_000) -> Bars:
    rng = np.random.default_rng(seed)
    close = np.round(100.0 * np.exp(np.cumsum(rng.standard_normal(n)) * 0.01), 2)
    opened = np.r_[100.0, close[:-1]]
    high = np.maximum(opened, close) * (1 + 0.004 * rng.random(n))
    low = np.minimum(opened, close) * (1 - 0.004 * rng.random(n))
    times = 1_735_700_400_000 + 300_000 * np.arange(n)  # begins within a day
    return Bars(
        "X", 300_000, times, opened, high, low, close, np.where(rng.random(n) < 0.02, 0.0, rng.random(n)), None
    )


def found(name: str, bars: Bars, values: list[float]) -> list[tuple[int, int]]:
    bar, side = np.empty(len(bars), np.int64), np.empty(len(bars), np.int64)
    count = methods.get(name).scan(columns_of(bars), np.array(values, np.float64), bar, side)
    return list(zip(bar[:count].tolist(), side[:count].tolist(), strict=True))


def atr_of(bars: Bars, length: int) -> list[float]:
    out = [float(bars.high[0] - bars.low[0])]
    for i in range(1, len(bars)):
        before = bars.close[i - 1]
        true = max(bars.high[i] - bars.low[i], abs(bars.high[i] - before), abs(bars.low[i] - before))
        out.append(out[-1] + (float(true) - out[-1]) / length)
    return out


def returns(line: list[float | None], width: float, close: list[float]) -> list[tuple[int, int]]:
    """Where *line* comes back from beyond *width* on a bar whose close moved."""
    signals = []
    for i in range(1, len(line)):
        before, now = line[i - 1], line[i]
        if before is None or now is None or close[i] == close[i - 1]:
            continue
        if before < -width <= now:
            signals.append((i, 1))
        if before > width >= now:
            signals.append((i, -1))
    return signals


def slow_rsi(bars: Bars, length: float, band: float) -> list[tuple[int, int]]:
    close, rises, falls, line = bars.close.tolist(), 0.0, 0.0, [50.0]
    for before, now in pairwise(close):
        rises = rises * (length - 1) / length + max(now - before, 0.0) / length
        falls = falls * (length - 1) / length + max(before - now, 0.0) / length
        line.append(line[-1] if now == before else 100 - 100 / (1 + rises / falls) if falls else 100.0)
    up = [(i, 1) for i in range(int(length), len(line)) if line[i - 1] < band <= line[i]]
    down = [(i, -1) for i in range(int(length), len(line)) if line[i - 1] > 100 - band >= line[i]]
    return sorted(up + down)


def slow_bollinger(bars: Bars, length: float, width: float) -> list[tuple[int, int]]:
    close, n, line = bars.close.tolist(), int(length), []
    for i in range(len(close)):
        last = close[i + 1 - n : i + 1] if i + 1 >= n else []
        mean = sum(last) / n
        spread = math.sqrt(sum((x - mean) ** 2 for x in last) / n)
        line.append((close[i] - mean) / spread if last else None)
    return returns(line, width, close)


def slow_keltner(bars: Bars, length: float, width: float) -> list[tuple[int, int]]:
    close, atr, middle, outside = bars.close.tolist(), atr_of(bars, int(length)), float(bars.close[0]), 0
    signals = []
    for i in range(1, len(close)):
        middle += (close[i] - middle) * 2 / (length + 1)
        now = int(close[i] > middle + width * atr[i]) - int(close[i] < middle - width * atr[i])
        if i >= length:
            if now and now != outside and close[i] != close[i - 1]:
                signals.append((i, int(now)))
            outside = now
    return signals


def slow_supertrend(bars: Bars, length: float, width: float) -> list[tuple[int, int]]:
    """As charting programs state it: the final bands first, then the trend."""
    close, atr = bars.close.tolist(), atr_of(bars, int(length))
    middle = ((bars.high + bars.low) / 2).tolist()
    lower, upper = [middle[0] - width * atr[0]], [middle[0] + width * atr[0]]
    for i in range(1, len(close)):
        low, high = middle[i] - width * atr[i], middle[i] + width * atr[i]
        lower.append(low if low > lower[-1] or close[i - 1] < lower[-1] else lower[-1])
        upper.append(high if high < upper[-1] or close[i - 1] > upper[-1] else upper[-1])
    trend, signals = 0, []
    for i in range(1, len(close)):
        turned = 1 if close[i] > upper[i - 1] else -1 if close[i] < lower[i - 1] else trend
        if trend and turned != trend and i >= length:
            signals.append((i, turned))
        trend = turned
    return signals


def slow_vwap(bars: Bars, length: float, width: float) -> list[tuple[int, int]]:
    close, atr, n = bars.close.tolist(), atr_of(bars, int(length)), int(length)
    typical = ((bars.high + bars.low + bars.close) / 3).tolist()
    volume, line = bars.volume.tolist(), []
    for i in range(len(close)):
        span = range(i + 1 - n, i + 1)
        traded = sum(volume[j] for j in span) if i + 1 >= n else 0.0
        line.append((close[i] - sum(typical[j] * volume[j] for j in span) / traded) / atr[i] if traded else None)
    return returns(line, width, close)


def slow_opening(bars: Bars, length: float, _: float) -> list[tuple[int, int]]:
    days: dict[int, list[int]] = {}
    for i, time in enumerate(bars.open_time.tolist()):
        days.setdefault(time // 86_400_000, []).append(i)
    signals = []
    for rows in days.values():
        if bars.open_time[rows[0]] % 86_400_000:
            continue
        first, rest = rows[: int(length)], rows[int(length) :]
        high, low = max(bars.high[first]), min(bars.low[first])
        outside = [(i, 1 if bars.close[i] > high else -1) for i in rest if not low <= bars.close[i] <= high]
        signals += outside[:1]
    return signals


def slow_time_of_day(bars: Bars, hour: float, back: float) -> list[tuple[int, int]]:
    close, times = bars.close.tolist(), bars.open_time.tolist()
    signals = []
    for i in range(int(back), len(close)):
        if times[i] // 3_600_000 % 24 == hour and times[i] % 3_600_000 == 0 and close[i] != close[i - int(back)]:
            signals.append((i, 1 if close[i] > close[i - int(back)] else -1))
    return signals


CASES = [
    ("rsi_reversion", slow_rsi, [(14, 30), (5, 20), (2, 10)]),
    ("bollinger_reversion", slow_bollinger, [(20, 2.0), (5, 1.2), (96, 1.5)]),
    ("keltner_breakout", slow_keltner, [(20, 2.0), (5, 1.0), (200, 0.5)]),
    ("supertrend", slow_supertrend, [(10, 3.0), (2, 1.0), (50, 0.5)]),
    ("vwap_reversion", slow_vwap, [(96, 2.0), (12, 1.0), (300, 0.5)]),
    ("opening_range", slow_opening, [(12, 0), (2, 0), (100, 0)]),
    ("time_of_day", slow_time_of_day, [(14, 12), (0, 1), (23, 288)]),
]


@pytest.mark.parametrize(("name", "slow", "settings"), CASES, ids=[name for name, *_ in CASES])
def test_a_method_signals_where_its_slow_formulation_does(name, slow, settings):
    for values in settings:
        sides: set[int] = set()
        for seed in (3, 4):
            bars = market(seed)
            wanted = slow(bars, *values)
            assert found(name, bars, list(values)[: len(methods.get(name).specs)]) == wanted
            sides |= {side for _, side in wanted}
        assert sides == {1, -1}

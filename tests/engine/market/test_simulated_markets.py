"""Simulated markets are what they say: reproducible, labelled, and with the edge they state and no other."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_engine.data.bars import Bars, Floats
from maestro_engine.data.checks import examine
from maestro_engine.data.findings import STRICT
from maestro_engine.data.readers.column_names import RawBars
from maestro_engine.data.simulators.regimes import RULE_BARS, Kind, planted_rule_returns, simulate_bars
from maestro_protocol.errors import ParameterError

KINDS: tuple[Kind, ...] = get_args(Kind)
N = 100_000


def log_returns(bars: Bars) -> Floats:
    return np.diff(np.log(bars.close))


def z_of_mean(values: Floats) -> float:
    """Mean over its standard error: beyond 4.5 once in 150,000 draws when the true mean is 0."""
    return float(values.mean() / values.std() * math.sqrt(len(values)))


def variance_ratio_z(returns: Floats, q: int) -> float:
    """Heteroscedasticity-robust z of the variance ratio VR(q) - 1 (Lo, MacKinlay 1988)."""
    r = returns - returns.mean()
    total = float((r**2).sum())
    ratio, variance = 0.0, 0.0
    for lag in range(1, q):
        weight = 2 * (1 - lag / q)
        ratio += weight * float((r[lag:] * r[:-lag]).sum()) / total
        variance += weight**2 * float((r[lag:] ** 2 * r[:-lag] ** 2).sum()) / total**2
    return ratio / math.sqrt(variance)


def correlation(x: Floats, y: Floats) -> float:
    return float(np.corrcoef(x, y)[0, 1])


@pytest.mark.parametrize("kind", KINDS)
@given(
    seed=st.integers(0, 2**63),
    n=st.integers(2, 500),
    step_ms=st.sampled_from([60_000, 300_000, 900_000]),
    price=st.floats(0.001, 1e7),
)
@settings(max_examples=25)
def test_bars_are_clean_labelled_and_reproducible(kind: Kind, seed: int, n: int, step_ms: int, price: float) -> None:
    bars = simulate_bars(kind, seed, n, step_ms, 1_700_000_000_000, price)
    assert bars.simulated
    assert bars.source == f"simulated:{kind}:seed={seed}"
    assert bars.symbol.startswith("SIM-")
    assert simulate_bars(kind, seed, n, step_ms, 1_700_000_000_000, price).digest == bars.digest
    assert simulate_bars(kind, seed + 1, n, step_ms, 1_700_000_000_000, price).digest != bars.digest
    columns = (bars.open_time, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.taker_buy_volume)
    checked, report = examine(RawBars(*columns), symbol="X", source="x", policy=STRICT)
    assert checked is not None, report.fatal
    assert np.array_equal(bars.open[1:], bars.close[:-1])


@pytest.mark.parametrize("kind", ["noise", "volatility_clusters"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_where_there_is_no_edge_nothing_tells_the_next_move(kind: Kind, seed: int) -> None:
    bars = simulate_bars(kind, seed, N)
    assert bars.taker_buy_volume is not None
    r = log_returns(bars)
    delta = (2 * bars.taker_buy_volume / bars.volume - 1)[1:]
    assert abs(z_of_mean(np.diff(bars.close) / bars.close[:-1])) < 4.5
    assert max(abs(variance_ratio_z(r, q)) for q in (2, 12, 48)) < 4.5
    for signal in (delta, np.sign(r), np.sign(bars.close[1:] - (bars.high + bars.low)[1:] / 2)):
        assert abs(z_of_mean(signal[:-1] * r[1:])) < 4.5
    assert correlation(delta, r) > 0.4
    moves = planted_rule_returns(bars)
    assert abs(z_of_mean(moves)) < 4.5


@pytest.mark.parametrize("distance", [0.5, 1.5])
def test_stops_and_targets_at_their_own_price_earn_nothing_on_noise(distance: float) -> None:
    # Long from every 24th open with stop and target equally far: on a continuous martingale path the first one
    # reached costs as much as the other brings. Trades where one bar reaches both are left out: which came
    # first is not in the bar, and by symmetry they favour neither side.
    bars = simulate_bars("noise", 5, 400_000)
    far = distance * 0.0012 * math.sqrt(24)
    entry = bars.open[:-24:24]
    high = bars.high[: len(entry) * 24].reshape(-1, 24)
    low = bars.low[: len(entry) * 24].reshape(-1, 24)
    up, down = high >= (entry * (1 + far))[:, None], low <= (entry * (1 - far))[:, None]
    at_up = np.where(up.any(axis=1), up.argmax(axis=1), 99)
    at_down = np.where(down.any(axis=1), down.argmax(axis=1), 99)
    end = bars.close[23 : len(entry) * 24 : 24] / entry - 1
    result = np.where(at_up < at_down, far, np.where(at_down < at_up, -far, np.where(at_up == 99, end, np.nan)))
    assert abs(z_of_mean(result[np.isfinite(result)])) < 4.5


def test_a_stop_alone_earns_nothing_on_noise() -> None:
    # Were high and low the extremes of a few steps only, this stop would gain half a step each time.
    bars = simulate_bars("noise", 6, 1_000_000)
    entry, low, close = bars.open, bars.low, bars.close
    far = 0.0006
    result = np.where(low / entry - 1 <= -far, -far, close / entry - 1)
    assert abs(z_of_mean(result)) < 4.5


@pytest.mark.parametrize("kind", ["noise", "trending", "mean_reverting", "volatility_clusters", "mixed"])
def test_moves_have_fat_tails_and_cluster(kind: Kind) -> None:
    r = log_returns(simulate_bars(kind, 4, N))
    size = np.abs(r)
    assert np.mean(r**4) / np.mean(r**2) ** 2 > 4
    assert correlation(size[1:], size[:-1]) > 0.15
    assert correlation(size[96:], size[:-96]) > 0.02
    assert 0.0008 < r.std() < 0.0018


def test_volatility_clusters_cluster_more_than_noise() -> None:
    sizes = {kind: np.abs(log_returns(simulate_bars(kind, 4, N))) for kind in ("noise", "volatility_clusters")}
    clustering = {kind: correlation(size[1:], size[:-1]) for kind, size in sizes.items()}
    assert clustering["volatility_clusters"] > clustering["noise"] + 0.1


def test_trends_persist_and_reversion_reverts() -> None:
    trending, reverting = (log_returns(simulate_bars(kind, 7, N)) for kind in ("trending", "mean_reverting"))
    assert variance_ratio_z(trending, 48) > 10
    assert variance_ratio_z(reverting, 48) < -10


def test_mixed_switches_regimes() -> None:
    r = log_returns(simulate_bars("mixed", 8, N))
    halves = [variance_ratio_z(part, 24) for part in np.array_split(r, 170)]
    noise = [variance_ratio_z(part, 24) for part in np.array_split(log_returns(simulate_bars("noise", 8, N)), 170)]
    assert np.var(halves) > 1.5 * np.var(noise)
    assert np.var(noise) < 1.5


@pytest.mark.parametrize("edge", [0.0, 0.001, 0.003, 0.01])
def test_the_planted_rule_earns_what_is_stated(edge: float) -> None:
    trades = np.concatenate(
        [planted_rule_returns(simulate_bars("planted", seed, 480_000, edge=edge)) for seed in range(3)]
    )
    assert abs(z_of_mean(trades - edge)) < 4.5
    assert len(trades) == 3 * (480_000 // RULE_BARS - 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "noisy"},
        {"seed": -1},
        {"n": 1},
        {"n": 10**9},
        {"step_ms": 7},
        {"price": float("nan")},
        {"price": 0.0},
        {"edge": 1.0},
        {"start_ms": 0},
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    arguments = {"kind": "noise", "seed": 1, "n": 100, **wrong}
    with pytest.raises(ParameterError, match="simulated"):
        simulate_bars(**arguments)  # pyright: ignore[reportArgumentType]

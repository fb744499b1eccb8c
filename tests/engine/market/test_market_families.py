"""Families of made-up markets: the same bits again, sound bars, and the size of edge that they say."""

from __future__ import annotations

import numpy as np
import pytest

from maestro_engine.data.simulators.families import SIZES, Family, family_bars
from maestro_protocol.errors import ParameterError

FAMILIES: list[Family] = list(SIZES)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_arguments_give_the_same_bars_and_another_seed_others(family: Family) -> None:
    size = max(SIZES[family].values())
    one, again, other = (family_bars(family, size, seed, 2_000) for seed in (1, 1, 2))
    assert one.digest == again.digest != other.digest
    assert one.simulated
    assert f"size={size:g}:seed=1" in one.source


@pytest.mark.parametrize("family", FAMILIES)
def test_bars_are_whole(family: Family) -> None:
    bars = family_bars(family, max(SIZES[family].values()), 3, 5_000)
    assert np.all(bars.volume > 0)
    assert np.all((bars.taker_buy_volume >= 0) & (bars.taker_buy_volume <= bars.volume))
    assert np.all(np.diff(bars.open_time) == bars.step_ms)
    assert np.all(bars.high >= np.maximum(bars.open, bars.close))
    assert np.all(bars.low <= np.minimum(bars.open, bars.close))
    assert np.all(bars.open[1:] == bars.close[:-1])


def spread(bars: np.ndarray, lag: int) -> float:
    """Variance of returns over *lag* bars in units of what a random walk has: 1 for one without memory."""
    moves = np.diff(np.log(bars))
    sums = np.add.reduceat(moves, np.arange(0, len(moves) // lag * lag, lag))
    return float(sums.var() / (lag * moves.var()))


def test_a_size_of_none_leaves_a_random_walk() -> None:
    for family in FAMILIES:
        assert spread(family_bars(family, 0.0, 5, 200_000).close, 48) == pytest.approx(1.0, abs=0.12), family


def test_trends_persist_and_reversion_undoes() -> None:
    trend, burst = (family_bars(f, SIZES[f]["large"], 5, 200_000).close for f in ("trend", "burst"))
    assert spread(trend, 96) > 1.5
    assert spread(burst, 48) > 1.2
    assert spread(family_bars("reversion", 0.05, 5, 200_000).close, 96) < 0.5


def test_a_cycle_has_its_period_and_its_deviation() -> None:
    with_cycle, without = (np.log(family_bars("cycle", size, 5, 300_000).close) for size in (0.02, 0.0))
    cycle = with_cycle - without  # the same shocks beneath
    assert cycle.std() == pytest.approx(0.02, rel=0.1)
    power = np.abs(np.fft.rfft(cycle - cycle.mean())) ** 2
    centre = (power * np.arange(len(power))).sum() / power.sum()
    assert len(cycle) / centre == pytest.approx(140, rel=0.15)


def test_a_fading_edge_is_gone_after_its_part() -> None:
    close = family_bars("fading", 0.0003, 5, 200_000).close
    assert spread(close[:120_000], 96) > 2
    assert spread(close[120_000:], 96) == pytest.approx(1.0, abs=0.2)


def test_volatility_of_noise_clusters() -> None:
    moves = np.abs(np.diff(np.log(family_bars("noise", 0.0, 5, 100_000).close)))
    assert np.corrcoef(moves[1:], moves[:-1])[0, 1] > 0.05
    assert float(np.diff(np.log(family_bars("noise", 0.0, 5, 100_000).close)).std()) == pytest.approx(0.0012, rel=0.1)


@pytest.mark.parametrize(("family", "size", "n"), [("tide", 0.0, 100), ("trend", -1e-6, 100), ("trend", 0.0, 1)])
def test_what_cannot_be_made_is_refused(family: Family, size: float, n: int) -> None:
    with pytest.raises(ParameterError, match=r"famil"):
        family_bars(family, size, 1, n)

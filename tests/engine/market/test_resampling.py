"""Longer bars are exact aggregates of shorter ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.data.resample import resample
from maestro_engine.data.simulators.regimes import simulate_bars
from maestro_protocol.errors import DataError, ParameterError

MINUTE, MIDNIGHT = 60_000, 1_735_689_600_000


@given(st.integers(20, 200), st.integers(0, 14))
def test_each_long_bar_is_made_of_its_own_minutes(n: int, late: int) -> None:
    bars = simulate_bars("noise", 1, n, MINUTE, MIDNIGHT + late * MINUTE)
    rates = np.arange(n) / 1e6
    bars = dataclasses.replace(bars, funding_rate=rates)
    longer = resample(bars, 5 * MINUTE)
    assert longer.simulated
    assert longer.step_ms == 5 * MINUTE
    assert not np.any(longer.open_time % (5 * MINUTE))
    assert longer.taker_buy_volume is not None
    assert bars.taker_buy_volume is not None
    assert longer.funding_rate is not None
    for i, time in enumerate(longer.open_time):
        part = slice(at := int((time - bars.open_time[0]) // MINUTE), at + 5)
        assert longer.open[i] == bars.open[part][0]
        assert longer.close[i] == bars.close[part][-1]
        assert longer.high[i] == bars.high[part].max()
        assert longer.low[i] == bars.low[part].min()
        assert longer.volume[i] == pytest.approx(bars.volume[part].sum(), rel=1e-14)
        assert longer.taker_buy_volume[i] == pytest.approx(bars.taker_buy_volume[part].sum(), rel=1e-14)
        assert longer.funding_rate[i] == pytest.approx(rates[part].sum())
    left_out = n - 5 * len(longer)
    assert left_out <= 8


def test_in_two_steps_as_in_one() -> None:
    bars = simulate_bars("mixed", 2, 3000, MINUTE)
    assert resample(resample(bars, 5 * MINUTE), 15 * MINUTE).digest == resample(bars, 15 * MINUTE).digest


def test_what_cannot_be_made_is_refused() -> None:
    bars = simulate_bars("noise", 1, 100)
    for step in (MINUTE, 7 * MINUTE, 0):
        with pytest.raises(ParameterError, match="cannot be made"):
            resample(bars, step)
    with pytest.raises(DataError, match="do not fill one 1d bar"):
        resample(bars, 86_400_000)
    with pytest.raises(DataError, match="correct their times"):
        resample(simulate_bars("noise", 1, 100, MINUTE, MIDNIGHT + 1000), 5 * MINUTE)

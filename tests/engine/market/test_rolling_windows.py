"""Windows lie in order inside the open part; the holdout is nobody's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from maestro_engine.data.windows import rolling_windows
from maestro_protocol.errors import DataError, ParameterError
from maestro_protocol.messages.campaign import WindowPlan

DAY = 86_400_000


@given(
    n=st.integers(0, 300_000),
    step_ms=st.sampled_from([60_000, 300_000, 900_000]),
    warmup=st.integers(0, 2000),
    share=st.floats(0, 0.5),
)
def test_windows_keep_their_lengths_and_out_of_the_holdout(n: int, step_ms: int, warmup: int, share: float) -> None:
    day = DAY // step_ms
    try:
        windows, holdout = rolling_windows(n, step_ms, WindowPlan(warmup_bars=warmup, holdout_share=share))
    except DataError:
        assert n - int(n * share) < warmup + 15 * day
        return
    assert holdout.stop == n
    assert len(holdout) == int(n * share)
    assert windows[0].start == 0
    assert holdout.start - windows[-1].end < 2 * day
    for i, window in enumerate(windows):
        assert window.first == warmup + i * 2 * day
        assert window.first - window.start == warmup
        assert window.train_end - window.first == 10 * day
        assert window.val_start - window.train_end == 2 * day
        assert window.end - window.val_start == 3 * day
        assert window.end <= holdout.start


def test_half_a_year_of_5m_bars_gives_65_windows() -> None:
    windows, holdout = rolling_windows(52_128, 300_000, WindowPlan(warmup_bars=200))
    assert len(windows) == 65
    assert windows[0].end - windows[0].first == 4_320
    assert holdout == range(41_703, 52_128)


def test_too_little_data_says_how_much_is_needed() -> None:
    with pytest.raises(DataError, match=r"19\.7 days of 5m bars are needed .*; there are 10:"):
        rolling_windows(2_880, 300_000, WindowPlan(warmup_bars=200))
    needed = 5_649
    assert len(rolling_windows(needed, 300_000, WindowPlan(warmup_bars=200))[0]) == 1
    with pytest.raises(DataError):
        rolling_windows(needed - 1, 300_000, WindowPlan(warmup_bars=200))


@pytest.mark.parametrize(
    "wrong",
    [
        {"train_days": 13},
        {"validation_days": 1e-9},
        {"step_days": 1e-9},
    ],
    ids=str,
)
def test_lengths_that_do_not_fit_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ParameterError):
        rolling_windows(100_000, 300_000, WindowPlan.model_validate(wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        {"validation_days": 0},
        {"step_days": 0},
        {"window_days": float("nan")},
        {"step_days": float("inf")},
        {"warmup_bars": -1},
        {"holdout_share": 1.0},
        {"holdout_share": -0.1},
    ],
    ids=str,
)
def test_a_plan_that_cannot_be_is_none(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        WindowPlan.model_validate(wrong)

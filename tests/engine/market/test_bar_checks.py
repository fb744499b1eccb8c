"""Every fault of bars is found, counted, placed, and mended only as stated."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maestro_engine.data.bars import Bars
from maestro_engine.data.checks import examine
from maestro_engine.data.findings import STRICT, CheckPolicy, DataReport, Outcome
from maestro_engine.data.readers.column_names import RawBars
from maestro_engine.data.simulators.regimes import simulate_bars

N = 400
CLEAN = simulate_bars("noise", seed=11, n=N)


def raw(index: Any = slice(None), **changed: Any) -> RawBars:
    names = ("open_time", "open", "high", "low", "close", "volume", "taker_buy_volume")
    columns = {name: getattr(CLEAN, name)[index].copy() for name in names}
    return RawBars(**{**columns, **changed})


def with_value(column: str, row: int, value: float) -> RawBars:
    values = getattr(CLEAN, column).copy()
    values[row] = value
    return raw(**{column: values})


def look(bars: RawBars, policy: CheckPolicy | None = None) -> tuple[Bars | None, DataReport]:
    return examine(bars, symbol="X", source="x.csv", policy=policy or CheckPolicy())


def kinds(report: DataReport) -> list[tuple[str, Outcome, int, int | None]]:
    return [(f.kind, f.outcome, f.count, f.row) for f in report.findings]


def test_clean_bars_have_no_finding_and_keep_their_digest() -> None:
    bars, report = look(raw(), STRICT)
    assert bars is not None
    assert bars.digest == CLEAN.digest == report.digest
    assert report.findings == ()
    assert (report.rows, report.bars, report.timeframe) == (N, N, "5m")
    assert (report.first, report.last) == ("2025-01-01T00:00:00Z", "2025-01-02T09:15:00Z")


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("close", float("nan"), "not_finite"),
        ("high", float("inf"), "not_finite"),
        ("low", 0.0, "not_positive"),
        ("low", -1.0, "not_positive"),
        ("low", 1e9, "not_enclosing"),
        ("high", 1.0, "not_enclosing"),
        ("open", 1e9, "not_enclosing"),
        ("volume", float("nan"), "not_finite"),
        ("volume", -1.0, "negative_volume"),
        ("taker_buy_volume", 1e12, "taker_above"),
        ("taker_buy_volume", -1.0, "negative_volume"),
        ("taker_buy_volume", float("nan"), "not_finite"),
    ],
)
def test_a_value_that_cannot_be_is_fatal(column: str, value: float, kind: str) -> None:
    bars, report = look(with_value(column, 7, value))
    assert bars is None
    assert report.bars is None
    assert report.digest is None
    first = report.fatal[0]
    assert (first.kind, first.count, first.row, first.time) == (kind, 1, 8, "2025-01-01T00:35:00Z")


def test_a_bar_without_trades_is_noted_only() -> None:
    taker = CLEAN.taker_buy_volume
    assert taker is not None
    volume, bought = CLEAN.volume.copy(), taker.copy()
    volume[5:7] = bought[5:7] = 0
    bars, report = look(raw(volume=volume, taker_buy_volume=bought), STRICT)
    assert bars is not None
    assert kinds(report) == [("zero_volume", "note", 2, 6)]


def test_taker_volume_above_volume_by_rounding_is_cut() -> None:
    bars, report = look(with_value("taker_buy_volume", 3, float(np.nextafter(CLEAN.volume[3], np.inf))))
    assert bars is not None
    assert bars.taker_buy_volume is not None
    assert bars.taker_buy_volume[3] == bars.volume[3]
    assert kinds(report) == [("taker_rounding", "repaired", 1, 4)]


@given(st.permutations(range(60)))
@example([*range(59, -1, -1)])
def test_disordered_rows_are_sorted_and_it_is_said(order: list[int]) -> None:
    said = "newest_first" if order == sorted(order, reverse=True) else "out_of_order"
    bars, report = look(raw(order))
    assert bars is not None
    assert np.array_equal(bars.close, CLEAN.close[:60])
    assert [f.kind for f in report.findings] == ([] if order == sorted(order) else [said])
    if order != sorted(order):
        assert look(raw(order), STRICT)[0] is None


def test_the_same_row_again_is_dropped_a_different_one_is_fatal() -> None:
    twice = np.sort(np.concatenate((np.arange(N), [9, 9, 200])))
    bars, report = look(raw(twice))
    assert bars is not None
    assert bars.digest == CLEAN.digest
    assert kinds(report) == [("duplicate", "repaired", 3, 11)]
    closes = CLEAN.close[twice]
    closes[10] = CLEAN.low[9] if closes[10] != CLEAN.low[9] else CLEAN.high[9]
    bars, report = look(dataclasses.replace(raw(twice), close=closes))
    assert bars is None
    assert ("conflict", "fatal") in [(f.kind, f.outcome) for f in report.findings]


@given(st.integers(1, N - 14), st.integers(1, 12))
def test_a_short_gap_is_filled_flat(at: int, missing: int) -> None:
    bars, report = look(raw(np.delete(np.arange(N), slice(at, at + missing))))
    assert bars is not None
    assert np.array_equal(bars.open_time, CLEAN.open_time)
    filled = slice(at, at + missing)
    for column in (bars.open, bars.high, bars.low, bars.close):
        assert np.all(column[filled] == CLEAN.close[at - 1])
    assert bars.taker_buy_volume is not None
    assert not bars.volume[filled].any()
    assert not bars.taker_buy_volume[filled].any()
    assert np.array_equal(np.delete(bars.volume, filled), np.delete(CLEAN.volume, filled))
    assert kinds(report) == [("gap", "repaired", 1, at + 1)]


def test_a_long_gap_is_fatal_or_the_longest_stretch_is_kept() -> None:
    holed = raw(np.delete(np.arange(N), slice(100, 113)))
    bars, report = look(holed)
    assert bars is None
    assert kinds(report) == [("long_gap", "fatal", 1, 101)]
    assert "13 bars are missing before it, over the 12" in report.fatal[0].line
    bars, report = look(holed, CheckPolicy(long_gaps="longest"))
    assert bars is not None
    assert np.array_equal(bars.open_time, CLEAN.open_time[113:])
    assert kinds(report) == [("long_gap", "repaired", 1, 101)]
    assert "rows 101 to 387 kept" in report.findings[0].text


def test_too_many_gaps_are_not_papered_over() -> None:
    kept = np.flatnonzero(np.arange(N) % 5 != 0)
    bars, report = look(raw(kept))
    assert bars is None
    assert report.fatal[0].kind == "too_sparse"


def test_spacing_must_be_a_timeframe_and_times_on_its_grid() -> None:
    bars, report = look(raw(slice(None, None, 5)))
    assert bars is None
    assert report.timeframe is None
    assert "1500 s apart" in report.fatal[0].text
    times = CLEAN.open_time.copy()
    times[50] += 1000
    bars, report = look(raw(open_time=times))
    assert bars is None
    assert kinds(report) == [("off_grid", "fatal", 1, 51)]
    assert look(raw(slice(0, 1)))[1].fatal[0].kind == "too_few"


def test_an_empty_taker_column_is_taken_as_not_there() -> None:
    bars, report = look(raw(taker_buy_volume=np.full(N, np.nan)))
    assert bars is not None
    assert bars.taker_buy_volume is None
    assert not report.has_taker
    assert kinds(report) == [("empty_column", "note", 1, None)]


def test_the_report_is_ready_for_json() -> None:
    _, report = look(with_value("close", 7, float("nan")))
    assert json.loads(json.dumps(dataclasses.asdict(report), allow_nan=False))["findings"][0]["row"] == 8


cells = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1.0, 2.0, 1e-320, 1e308]))


@given(
    st.lists(
        st.tuples(
            st.integers(10**11, 4 * 10**12) | st.integers(0, 30).map(lambda i: 10**12 + 60_000 * i), cells, cells
        ),
        max_size=12,
    )
)
def test_whatever_the_columns_hold_bars_come_out_clean_or_not_at_all(rows: list[tuple[int, float, float]]) -> None:
    times = np.array([time for time, _, _ in rows], dtype=np.int64)
    a, b = (np.array([row[i] for row in rows], dtype=np.float64) for i in (1, 2))
    bars, report = look(RawBars(times, a, b, a, b, b, a))
    assert (bars is None) == bool(report.fatal)
    if bars is not None:
        assert np.all(np.diff(bars.open_time) == bars.step_ms)
        assert np.all((bars.low > 0) & (bars.high >= bars.low) & (bars.volume >= 0))

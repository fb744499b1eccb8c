"""Single trades on bars drawn by hand: where they fill, what they cost, when they end."""

from __future__ import annotations

import numpy as np
import pytest

from maestro_engine.backtest import ExitReason, FillCosts, FixedEntries, TestSpec, TradeSize, simulate_batch

FREE = FillCosts(0.0, 0.0, 0.0)
FLAT = (100.0, 102.0, 98.0, 100.0)  # range 4, so ATR is 4 and the stop 6 away


@pytest.fixture
def trade(drawn, whole):
    """The only trade of a signal on bar 2 (fill at the open of bar 3), on flat bars and then *rows*."""

    def run(rows, *, side=1, costs=FREE, sizing=None, params=None, **more):
        bars = drawn([FLAT] * 3 + list(rows), **more)
        forced = FixedEntries(np.array([2]), np.array([side], np.int8))
        given = {"hard_tp_usd": 50.0, **(params or {})}
        spec = TestSpec("one", whole(len(bars), 0), (), given, forced)
        result = simulate_batch(bars, [spec], costs, sizing or TradeSize.fixed(5.0))
        assert len(result.trades(0)) == 1
        return result.trades(0)[0]

    return run


def mirrored(rows, about=100.0):
    return [(2 * about - o, 2 * about - low, 2 * about - h, 2 * about - c) for o, h, low, c in rows]


CASES = {
    # rows after the signal: (exit bar, price, reason) of a long; stop 94, target 110
    "stop": ([FLAT, (100, 101, 93, 95)], 4, 94.0, ExitReason.STOP),
    "stop in the entry bar": ([(100, 101, 93, 95), FLAT], 3, 94.0, ExitReason.STOP),
    "stop before target": ([FLAT, (100, 111, 93, 100)], 4, 94.0, ExitReason.STOP),
    "gap through the stop": ([FLAT, (92, 95, 91, 93)], 4, 92.0, ExitReason.STOP),
    "gap through the stop at entry": ([(93, 95, 92, 94), FLAT], 3, 93.0, ExitReason.STOP),
    "target": ([FLAT, (100, 111, 99, 105)], 4, 110.0, ExitReason.TARGET),
    "gap through the target": ([FLAT, (112, 113, 111, 112)], 4, 112.0, ExitReason.TARGET),
    "touch is enough": ([FLAT, (100, 110, 99, 105)], 4, 110.0, ExitReason.TARGET),
    "end": ([FLAT, (100, 102, 98, 101)], 4, 101.0, ExitReason.END),
    "timeout": ([FLAT] * 12 + [(101, 111, 90, 100)] * 2, 15, 101.0, ExitReason.TIMEOUT),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("side", [1, -1])
def test_where_a_trade_ends(trade, case, side):
    rows, bar, price, reason = CASES[case]
    if side < 0:
        rows, price = mirrored(rows), 200.0 - price
    got = trade(rows, side=side, params={"timeout_bars": 12})
    assert (got["exit_bar"], got["exit"], got["reason"]) == (bar, price, reason)
    assert got["bars_held"] == bar - 3
    assert got["pnl"] == pytest.approx(side * (price - got["entry"]) * 5.0)


@pytest.mark.parametrize("side", [1, -1])
def test_slippage_is_against_you_and_stays_inside_the_bar(trade, side):
    rows = [FLAT, (100, 101, 93, 95)]
    rows = rows if side > 0 else mirrored(rows)
    small = trade(rows, side=side, costs=FillCosts(0.0, 0.0, 10.0))
    assert small["entry"] == pytest.approx(100.0 + side * 0.1)
    assert small["exit"] == pytest.approx(94.0 * (1 - 0.001) if side > 0 else 106.0 * 1.001)
    large = trade(rows, side=side, costs=FillCosts(0.0, 0.0, 900.0))
    assert large["entry"] == 100.0 + side * 2.0
    assert large["exit"] == 100.0 - side * 7.0


def test_targets_pay_maker_without_slippage_and_the_rest_taker(trade):
    costs = FillCosts(taker_bps=5.0, maker_bps=2.0, slippage_bps=1.0)
    target = trade([FLAT, (100, 111, 99, 105)], costs=costs)
    assert target["exit"] == 110.0
    assert target["fees"] == pytest.approx(5 * (target["entry"] * 5e-4 + 110.0 * 2e-4))
    stop = trade([FLAT, (100, 101, 93, 95)], costs=costs)
    assert stop["fees"] == pytest.approx(5 * 5e-4 * (stop["entry"] + stop["exit"]))
    assert stop["pnl"] == pytest.approx(5 * (stop["exit"] - stop["entry"]) - stop["fees"])


def test_notional_buys_at_the_entry_price_and_plans_at_the_signal(trade):
    rows = [(104, 105, 103, 104), (104, 111, 104, 110)]
    got = trade(rows, sizing=TradeSize(notional_usd=520.0), params={"hard_tp_usd": 52.0})
    assert got["qty"] == 5.0
    assert got["exit"] == pytest.approx(100.0 + 52.0 / 5.2)


@pytest.mark.parametrize("side", [1, -1])
def test_funding_is_paid_by_those_who_held_through_the_open(trade, side):
    rate = np.zeros(7)
    rate[[3, 4, 6]] = 0.01  # at the entry's own open nothing is due; at the open of bar 4 it is
    rows = [FLAT, (102, 103, 99, 100), FLAT, FLAT]
    got = trade(rows, side=side, funding_rate=rate)
    assert got["funding"] == pytest.approx(side * 0.01 * 5.0 * (102.0 + 100.0))
    assert got["pnl"] == pytest.approx(side * (got["exit"] - 100.0) * 5.0 - got["funding"])
    assert got["funding_micros"] == round(got["funding"] * 1e6)


def test_excursions_count_whole_bars_and_then_the_exit_price(trade):
    rows = [(100, 104, 97, 101), (101, 108, 99, 102), (102, 109.5, 93, 94)]
    got = trade(rows)
    assert got["mfe"] == pytest.approx(8.0 * 5.0)
    assert got["mae"] == pytest.approx(-6.0 * 5.0)


def test_planned_risk_and_blunders(trade):
    costs = FillCosts(5.0, 2.0, 0.0)
    slow = trade([FLAT] * 4 + [(100, 101, 93, 95)], costs=costs)
    assert slow["risk"] == pytest.approx(6.0 * 5.0 + 5e-4 * 5.0 * (100.0 + 94.0))
    assert not slow["blunder"]
    assert trade([FLAT] * 3 + [(100, 101, 93, 95)], costs=costs)["blunder"], "stopped out within three bars"
    assert trade([FLAT] * 5 + [(90, 91, 89, 90)], costs=costs)["blunder"], "lost 10 of a planned 6"


def test_no_new_trade_while_one_is_open_but_on_the_bar_that_ended_it(drawn, whole):
    rows = [FLAT] * 4 + [(100, 101, 93, 100)] + [FLAT] * 5
    forced = FixedEntries(np.array([2, 3, 4, 5]), np.array([1, 1, -1, 1], np.int8))
    spec = TestSpec(0, whole(len(rows), 0), (), {"hard_tp_usd": 50.0}, forced)
    trades = simulate_batch(drawn(rows), [spec], FREE, TradeSize.fixed(5.0)).trades(0)
    assert trades["entry_bar"].tolist() == [3, 5]
    assert trades["side"].tolist() == [1, -1]


def test_no_signal_before_first_and_none_that_cannot_fill(drawn, whole):
    rows = [FLAT] * 10
    forced = FixedEntries(np.array([1, 4, 9]), np.array([1, 1, 1], np.int8))
    spec = TestSpec(0, whole(10, 5), (), {}, forced)
    result = simulate_batch(drawn(rows), [spec], FREE)
    assert len(result.trades(0)) == 0
    assert result.totals["n_trades"][0] == 0

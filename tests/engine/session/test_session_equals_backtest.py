"""A session over replayed bars makes the very trades of the backtest of those bars: one implementation of signals."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_engine.backtest import BarWindow, FillCosts, TestSpec, TradeSize, simulate_batch
from maestro_engine.data.bars import Bars
from maestro_engine.data.loading import load_bars
from maestro_engine.data.simulators.regimes import simulate_bars
from maestro_engine.feeds.port import Counters, Filters, Kline
from maestro_engine.metrics.calculator import MetricsCalculator
from maestro_engine.runner import BacktestRunner
from maestro_engine.session import runs
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.evidence.outcome import SessionReports
from maestro_engine.session.runs import Foreseen, SessionRunner, entries_of, kline_of, replay
from maestro_engine.session.supervisor import Session
from maestro_engine.session.surroundings import Surroundings
from maestro_engine.session.trading.strategy import Strategy
from maestro_engine.session.trading.trader import Trader
from maestro_engine.trading.risk.breakers import DAY_MS, DayLoss, EquityDrawdown, LosingStreak
from maestro_protocol import config as protocol
from maestro_protocol.messages.campaign import ORIGIN_TARGETS
from maestro_protocol.messages.events import TradeEvent
from maestro_protocol.values import as_params

HOUR = 3_600_000


def bars_of(kind: str, n: int = 3_000, price: float = 100.0, seed: int = 5) -> Bars:
    """Cheap bars an hour long, so that few trades fall on a day and none on its loss limit."""
    return simulate_bars(kind, seed, n, step_ms=HOUR, price=price)


def run_config(bars: Bars, method: str, quantity: str, **params: float | bool) -> protocol.RunConfig:
    n = len(bars)
    window = protocol.WindowRef(
        index=0, start=0, first=400, train_end=n - 400, val_start=n - 300, end=n, first_ms=0, end_ms=1
    )
    data = protocol.DataRef(
        source="simulated", symbol=bars.symbol, timeframe="1h", bars=n, digest="0" * 64, first_ms=0, last_ms=1,
        simulated=True, has_taker_volume=bars.taker_buy_volume is not None,
    )  # fmt: skip
    return protocol.RunConfig(
        run_id="seg1", campaign="c", engine="session", seed=3, data=data, window=window, methods=(method,),
        params=as_params(params), sizing=protocol.Sizing(quantity=Decimal(quantity)),
    )  # fmt: skip


def forgiving(trader: Trader) -> None:
    """A market in which no losers come in a row and no day loses anything: breakers have nothing to trip on."""
    guard, equity = trader.desk.guard, trader.desk.account.equity
    guard._streak = LosingStreak()
    guard._day = DayLoss(guard._day.day, equity, equity)
    guard._drawdown = EquityDrawdown(equity, equity)


def kernel_trades(bars: Bars, config: protocol.RunConfig, quantity: str):
    assert config.window is not None
    w = config.window
    window = BarWindow(w.start, w.first, w.train_end, w.val_start, w.end)
    spec = TestSpec(config.run_id, window, config.methods, config.values())
    costs = FillCosts(config.costs.taker_bps, config.costs.maker_bps, config.costs.slippage_bps)
    result = simulate_batch(bars, [spec], costs, TradeSize.fixed(float(quantity)))
    return result.trades(0)


def session_trades(trail: Path) -> list[dict[str, object]]:
    """Entry price, exit price and reason, from the trail alone."""
    lines = [msgspec.json.decode(line) for line in trail.read_bytes().splitlines()]
    trades: list[dict[str, object]] = []
    for line in lines:
        if line["event"] == "ExecutionFill" and line["client_order_id"].endswith("e"):
            trades.append({"entry": float(line["price"]), "side": 1 if line["side"] == "buy" else -1})
        elif line["event"] == "ExecutionExit":
            trades[-1] |= {"exit": float(line["price"]), "pnl": float(line["pnl"]), "reason": line["reason"]}
    return trades


def assert_same(kernel, session: list[dict[str, object]]) -> None:
    assert len(kernel) == len(session)
    names = ("stop", "target", "timeout", "end")
    for row, trade in zip(kernel, session, strict=True):
        assert row["side"] == trade["side"]
        assert trade["entry"] == pytest.approx(row["entry"], abs=2e-8)
        assert trade["exit"] == pytest.approx(row["exit"], abs=2e-8)
        assert trade["pnl"] == pytest.approx(row["pnl"], abs=1e-6)
        assert trade["reason"] == names[row["reason"]]


@pytest.mark.parametrize(
    ("kind", "method", "quantity", "params", "reasons"),
    [
        ("mixed", "ema_crossover", "2", {"hard_tp_usd": 50.0, "timeout_bars": 24}, ("stop", "timeout")),
        (
            "volatility_clusters",
            "trend_breakout",
            "4",
            {"hard_tp_usd": 50.0, "timeout_bars": 12},
            ("stop", "timeout"),
        ),
        ("trending", "macd_trend", "1", {"hard_tp_usd": 50.0, "atr_stop_mult": 0.8, "gate_vhf": True}, ("stop",)),
        (
            "trending",
            "trend_breakout",
            "7",
            {"hard_tp_usd": 50.0, "timeout_bars": 240, "atr_stop_mult": 2.5},
            ("target",),
        ),
    ],
)
def test_replayed_bars_make_the_backtests_trades(tmp_path, kind, method, quantity, params, reasons):
    bars = bars_of(kind)
    config = run_config(bars, method, quantity, **params)
    trader = replay(config, bars, Decimal(quantity), tmp_path / "run", forgiving)
    kernel = kernel_trades(bars, config, quantity)
    assert len(kernel) > 20
    assert trader.desk.counts.rejects == 0, "with nothing forbidden, nothing differs"
    made = session_trades(tmp_path / "run" / "events.jsonl")
    assert_same(kernel, made)
    assert len({trade["reason"] for trade in made} & set(reasons)) == len(reasons)


REAL = "binance_usdm_BTCUSDT_15m_2025-01_2025-06.parquet"


@pytest.mark.parametrize("method", ["ema_crossover", "macd_trend", "trend_breakout"])
def test_recorded_bars_make_the_backtests_trades_too(market_data, tmp_path, method):
    bars, _ = load_bars(market_data / "klines" / REAL)
    bars = bars.slice(0, 3_000)
    config = run_config(bars, method, "0.001", timeout_bars=48)
    trader = replay(config, bars, Decimal("0.001"), tmp_path / "run", forgiving)
    kernel = kernel_trades(bars, config, "0.001")
    assert len(kernel) > 20
    assert trader.desk.counts.rejects == 0
    assert_same(kernel, session_trades(tmp_path / "run" / "events.jsonl"))


def test_limits_may_only_leave_trades_out(tmp_path):
    bars = bars_of("mixed")
    config = run_config(bars, "ema_crossover", "2", hard_tp_usd=50.0, timeout_bars=24)
    trader = replay(config, bars, Decimal(2), tmp_path / "run")
    assert trader.desk.counts.rejects > 0, "five losers in a row trip a breaker"
    kernel = kernel_trades(bars, config, "2")
    made = session_trades(tmp_path / "run" / "events.jsonl")
    assert 5 <= len(made) < len(kernel)
    same = sum(line["ts"] < first_trip(tmp_path / "run")["ts"] for line in exits_of(tmp_path / "run"))
    assert same >= 4
    assert_same(kernel[:same], made[:same])


def lines_of(folder: Path, event: str) -> list[dict[str, Any]]:
    lines = [msgspec.json.decode(line) for line in (folder / "events.jsonl").read_bytes().splitlines()]
    return [line for line in lines if line["event"] == event]


def exits_of(folder: Path) -> list[dict[str, Any]]:
    return lines_of(folder, "ExecutionExit")


def first_trip(folder: Path) -> dict[str, Any]:
    return lines_of(folder, "CircuitBreakerTripped")[0]


def test_a_tripped_streak_keeps_entries_back_until_the_owner_looks_the_next_day(tmp_path):
    bars = bars_of("mixed")
    config = run_config(bars, "ema_crossover", "2", hard_tp_usd=50.0, timeout_bars=24)
    replay(config, bars, Decimal(2), tmp_path / "run")
    trips = [
        line for line in lines_of(tmp_path / "run", "CircuitBreakerTripped") if line["reason"] == "losing_streak"
    ]
    entries = [line for line in lines_of(tmp_path / "run", "OrderSubmitted") if not line["reduce_only"]]
    assert trips
    days_after = set()
    for trip in trips:
        later = [line["ts"] for line in entries if line["ts"] >= trip["ts"]]
        assert all(ts // DAY_MS > trip["ts"] // DAY_MS for ts in later)
        days_after.update(ts // DAY_MS for ts in later)
    assert days_after, "the day after, the session trades on"


def test_bars_that_are_passed_over_change_nothing(tmp_path, monkeypatch):
    """All bars looked at, as a live session does, and the methods asked anew at each close: the same trail."""
    bars = bars_of("mixed", n=1_500)
    config = run_config(bars, "ema_crossover", "40", hard_tp_usd=50.0, timeout_bars=24)
    replay(config, bars, Decimal(40), tmp_path / "fast")

    class Asked(Foreseen):
        def __init__(self, session, window, share) -> None:
            super().__init__(session, window, share)
            self.places = list(range(len(window)))
            self._window = window

        def intent(self, seen):
            until = int(np.searchsorted(self._window.open_time, seen.open_time[-1])) + 1
            return Strategy.intent(self, self._window.slice(0, until))

    monkeypatch.setattr(runs, "Foreseen", Asked)
    replay(config, bars, Decimal(40), tmp_path / "slow")
    fast, slow = ((tmp_path / name / "events.jsonl").read_text() for name in ("fast", "slow"))
    assert fast == slow.replace("slow-", "fast-")
    assert fast.count("ExecutionExit") > 5
    assert fast.count("OrderRejected") > 5
    assert fast.count("CircuitBreakerTripped") >= 1


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    kind=st.sampled_from(["mixed", "trending", "volatility_clusters"]),
    quantity=st.sampled_from(["2", "40", "70", "400"]),
    method=st.sampled_from(["ema_crossover", "trend_breakout", "macd_trend"]),
    timeout=st.sampled_from([12, 48, 240]),
    stop=st.sampled_from([0.5, 2.5]),
    funded=st.booleans(),
)
def test_what_is_held_is_carried_over_quiet_bars_to_the_same_trail_and_state(
    tmp_path_factory, seed, kind, quantity, method, timeout, stop, funded
):
    """Sizes from small to more than the account carries, so that breakers trip while something is held, too."""
    bars = simulate_bars(kind, seed, 1_200, step_ms=900_000, price=100.0)
    if funded:
        bars = replace(bars, funding_rate=np.where(np.arange(len(bars)) % 32 == 5, 0.0001, 0.0))
    params = {"hard_tp_usd": 200.0, "timeout_bars": timeout, "atr_stop_mult": stop}
    config, root = run_config(bars, method, quantity, **params), tmp_path_factory.mktemp("quiet")
    quick = replay(config, bars, Decimal(quantity), root / "quick")
    every = replay(config, bars, Decimal(quantity), root / "every", lambda trader: None)
    told = [(root / name / "events.jsonl").read_text() for name in ("quick", "every")]
    assert told[0] == told[1].replace("every-", "quick-")
    assert quick.desk.guard.to_dict() == every.desk.guard.to_dict()
    assert quick.desk.account.to_dict() == every.desk.account.to_dict()


def test_a_run_config_of_engine_session_runs_like_any_other(tmp_path):
    bars = bars_of("mixed")
    config = run_config(bars, "ema_crossover", "2", hard_tp_usd=50.0, timeout_bars=24)
    runner = SessionRunner(tmp_path, bars, config.data, [config.window], MetricsCalculator((), bars.step_ms))
    [outcome] = runner.run([config])
    closes, _ = entries_of(tmp_path / "seg1" / "events.jsonl")
    assert outcome.report.test_id == "seg1"
    assert outcome.n_trades == outcome.report.whole.n_trades == len(closes) > 0
    exits = session_trades(tmp_path / "seg1" / "events.jsonl")
    lines = [TradeEvent.model_validate_json(line) for line in outcome.trades_jsonl.splitlines()]
    assert {line.reason for line in lines} == {"ema_crossover"}
    assert [line.exit_reason for line in lines] == [trade["reason"] for trade in exits]
    assert all(line.gates.vhf is not None for line in lines)
    assert float(outcome.report.whole.total_pnl) == pytest.approx(sum(e["pnl"] for e in exits), abs=1e-3)
    [again] = SessionRunner.of(runner, tmp_path).run([config])
    assert again == outcome


def lines_in(jsonl: bytes) -> list[dict[str, Any]]:
    return [flat(msgspec.json.decode(line)) for line in jsonl.splitlines()]


def flat(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key != "gates"} | line.get("gates", {})


class BarFeed:
    """Bars as candles that close when the clock says so."""

    name = "bars"

    def __init__(self, bars: Bars, first: int, clock) -> None:
        self.counters = Counters()
        self._bars, self._first, self._clock = bars, first, clock

    async def events(self):
        for i in range(self._first, len(self._bars)):
            kline = kline_of(self._bars, i)
            await self._clock.sleep(kline.local_ns / 1e9 - self._clock.now_ms() / 1e3)
            yield kline

    async def history(self, symbol: str, interval: str, limit: int) -> list[Kline]:
        return [kline_of(self._bars, i) for i in range(self._first)][-limit:]

    async def filters(self, symbol: str) -> Filters:
        tiny = Decimal("0.00000001")
        return Filters(symbol, symbol, "USD", tiny, tiny, tiny, Decimal(0))

    async def funding_terms(self, symbol: str) -> None:
        return None

    async def aclose(self) -> None: ...


async def test_the_whole_supervisor_with_its_tasks_makes_them_too(tmp_path):
    from maestro_engine.feeds.clock import VirtualClock

    bars = simulate_bars("mixed", 11, 900, step_ms=60_000, price=1_000.0)
    high = bars.high.copy()
    high[50] *= 1.06  # once, long ago, price went as far as the target, without which no session starts
    bars = replace(bars, high=high)
    config = SessionConfig(
        source="replay", symbol=bars.symbol, interval="1m", duration_s=600 * 60.0, methods=("trend_breakout",),
        params=as_params({"hard_tp_usd": 50.0, "timeout_bars": 12}), quantity=Decimal(1), fills="bars",
        entry_latency_ms=0, response_latency_ms=0, history_bars=900, stale_s=60, outage_s=600, checkpoint_s=600,
        on_breaker="hold",
    )  # fmt: skip
    clock = VirtualClock(int(bars.open_time[400]))
    told: list[bytes] = []
    around = Surroundings(
        clock=clock, feed=lambda: BarFeed(bars, 400, clock), monotonic=lambda: 0.0, frozen=pytest.fail,
        told=told.append,
    )  # fmt: skip
    session = Session(config, tmp_path, around)
    report = await asyncio.wait_for(session.run(), 100)
    assert report.exit_code == 0
    spec = TestSpec("x", BarWindow(0, 400, 800, 800, 900), config.methods, config.values())
    kernel = simulate_batch(bars, [spec], FillCosts(), TradeSize.fixed(1.0)).trades(0)
    made = session_trades(session.run_folder / "events.jsonl")
    same = min(len(made), len(kernel)) - 1  # the last may be open when the session ends
    assert same > 3
    assert_same(kernel[:same], made[:same])
    run = run_config(bars, "trend_breakout", "1", hard_tp_usd=50.0, timeout_bars=12)
    window = run.window.model_copy(update={"first": 400, "train_end": 900, "val_start": 900})
    run = run.model_copy(update={"window": window, "data": run.data.model_copy(update={"timeframe": "1m"})})
    figures = MetricsCalculator(ORIGIN_TARGETS, bars.step_ms)
    told = SessionReports(bars, run.data, [window], figures).outcome(run, session.run_folder / "events.jsonl")
    [wanted] = BacktestRunner(bars, run.data, [window], figures).run([run])
    theirs = [pytest.approx(line, abs=2e-6) for line in lines_in(wanted.trades_jsonl)[:same]]
    assert lines_in(told.trades_jsonl)[:same] == theirs, "agents read of a session what they read of a backtest"
    assert told.episodes[0]._replace(high_vol=True) == wanted.episodes[0], "but for the history that it did not see"
    assert np.isclose(float(report.net_pnl), sum(trade["pnl"] for trade in made))

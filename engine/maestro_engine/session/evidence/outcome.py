"""outcome owns what agents read of a finished session: its trail as the trades, scores and report of any run.

Bars are the candles that closed while the session ran; a fill belongs to the candle that closed after it. All of a
session is train phase: what its configuration would have done on data that nobody has seen is the next session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from maestro_engine import methods
from maestro_engine.backtest import EPISODE, SUMMARY, TRADE, BatchResult, ExitReason, Phase, Records, Regime, TestSpec
from maestro_engine.backtest.records import Chunk
from maestro_engine.backtest.spec import BarWindow
from maestro_engine.backtest.trade import WindowSpan
from maestro_engine.backtest.window_context import WindowContext
from maestro_engine.data.bars import Bars
from maestro_engine.data.timeframes import TIMEFRAMES
from maestro_engine.exits.rules import is_blunder
from maestro_engine.metrics.calculator import MetricsCalculator
from maestro_engine.runner import BacktestRunner
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.evidence.story import Story, StoryLine, StoryTrade, read_story
from maestro_engine.session.trail.parts import trail_lines
from maestro_engine.trading.venue.money import CENT
from maestro_protocol.base import MICRO
from maestro_protocol.config import DECLARED_FOR, DataRef, RunConfig, Sizing, stretch_of
from maestro_protocol.errors import DataError
from maestro_protocol.ids import CampaignId, segment_run, test_run
from maestro_protocol.messages.campaign import ORIGIN_TARGETS
from maestro_protocol.messages.plan import Target
from maestro_protocol.ports import TestOutcome
from maestro_protocol.schema import canonical
from maestro_protocol.values import as_params

REASONS = {reason.name.lower(): reason for reason in ExitReason}
"""Any other end (the session's, a restart's, a liquidation) is an end."""
TRAIN = int(Phase.TRAIN)
MOST_EPISODE, LEAST_EPISODE, EPISODES = 120, 10, 10
"""Bars of an episode, and how many of them a session is cut into where it is long enough."""
NOTIONAL = (Decimal(1), Decimal(200_000))


class _Stamp(msgspec.Struct):
    ts: int


class SessionReports(BacktestRunner):
    """Reports of sessions of one kind; everything of the runner's port but the running."""

    @classmethod
    def of(cls, run: RunConfig, targets: Sequence[Target] | None = None) -> Self:
        """For runs of *run*'s data and size."""
        step_ms = TIMEFRAMES[run.data.timeframe]
        bars = _bars((), run.data.symbol, step_ms)
        if run.data.has_taker_volume:
            bars = replace(bars, taker_buy_volume=np.empty(0))
        return cls(bars, run.data, [], MetricsCalculator(targets_of(run) if targets is None else targets, step_ms))

    def outcome(self, run: RunConfig, trail: Path) -> TestOutcome:
        """What the session that carried out *run* left in *trail*. Raises :class:`DataError`."""
        told = read_story(trail)
        step_ms = TIMEFRAMES[self.data.timeframe]
        bars = _bars(told.candles, self.data.symbol, step_ms)
        reports = SessionReports(bars, self.data, self.windows, self._figures)
        return reports._outcome(run, _result(run, told, bars), 0)


def run_of(config: SessionConfig, campaign: CampaignId, begins_ms: int, price: Decimal | None = None) -> RunConfig:
    """The run that *config* asks for, as the root of a chain; *begins_ms* is when its first session begins.

    *price*: around which its positions are opened, which makes a notional of their quantity; None: unknown.
    """
    bars = max(1, int(config.duration_s * 1_000) // config.step_ms)
    data = DataRef(
        source=f"{config.source}:session",
        symbol=config.symbol,
        timeframe=config.interval,
        bars=bars,
        digest=hashlib.sha256(canonical(config)).hexdigest(),
        first_ms=begins_ms,
        last_ms=begins_ms + round(config.duration_s * 1_000),
        simulated=config.source == "sim",
        has_taker_volume=config.adapter.taker_volume,
    )
    return RunConfig(
        run_id="root",
        campaign=campaign,
        engine="session",
        seed=config.seed,
        data=data,
        methods=config.methods,
        params=as_params(config.values()),
        costs=config.costs,
        sizing=sizing_of(config, price),
        episode_bars=min(max(bars // EPISODES, LEAST_EPISODE), MOST_EPISODE),
    )


def sizing_of(config: SessionConfig, price: Decimal | None) -> Sizing:
    """A session's size as a run's: a quantity, and what it comes to at *price*, else the account."""
    whole = config.cash if price is None else config.quantity * price
    notional = min(max(whole, NOTIONAL[0]), NOTIONAL[1]).quantize(CENT)
    if config.declared_for is None:
        return Sizing(quantity=config.quantity, notional_usd=notional)
    scaled = methods.scaled(config.methods)
    return Sizing(quantity=config.quantity, notional_usd=notional, declared_for=config.declared_for, scaled=scaled)


def targets_of(run: RunConfig) -> tuple[Target, ...]:
    """What a session's metrics are held against: amounts of money for a position of its size."""
    share = float(run.sizing.notional_usd / DECLARED_FOR)
    return tuple(target.scaled(share) for target in ORIGIN_TARGETS)


def first_round(root: RunConfig) -> RunConfig:
    """What a chain of *root* would have called its first session."""
    window = stretch_of(root.data, 1)
    return root.model_copy(update={"run_id": test_run(1, 1), "parent_run": segment_run(1), "window": window})


def began_ms(trail: Path) -> int:
    """When the session's trail begins, UTC milliseconds. Raises :class:`DataError`."""
    try:
        return msgspec.json.decode(next(trail_lines(trail), b""), type=_Stamp).ts
    except msgspec.DecodeError as error:
        raise DataError(f"{trail}: cannot be read ({error}); has the session run?") from None


def last_price(trail: Path) -> Decimal | None:
    """The last close that a trail tells; None where no candle closed. Raises :class:`DataError`."""
    candles = read_story(trail).candles
    return Decimal(repr(candles[-1].close)) if candles else None


def leave_report(folder: Path, config: SessionConfig) -> TestOutcome:
    """Write what agents read of the session in *folder*: ``report.json``, ``trades.jsonl``, ``scores.jsonl``."""
    trail = folder / "events.jsonl"
    run = config.run or first_round(run_of(config, folder.name, began_ms(trail), last_price(trail)))
    outcome = SessionReports.of(run).outcome(run, trail)
    report = outcome.report.model_dump_json(indent=1).encode() + b"\n"
    for name, content in (
        ("trades.jsonl", outcome.trades_jsonl),
        ("scores.jsonl", outcome.scores_jsonl),
        ("report.json", report),
    ):
        (folder / name).write_bytes(content)
    return outcome


def _bars(candles: Sequence[StoryLine], symbol: str, step_ms: int) -> Bars:
    rows = [(c.open, c.high, c.low, c.close, c.volume) for c in candles]
    opened, high, low, close, volume = np.array(rows, np.float64).reshape(-1, 5).T.copy()
    return Bars(symbol, step_ms, np.array([c.open_ms for c in candles], np.int64), opened, high, low, close, volume)


def _result(run: RunConfig, told: Story, bars: Bars) -> BatchResult:
    """The kernel's rows, filled from what the session told."""
    n = len(bars)
    trades = np.zeros(len(told.trades) if n else 0, TRADE)
    for row, trade in zip(trades, told.trades, strict=False):
        _write_trade(row, trade, told.decided.get(trade.order), run, bars)
    span = WindowSpan(0, 0, n, n, n, run.episode_bars)
    episodes = WindowContext(bars, 0).empty_episodes(span) if n else np.zeros(0, EPISODE)
    equity = np.array([0.0, *(float(value * MICRO) for value in told.equity)])
    total = np.zeros(1, SUMMARY)[0]
    for row in episodes:
        first, last = int(row["first"]), int(row["first"] + row["bars"])
        mine = trades[trades["episode"] == row["episode"]]
        _write_sums(row, mine, equity[first : last + 1], told.held[first:last])
    _write_sums(total, trades, equity, told.held)
    total["bars"], total["episodes"] = n, len(episodes)
    total["high_vol"] = int((episodes["regime"] == Regime.HIGH).sum())
    total["known_vol"] = int((episodes["regime"] != Regime.UNKNOWN).sum())
    phases = np.zeros((1, len(Phase)), SUMMARY)
    phases[0, TRAIN] = total
    test = TestSpec(run.run_id, BarWindow(0, 0, max(n, 1), max(n, 1), max(n, 1)), run.methods, run.values())
    ends = np.array([0, len(trades)])
    chunk = Chunk(np.array([0]), trades, ends, episodes[np.newaxis], phases, phases[:, TRAIN])
    return BatchResult([test], [chunk], run.episode_bars, bars.step_ms, kept=True)


def _write_trade(row: np.void, trade: StoryTrade, decided: StoryLine | None, run: RunConfig, bars: Bars) -> None:
    last = len(bars) - 1
    entry_bar, exit_bar = min(trade.entry_bar, last), min(trade.exit_bar, last)
    entry, left = float(trade.entered / trade.bought), float(trade.left / trade.bought)
    reason = REASONS.get(trade.reason, ExitReason.END)
    within = slice(entry_bar, exit_bar + (reason is ExitReason.END))
    high = max([entry, left, *bars.high[within].tolist()])
    low = min([entry, left, *bars.low[within].tolist()])
    qty, side, pnl = float(trade.bought), trade.side, float(trade.pnl)
    best, worst = (high, low) if side > 0 else (low, high)
    row["entry_bar"], row["exit_bar"], row["bars_held"] = entry_bar, exit_bar, exit_bar - entry_bar
    row["episode"] = exit_bar // run.episode_bars
    row["side"], row["reason"], row["phase"] = side, reason, TRAIN
    row["qty"], row["entry"], row["exit"] = qty, entry, left
    row["mfe"], row["mae"] = side * (best - entry) * qty, side * (worst - entry) * qty
    for name, amount in (("pnl", trade.pnl), ("fees", trade.fees), ("funding", trade.funding)):
        row[name], row[f"{name}_micros"] = float(amount), round(amount * MICRO)
    risk = np.nan if decided is None else float(decided.loss)
    row["risk"] = risk
    row["blunder"] = is_blunder(reason, exit_bar - entry_bar, pnl, risk)
    named = () if decided is None else decided.methods
    row["methods"] = sum(1 << bit for bit, name in enumerate(run.methods) if name in named)
    for name in ("cvd", "imb", "atrz", "vhf"):
        value = None if decided is None else getattr(decided, name)
        row[name] = np.nan if value is None else value


def _write_sums(row: np.void, trades: Records, equity: np.ndarray, held: Sequence[bool]) -> None:
    """What *trades* come to, and the path of *equity* (micros), which begins before the row's first bar."""
    pnl = trades["pnl_micros"]
    row["n_trades"], row["blunders"] = len(trades), int(trades["blunder"].sum())
    row["wins"], row["losses"] = int((pnl > 0).sum()), int((pnl < 0).sum())
    row["win_micros"], row["loss_micros"] = int(pnl[pnl > 0].sum()), int(pnl[pnl < 0].sum())
    for name in ("pnl_micros", "fees_micros", "funding_micros"):
        row[name] = int(trades[name].sum())
    row["held_bars"] = sum(held)
    row["mtm_micros"] = round(equity[-1]) - round(equity[0])
    row["maxdd_micros"] = round(float((equity - np.maximum.accumulate(equity)).min()))

"""equity owns the equity curve of a test: marks to market, drawdowns, and the sums of episodes, phases and the test.

Amounts inside are micros (1e-6 USD). What is realised is a sum of whole micros, so equity while
flat agrees with the trades.
"""

from __future__ import annotations

import numpy as np

from maestro_engine.backtest.records import RecordRow, Records, Regime
from maestro_engine.indicators.compiled import inlined

EQUITY = np.dtype(
    [
        ("realised", np.int64),
        ("equity", np.float64),  # at the last mark
        ("start", np.int64),  # equity at the start of the episode
        ("peak", np.float64),  # of the episode
        ("trough", np.float64),
        ("drawdown", np.float64),  # deepest fall below the peak, <= 0
        ("episode", np.int64),
        ("boundary", np.int64),  # first bar of the next episode
        ("phase", np.int64),
        ("phase_peak", np.float64),
        ("total_peak", np.float64),
    ],
    align=True,
)

_HIGH = int(Regime.HIGH)
_UNKNOWN = int(Regime.UNKNOWN)


@inlined
def init_equity(state: RecordRow, first_boundary: int) -> None:
    """No profit yet, at the first bar of the window."""
    state["realised"] = 0
    state["equity"] = 0.0
    state["episode"] = 0
    state["boundary"] = first_boundary
    state["phase"] = -1
    state["total_peak"] = 0.0
    start_episode(state)


@inlined
def start_episode(state: RecordRow) -> None:
    """Start an episode at the equity reached."""
    state["start"] = np.int64(np.rint(state["equity"]))
    state["peak"] = state["equity"]
    state["trough"] = state["equity"]
    state["drawdown"] = 0.0


@inlined
def mark_equity(state: RecordRow, equity: float) -> None:
    """Mark to market: the *equity* at one bar's close, micros."""
    state["equity"] = equity
    state["peak"] = max(state["peak"], equity)
    state["trough"] = min(state["trough"], equity)
    state["drawdown"] = min(state["drawdown"], equity - state["peak"])


@inlined
def update_drawdown(row: RecordRow, peak: float, trough: float, drawdown: float) -> None:
    """Deepen a row's maximum drawdown by an episode: its own, or from the *peak* before it to its trough."""
    row["maxdd_micros"] = min(row["maxdd_micros"], np.int64(np.rint(min(drawdown, trough - peak))))


@inlined
def accumulate(row: RecordRow, episode: RecordRow) -> None:
    """Add an episode's bars and equity to its phase or to the test."""
    row["episodes"] += 1
    row["bars"] += episode["bars"]
    row["held_bars"] += episode["held_bars"]
    row["mtm_micros"] += episode["mtm_micros"]
    row["high_vol"] += episode["regime"] == _HIGH
    row["known_vol"] += episode["regime"] != _UNKNOWN


@inlined
def close_episode(state: RecordRow, episodes: Records, phases: Records, total: RecordRow, episode_bars: int) -> None:
    """End the current episode at the last mark and begin the next."""
    episode = episodes[state["episode"]]
    episode["mtm_micros"] = np.int64(np.rint(state["equity"])) - state["start"]
    episode["maxdd_micros"] = np.int64(np.rint(state["drawdown"]))
    if episode["phase"] != state["phase"]:
        state["phase"] = episode["phase"]
        state["phase_peak"] = state["start"]
    phase = phases[episode["phase"]]
    update_drawdown(phase, state["phase_peak"], state["trough"], state["drawdown"])
    update_drawdown(total, state["total_peak"], state["trough"], state["drawdown"])
    state["phase_peak"] = max(state["phase_peak"], state["peak"])
    state["total_peak"] = max(state["total_peak"], state["peak"])
    accumulate(phase, episode)
    accumulate(total, episode)
    state["episode"] += 1
    state["boundary"] += episode_bars
    start_episode(state)


@inlined
def add_trade(row: RecordRow, pnl: int, fees: int, funding: int, blunder: bool) -> None:
    """Count a trade, amounts in micros, into an episode, a phase or the total."""
    row["n_trades"] += 1
    row["blunders"] += blunder
    row["pnl_micros"] += pnl
    row["fees_micros"] += fees
    row["funding_micros"] += funding
    if pnl > 0:
        row["wins"] += 1
        row["win_micros"] += pnl
    elif pnl < 0:
        row["losses"] += 1
        row["loss_micros"] += pnl

"""equity owns the equity of a running test: marks, drawdowns, and the rows of episodes, phases and the total.

Amounts inside are micros (1e-6 USD). What is realised is a sum of whole micros, so a flat book
agrees with its trades.
"""

from __future__ import annotations

import numpy as np

from maestro_engine.backtest.records import Records, Regime, Row
from maestro_engine.indicators.compiled import inlined

BOOK = np.dtype(
    [
        ("realised", np.int64),
        ("equity", np.float64),  # at the last mark
        ("start", np.int64),  # equity at the start of the episode
        ("peak", np.float64),  # of the episode
        ("floor", np.float64),
        ("drop", np.float64),  # deepest fall below the peak, <= 0
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
def open_book(book: Row, first_boundary: int) -> None:
    """An empty book at the first bar of the window."""
    book["realised"] = 0
    book["equity"] = 0.0
    book["episode"] = 0
    book["boundary"] = first_boundary
    book["phase"] = -1
    book["total_peak"] = 0.0
    begin(book)


@inlined
def begin(book: Row) -> None:
    """Start an episode at the equity reached."""
    book["start"] = np.int64(np.rint(book["equity"]))
    book["peak"] = book["equity"]
    book["floor"] = book["equity"]
    book["drop"] = 0.0


@inlined
def mark(book: Row, equity: float) -> None:
    """Note the *equity* of one bar's close."""
    book["equity"] = equity
    book["peak"] = max(book["peak"], equity)
    book["floor"] = min(book["floor"], equity)
    book["drop"] = min(book["drop"], equity - book["peak"])


@inlined
def deepen(row: Row, peak: float, floor: float, drop: float) -> None:
    """Join an episode to a longer row: its own drawdown, or its floor below the *peak* before it."""
    row["maxdd_micros"] = min(row["maxdd_micros"], np.int64(np.rint(min(drop, floor - peak))))


@inlined
def join(row: Row, episode: Row) -> None:
    """Add what an episode says of bars and equity to its phase or test."""
    row["episodes"] += 1
    row["bars"] += episode["bars"]
    row["held_bars"] += episode["held_bars"]
    row["mtm_micros"] += episode["mtm_micros"]
    row["high_vol"] += episode["regime"] == _HIGH
    row["known_vol"] += episode["regime"] != _UNKNOWN


@inlined
def settle(book: Row, episodes: Records, phases: Records, total: Row, episode_bars: int) -> None:
    """End the current episode at the last mark and begin the next."""
    episode = episodes[book["episode"]]
    episode["mtm_micros"] = np.int64(np.rint(book["equity"])) - book["start"]
    episode["maxdd_micros"] = np.int64(np.rint(book["drop"]))
    if episode["phase"] != book["phase"]:
        book["phase"] = episode["phase"]
        book["phase_peak"] = book["start"]
    phase = phases[episode["phase"]]
    deepen(phase, book["phase_peak"], book["floor"], book["drop"])
    deepen(total, book["total_peak"], book["floor"], book["drop"])
    book["phase_peak"] = max(book["phase_peak"], book["peak"])
    book["total_peak"] = max(book["total_peak"], book["peak"])
    join(phase, episode)
    join(total, episode)
    book["episode"] += 1
    book["boundary"] += episode_bars
    begin(book)


@inlined
def add_trade(row: Row, pnl: int, fees: int, funding: int, blunder: bool) -> None:
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

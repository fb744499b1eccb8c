"""rules owns how a trade is left: stop before target, gaps, stops that move, and what a blunder is.

Plain functions of prices (floats, or decimals where the venue has them) that call nothing of ours: the kernel
compiles them, bar matching and session call them as they are. What no function can say, the order of events inside a
bar, is held for all three, against a reference of its own, by one test: tests/engine/test_exits_agree.py.

*side* is +1 for a long, -1 for a short. *rules* holds the parameters in the order of :data:`EXIT_RULES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import IntEnum
from typing import NamedTuple, Protocol, TypeVar

Price = TypeVar("Price", float, Decimal)

EXIT_RULES = ("atr_stop_mult", "hard_tp_usd", "timeout_bars", "tp_atr", "tp_r", "trail_atr", "break_even_r")
"""Parameters of exits; those that a test does not have are 0, which is off. They are read by these numbers:"""
STOP_MULT, TP_USD, TIMEOUT_BARS, TP_ATR, TP_R, TRAIL_ATR, BREAK_EVEN_R = range(7)


class ExitReason(IntEnum):
    """Why a trade ended."""

    STOP = 0
    TARGET = 1
    TIMEOUT = 2
    END = 3
    TRAILING_STOP = 4
    BREAK_EVEN = 5


STOPS = (ExitReason.STOP, ExitReason.TRAILING_STOP, ExitReason.BREAK_EVEN)
"""Ends at a stop, by what put it where it was."""
_STOP = int(ExitReason.STOP)
_TRAILING_STOP = int(ExitReason.TRAILING_STOP)
_BREAK_EVEN = int(ExitReason.BREAK_EVEN)

BLUNDER_RISK = 1.5
"""A trade that loses more than this many times its planned risk is a blunder,"""
BLUNDER_BARS = 3
"""and so is one that its first stop ended in its entry bar or the three bars after it."""


class Row(Protocol):
    """Numbers by their place."""

    def __getitem__(self, place: int, /) -> float: ...


class StopMoves(NamedTuple):
    """How the stop of one trade moves; 0 is off."""

    trail: float = 0.0
    """Distance at which it follows the best price, quote currency."""
    even_after: float = 0.0
    """Gain from the entry after which it goes to break-even, quote currency."""
    even: float = 0.0
    """Break-even over the entry price: both sides' taker fees, and the slippage of the exit."""

    @property
    def any(self) -> bool:
        """Whether it ever moves."""
        return self.trail > 0.0 or self.even_after > 0.0


def exit_row(values: Mapping[str, float]) -> tuple[float, ...]:
    """*values* by name as a row of :data:`EXIT_RULES`."""
    return tuple(float(values.get(name, 0.0)) for name in EXIT_RULES)


def stop_and_target(side: int, close: float, atr: float, qty: float, rules: Row) -> tuple[float, float]:
    """Where stop and target stand after a signal on *close*.

    The stop ``atr_stop_mult x atr`` away, which is R; the target ``hard_tp_usd / qty``, or ``tp_atr x atr``, or
    ``tp_r x R``.
    """
    gain = rules[TP_USD] / qty
    if rules[TP_ATR] > 0.0:
        gain = rules[TP_ATR] * atr
    if rules[TP_R] > 0.0:
        gain = rules[TP_R] * rules[STOP_MULT] * atr
    return close - side * rules[STOP_MULT] * atr, close + side * gain


def stop_moves(side: int, atr: float, rules: Row, taker: float, slippage: float) -> StopMoves:
    """How the stop of a trade moves whose signal saw *atr*; *taker* and *slippage* are shares of the price."""
    even = (1.0 + side * taker) / ((1.0 - side * taker) * (1.0 - side * slippage))
    return StopMoves(rules[TRAIL_ATR] * atr, rules[BREAK_EVEN_R] * rules[STOP_MULT] * atr, even)


def moved_stop(side: int, entry: float, best: float, stop: float, reason: int, moves: StopMoves) -> tuple[float, int]:
    """Stop of the bars after one that left the best price since the entry at *best*, and the reason it ends by.

    A stop only ever moves towards the price. One that the price has passed meanwhile is a gap for the next bar.
    """
    even = entry * moves.even
    reached = side * (best - entry) >= moves.even_after and side * (best - even) >= 0.0
    if moves.even_after > 0.0 and reached and side * (even - stop) > 0.0:
        stop, reason = even, _BREAK_EVEN
    trailed = best - side * moves.trail
    if moves.trail > 0.0 and side * (trailed - stop) > 0.0:
        stop, reason = trailed, _TRAILING_STOP
    return stop, reason


def stop_reached(side: int, stop: Price, low: Price, high: Price) -> bool:
    """Whether a bar touches the stop. It is asked before the target: which came first is unknown."""
    return low <= stop if side > 0 else high >= stop


def target_reached(side: int, target: Price, low: Price, high: Price) -> bool:
    """Whether a bar touches the target."""
    return high >= target if side > 0 else low <= target


def stop_price(side: int, stop: Price, opened: Price) -> Price:
    """What a stop that a bar touches is executed at, before slippage: a gap through it at the bar's open."""
    return min(stop, opened) if side > 0 else max(stop, opened)


def target_price(side: int, target: Price, opened: Price) -> Price:
    """What a target that a bar touches is executed at: a gap past it at the bar's open."""
    return max(target, opened) if side > 0 else min(target, opened)


def is_blunder(reason: int, bars_held: int, pnl: float, risk: float) -> bool:
    """Whether a trade was left by its first stop at once, or lost much more than its plan allowed (*risk*)."""
    return (reason == _STOP and bars_held <= BLUNDER_BARS) or pnl < -BLUNDER_RISK * risk

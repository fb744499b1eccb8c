"""live owns what a session asks of the backtest's own rules while its bars are still coming in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from maestro_engine.backtest.layout import check_taker_volume
from maestro_engine.backtest.signal_plan import asked
from maestro_engine.backtest.signals import (
    ATR_BARS,
    Ballot,
    Basis,
    Found,
    Ranges,
    Signals,
    admits,
    ballot_for,
    signals_for,
    speak,
    value,
)
from maestro_engine.backtest.spec import TestSpec, Window
from maestro_engine.backtest.trade import stop_and_target
from maestro_engine.backtest.window_context import Features
from maestro_engine.data.bars import Bars, Floats, Ints
from maestro_engine.indicators.compiled import compiled, kernel
from maestro_protocol.space import Value

Bools = npt.NDArray[np.bool_]


@kernel
def _spoken(found: Found, lists: Ints, spoken: Ints, ballot: Ballot, signals: Signals) -> int:
    return speak(found, lists, spoken, ballot, signals)


@kernel
def _admit(
    close: Floats, basis: Basis, ranges: Ranges, spoken: Ints, rules: Floats, signals: Signals, admitted: Bools
) -> None:
    """Fill in *signals*, and which of them the gates let through."""
    value(close, basis, ranges.atr[0], ranges.atrz[0], spoken, len(admitted), signals)
    for k in range(len(admitted)):
        admitted[k] = admits(signals, k, rules)


def signals_on(bars: Bars, methods: Sequence[str], params: Mapping[str, Value]) -> Signals:
    """The signals on *bars* that pass the gates, exactly those a backtest on a window of these bars could take.

    A session keeps a stretch of closed bars and looks whether the last of them has a signal. Averages remember
    where they began, so a stretch should be several times as long as the longest of them. Raises as
    :func:`~maestro_engine.backtest.batch.simulate_batch` does.
    """
    n = len(bars)
    test = TestSpec("live", Window(0, 0, n, n, n), tuple(methods), params)
    rules, _, wishes = asked([test])
    check_taker_volume(bars, [test], rules)
    features = Features(bars, 0)
    found, lists = features.find(wishes, np.zeros(1, np.int64))
    signals, spoken = signals_for(int(found.ends[-1])), wishes.spoken[0]
    count = _spoken(found, lists[0], spoken, ballot_for(lists.shape[1]), signals)
    admitted = np.zeros(count, np.bool_)
    ranges, _ = features.ranges(wishes.spoken[:, ATR_BARS])
    _admit(features.columns.close, features.basis, ranges, spoken, rules[0], signals, admitted)
    bar, side, atr, gates, voters = signals
    kept = np.flatnonzero(admitted)
    return Signals(bar[kept], side[kept], atr[kept], gates[kept], voters[kept])


@compiled
def exit_levels(
    side: int, close: float, atr: float, qty: float, stop_mult: float, tp_usd: float
) -> tuple[float, float]:
    """Stop and target of a trade decided on *close*, as the backtest sets them; *side* is +1 or -1."""
    return stop_and_target(side, close, atr, qty, stop_mult, tp_usd)

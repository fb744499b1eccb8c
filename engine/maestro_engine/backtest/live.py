"""live owns the backtest's signals on bars that are still coming in, for a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from maestro_engine.backtest.layout import check_taker_volume
from maestro_engine.backtest.signal_plan import plan_batch
from maestro_engine.backtest.signals import (
    ATR_BARS,
    AtrTable,
    RawSignals,
    RunningSums,
    Signals,
    VoteCounter,
    empty_signals,
    evaluate_gates,
    merge_signals,
    new_vote_counter,
    passes_gates,
)
from maestro_engine.backtest.spec import BarWindow, TestSpec
from maestro_engine.backtest.window_context import WindowContext
from maestro_engine.data.bars import Bars, Floats, Ints
from maestro_engine.indicators.compiled import kernel
from maestro_protocol.space import Value

Bools = npt.NDArray[np.bool_]


@kernel
def _merge(raw: RawSignals, lists: Ints, params: Ints, votes: VoteCounter, signals: Signals) -> int:
    return merge_signals(raw, lists, params, votes, signals)


@kernel
def _pass_gates(
    close: Floats, sums: RunningSums, table: AtrTable, params: Ints, rules: Floats, signals: Signals, passed: Bools
) -> None:
    """Fill in ATR and gates of *signals*, and which of them pass the gates."""
    evaluate_gates(close, sums, table.atr[0], table.atrz[0], params, len(passed), signals)
    for k in range(len(passed)):
        passed[k] = passes_gates(signals, k, rules)


def signals_on(bars: Bars, methods: Sequence[str], params: Mapping[str, Value]) -> Signals:
    """The signals on *bars* that pass the gates, exactly those a backtest on a window of these bars could take.

    A session holds a window of closed bars and checks whether the last of them has a signal. Averages remember
    where they began, so the window should be several times as long as the longest of them. Raises as
    :func:`~maestro_engine.backtest.batch.simulate_batch` does.
    """
    n = len(bars)
    test = TestSpec("live", BarWindow(0, 0, n, n, n), tuple(methods), params)
    rules, _, plan = plan_batch([test])
    check_taker_volume(bars, [test], rules)
    context = WindowContext(bars, 0)
    raw, lists = context.scan(plan, np.zeros(1, np.int64))
    signals, row = empty_signals(int(raw.ends[-1])), plan.params[0]
    count = _merge(raw, lists[0], row, new_vote_counter(lists.shape[1]), signals)
    passed = np.zeros(count, np.bool_)
    table, _ = context.atr_table(plan.params[:, ATR_BARS])
    _pass_gates(context.columns.close, context.sums, table, row, rules[0], signals, passed)
    bar, side, atr, gates, voters = signals
    kept = np.flatnonzero(passed)
    return Signals(bar[kept], side[kept], atr[kept], gates[kept], voters[kept])

"""live owns what a session asks of the backtest's own rules while its bars are still coming in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from maestro_engine.backtest.features import Features
from maestro_engine.backtest.layout import check_taker_volume, layout_of
from maestro_engine.backtest.signals import RULES, Signals, admits
from maestro_engine.backtest.spec import TestSpec, Window
from maestro_engine.backtest.trade import stop_and_target
from maestro_engine.indicators.compiled import compiled
from maestro_engine.market.bars import Bars, Floats
from maestro_protocol.space import Value


@compiled
def _admitted(signals: Signals, rules: Floats) -> Signals:
    kept = np.array([k for k in range(len(signals.bar)) if admits(signals, k, rules)], np.int64)
    return Signals(
        signals.bar[kept], signals.side[kept], signals.atr[kept], signals.gates[kept], signals.methods[kept]
    )


def signals_on(bars: Bars, methods: Sequence[str], params: Mapping[str, Value]) -> Signals:
    """The signals on *bars* that pass the gates, exactly those a backtest on a window of these bars could take.

    A session keeps a stretch of closed bars and looks whether the last of them has a signal. Averages remember
    where they began, so a stretch should be several times as long as the longest of them. Raises as
    :func:`~maestro_engine.backtest.batch.simulate_batch` does.
    """
    n = len(bars)
    test = TestSpec("live", Window(0, 0, n, n, n), tuple(methods), params)
    layout = layout_of(test.methods)
    row = layout.rows([test])[0]
    layout.check_order(test, row)
    rules = row[: len(RULES)].copy()
    check_taker_volume(bars, [test], rules[np.newaxis])
    return _admitted(Features(bars).signals(layout.key(row)), rules)


@compiled
def exit_levels(
    side: int, close: float, atr: float, qty: float, stop_mult: float, tp_usd: float
) -> tuple[float, float]:
    """Stop and target of a trade decided on *close*, as the backtest sets them; *side* is +1 or -1."""
    return stop_and_target(side, close, atr, qty, stop_mult, tp_usd)

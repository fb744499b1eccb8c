"""layout owns the way from named parameters to the rows of numbers a kernel reads, with every bound checked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from maestro_engine import methods
from maestro_engine.backtest.features import SignalKey
from maestro_engine.backtest.signals import GATE_CVD, GATE_IMB, RULES
from maestro_engine.backtest.spec import TestSpec
from maestro_engine.market.bars import Bars, Floats
from maestro_protocol.errors import DataError, ParameterError

_SPOKEN = ("atr_bars", "cvd_bars", "imb_bars", "vhf_bars", "quorum", "quorum_bars")


class Layout:
    """Where each parameter of one set of methods stands in a row: rules first, then what decides signals."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.space = methods.space_for(names)
        own = tuple(spec.name for name in names for spec in methods.get(name).specs)
        order = (*RULES, *_SPOKEN, *own)
        specs = [self.space[name] for name in order]
        self._order = order
        self._column = {name: i for i, name in enumerate(order)}
        self._defaults = [float(spec.default) for spec in specs]
        self._low = np.array([spec.low for spec in specs])
        self._high = np.array([spec.high for spec in specs])
        self._whole = np.array([spec.kind != "float" for spec in specs])

    def rows(self, tests: Sequence[TestSpec]) -> Floats:
        """One row per test, shape ``(t, parameters)``. Raises :class:`ParameterError` naming the test."""
        rows = np.array([self._row(test) for test in tests])
        bad = ~((rows >= self._low) & (rows <= self._high)) | (self._whole & (rows != np.floor(rows)))
        if bad.any():
            t, p = divmod(int(bad.argmax()), len(self._order))
            self._complain(tests[t], self._order[p])
        return rows

    def _row(self, test: TestSpec) -> list[float]:
        row = self._defaults.copy()
        name = ""
        try:
            for name, value in test.params.items():
                row[self._column[name]] = float(value)
        except (KeyError, TypeError, ValueError):
            self._complain(test, name)
        return row

    def _complain(self, test: TestSpec, name: str) -> None:
        """Let the parameter itself say what is wrong with its value."""
        try:
            self.space[name].check(test.params[name])
        except ParameterError as error:
            raise ParameterError(f"test {test.test_id}: {error}") from None
        except (TypeError, ValueError):
            raise ParameterError(f"test {test.test_id}: {name}: {test.params[name]!r} is not a number") from None

    def key(self, row: Floats) -> SignalKey:
        """What decides signals in a *row*."""
        values = row[len(RULES) :].tolist()
        counts = [int(value) for value in values[: len(_SPOKEN)]]
        return SignalKey(self.names, tuple(values[len(_SPOKEN) :]), *counts)

    def check_order(self, test: TestSpec, row: Floats) -> None:
        """Raise :class:`ParameterError` when the values of *row* do not go together."""
        try:
            methods.check_order(self.names, dict(zip(self._order, row.tolist(), strict=True)))
        except ParameterError as error:
            raise ParameterError(f"test {test.test_id}: {error}") from None


@cache
def layout_of(names: tuple[str, ...]) -> Layout:
    """The layout of the methods *names*. Raises :class:`~maestro_protocol.errors.UnknownKey`."""
    return Layout(names)


def check_taker_volume(bars: Bars, tests: Sequence[TestSpec], rules: Floats) -> None:
    """Raise :class:`DataError` when a test has a gate on taker volume and the bars have none."""
    if bars.taker_buy_volume is not None:
        return
    for gate, name in ((GATE_CVD, "gate_cvd"), (GATE_IMB, "gate_imb")):
        if rules[:, gate].any():
            test = tests[int(rules[:, gate].argmax())]
            raise DataError(
                f"test {test.test_id}: {name} needs taker volume, which the {bars.symbol} bars of "
                f"{bars.source or 'this source'} do not have; switch it off or take other data"
            )

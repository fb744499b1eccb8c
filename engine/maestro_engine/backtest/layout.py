"""layout owns the way from named parameters to the rows of numbers a kernel reads, with every bound checked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

import numpy as np

from maestro_engine import methods
from maestro_engine.backtest.signals import GATE_CVD, GATE_IMB, RULES, SIGNAL_PARAMS
from maestro_engine.backtest.spec import TestSpec
from maestro_engine.data.bars import Bars, Floats
from maestro_protocol.errors import DataError, ParameterError


class Layout:
    """Where each parameter of one set of methods stands in a row: rules first, then what decides signals."""

    def __init__(self, chosen: tuple[methods.Method, ...]) -> None:
        self.names = tuple(method.name for method in chosen)
        self.space = methods.space_for(self.names)
        own = tuple(spec.name for method in chosen for spec in method.specs)
        order = (*RULES, *SIGNAL_PARAMS, *own)
        specs = [self.space[name] for name in order]
        self._order = order
        self._column = {name: i for i, name in enumerate(order)}
        self._ascending = [pair for method in chosen for pair in method.ordered]
        self._defaults = np.array([float(spec.default) for spec in specs])
        self._low = np.array([spec.low for spec in specs])
        self._high = np.array([spec.high for spec in specs])
        self._whole = np.array([spec.kind != "float" for spec in specs])

    def rows(self, tests: Sequence[TestSpec]) -> Floats:
        """One row per test, shape ``(t, parameters)``. Raises :class:`ParameterError` naming the test."""
        rows = np.tile(self._defaults, (len(tests), 1))
        alike: dict[tuple[str, ...], list[int]] = {}
        for t, test in enumerate(tests):
            alike.setdefault(tuple(test.params), []).append(t)
        for given, index in alike.items():
            rows[np.ix_(index, self._columns(tests[index[0]], given))] = self._values([tests[t] for t in index])
        bad = ~((rows >= self._low) & (rows <= self._high)) | (self._whole & (rows != np.floor(rows)))
        if bad.any():
            t, p = divmod(int(bad.argmax()), len(self._order))
            self._complain(tests[t], self._order[p])
        self._check_order(tests, rows)
        for t, test in enumerate(tests):
            for name in self._column.keys() & test.scaled.keys():  # it may name amounts of methods that do not run
                rows[t, self._column[name]] *= test.scaled[name]
        return rows

    def _columns(self, test: TestSpec, given: tuple[str, ...]) -> list[int]:
        for name in given:
            if name not in self._column:
                self._complain(test, name)
        return [self._column[name] for name in given]

    def _values(self, tests: Sequence[TestSpec]) -> Floats:
        """Values of tests that give the same parameters in the same order, ``(t, given)``."""
        try:
            every = chain.from_iterable(test.params.values() for test in tests)
            return np.fromiter(map(float, every), np.float64).reshape(len(tests), len(tests[0].params))
        except (TypeError, ValueError):
            for test in tests:
                for name in test.params:
                    self._complain(test, name)
            raise

    def _complain(self, test: TestSpec, name: str) -> None:
        """Let the parameter itself say what is wrong with its value."""
        try:
            self.space[name].check(test.params[name])
        except ParameterError as error:
            raise ParameterError(f"test {test.test_id}: {error}") from None
        except (TypeError, ValueError):
            raise ParameterError(f"test {test.test_id}: {name}: {test.params[name]!r} is not a number") from None

    def _check_order(self, tests: Sequence[TestSpec], rows: Floats) -> None:
        """Let the methods say of the first row whose values do not go together what is wrong with it."""
        bad = rows[:, self._column["quorum"]] > max(1, len(self.names))
        bad |= (rows[:, self._column["tp_atr"]] > 0.0) & (rows[:, self._column["tp_r"]] > 0.0)
        for low, high in self._ascending:
            bad |= ~(rows[:, self._column[low]] < rows[:, self._column[high]])
        if bad.any():
            t = int(bad.argmax())
            try:
                methods.check_order(self.names, dict(zip(self._order, rows[t].tolist(), strict=True)))
            except ParameterError as error:
                raise ParameterError(f"test {tests[t].test_id}: {error}") from None


_layout = lru_cache(maxsize=256)(Layout)


def layout_of(names: tuple[str, ...]) -> Layout:
    """The layout of the methods *names*. Raises :class:`~maestro_protocol.errors.UnknownKey`."""
    return _layout(tuple(methods.get(name) for name in names))


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

"""signal_plan owns the plan of a batch's signals: each parameter set scanned once, each merge made once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from maestro_engine import methods
from maestro_engine.backtest.layout import layout_of
from maestro_engine.backtest.signals import ATR_BARS, RULES, SIGNAL_PARAMS
from maestro_engine.backtest.spec import FixedEntries, TestSpec
from maestro_engine.data.bars import Floats, Ints


class MethodGrid(NamedTuple):
    """The parameter sets for which one method is scanned: a list of signals for each row of *values*."""

    method: methods.Method
    values: Floats
    """The method's parameters in the order of its specs, ``(lists, parameters)``."""


class SignalPlan(NamedTuple):
    """The distinct signal sources of a batch, ``w`` rows, sorted by the length of their ATR."""

    params: Ints
    """Values of :data:`SIGNAL_PARAMS`, ``(w, 6)``."""
    lists: Ints
    """Numbers of the lists a row merges, in the order of its test's methods, -1 after the last; ``(w, m)``."""
    grids: tuple[MethodGrid, ...]
    fixed: tuple[FixedEntries, ...]
    """Entries given instead of found; their numbers follow those of all grids."""
    first_list: Ints
    """Number of the first list of each grid, and of the first fixed one; ``(methods + 1,)``."""


class BatchPlan(NamedTuple):
    """A batch as rows of numbers that the kernel reads."""

    rules: Floats
    """Exits and gates, ``(tests, len(RULES))``."""
    row: Ints
    """Which row of *signals* each test takes its signals from, ``(tests,)``."""
    signals: SignalPlan


def plan_batch(tests: Sequence[TestSpec]) -> BatchPlan:
    """Check every test and plan its signals.

    Raises :class:`~maestro_protocol.errors.ParameterError` and :class:`~maestro_protocol.errors.UnknownKey`.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for t, test in enumerate(tests):
        groups.setdefault(test.methods, []).append(t)
    rules = np.empty((len(tests), len(RULES)))
    source = np.empty(len(tests), np.int64)
    builder = _PlanBuilder(groups)
    for names, index in groups.items():
        chosen = [tests[t] for t in index]
        rows = layout_of(names).rows(chosen)
        rules[index] = rows[:, : len(RULES)]
        source[index] = builder.add(names, rows[:, len(RULES) :], [test.fixed_entries for test in chosen])
    plan, place = builder.build()
    return BatchPlan(rules, place[source], plan)


class _PlanBuilder:
    """Collects rows and lists of signals, numbered in the order of their first mention."""

    def __init__(self, groups: Collection[tuple[str, ...]]) -> None:
        self._width = max(1, max(map(len, groups), default=0))
        self._methods = tuple(methods.get(name) for name in sorted({name for names in groups for name in names}))
        self._rank = {method.name: rank for rank, method in enumerate(self._methods)}
        self._lists: dict[tuple[int, bytes | int], int] = {}
        self._fixed: dict[int, FixedEntries] = {}
        self._params = [np.empty((0, len(SIGNAL_PARAMS)), np.int64)]
        self._merged = [np.empty((0, self._width), np.int64)]
        self._count = 0

    def add(self, names: tuple[str, ...], rows: Floats, fixed: Sequence[FixedEntries | None]) -> Ints:
        """Number of the signal source of each test of the methods *names*.

        *rows* are their SIGNAL_PARAMS and own parameters, ``(tests, parameters)``.
        """
        known: dict[tuple[bytes, int], int] = {}
        keys = zip(_row_keys(rows), map(id, fixed), strict=True)
        which = np.array([known.setdefault(key, len(known)) for key in keys])
        first = np.unique(which, return_index=True)[1]
        merged = np.full((len(first), self._width), -1)
        at = len(SIGNAL_PARAMS)
        for m, name in enumerate(names):
            rank = self._rank[name]
            end = at + len(self._methods[rank].specs)
            merged[:, m] = [self._list_number(rank, key) for key in _row_keys(rows[first, at:end])]
            at = end
        for w, given in enumerate([fixed[int(t)] for t in first]):
            if given is not None:
                merged[w] = -1
                merged[w, 0] = self._list_number(len(self._methods), id(given))
                self._fixed[id(given)] = given
        self._params.append(rows[first, : len(SIGNAL_PARAMS)].astype(np.int64))
        self._merged.append(merged)
        self._count += len(first)
        return which + (self._count - len(first))

    def _list_number(self, rank: int, what: bytes | int) -> int:
        return self._lists.setdefault((rank, what), len(self._lists))

    def build(self) -> tuple[SignalPlan, Ints]:
        """The plan, and the row in it of each number given before."""
        params, merged = np.concatenate(self._params), np.concatenate(self._merged)
        order = np.argsort(params[:, ATR_BARS], kind="stable")
        ranks = np.array([rank for rank, _ in self._lists], np.int64)
        lists = _inverse(np.argsort(ranks, kind="stable"))
        merged = np.where(merged < 0, -1, lists[merged]) if len(lists) else merged
        grids = tuple(self._grid(rank, method) for rank, method in enumerate(self._methods))
        first_list = np.cumsum([0, *(len(grid.values) for grid in grids)])
        plan = SignalPlan(params[order], merged[order], grids, tuple(self._fixed.values()), first_list)
        return plan, _inverse(order)

    def _grid(self, rank: int, method: methods.Method) -> MethodGrid:
        keys = [key for method_rank, key in self._lists if method_rank == rank and isinstance(key, bytes)]
        values = np.frombuffer(b"".join(keys), np.float64).reshape(len(keys), len(method.specs))
        return MethodGrid(method, values)


def _row_keys(rows: Floats) -> list[bytes]:
    """The bytes of each row: equal rows have equal keys."""
    width = rows.dtype.itemsize * rows.shape[1]
    return np.ascontiguousarray(rows).view(f"V{width}").ravel().tolist() if width else [b""] * len(rows)


def _inverse(order: Ints) -> Ints:
    """The inverse of the permutation *order*."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places

"""signal_plan owns what a batch asks to be found: each setting of a method once, each way of joining them once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from maestro_engine import methods
from maestro_engine.backtest.layout import layout_of
from maestro_engine.backtest.signals import ATR_BARS, RULES, SPOKEN
from maestro_engine.backtest.spec import Forced, TestSpec
from maestro_engine.data.bars import Floats, Ints


class Setting(NamedTuple):
    """The lists of signals that one method is to make, one for each row of *values*."""

    method: methods.Method
    values: Floats
    """The method's parameters in the order of its specs, ``(lists, parameters)``."""


class Wishes(NamedTuple):
    """What decides signals, ``w`` rows; those with an ATR of the same length stand together."""

    spoken: Ints
    """Values of :data:`SPOKEN`, ``(w, 6)``."""
    lists: Ints
    """Numbers of the lists a wish joins, in the order of its test's methods, -1 after the last; ``(w, m)``."""
    settings: tuple[Setting, ...]
    forced: tuple[Forced, ...]
    """Lists given from outside; their numbers follow those of all settings."""
    begins: Ints
    """Number of the first list of each setting, and of the first one given from outside."""


class Asked(NamedTuple):
    """A batch in the kernel's terms."""

    rules: Floats
    """Exits and gates, ``(tests, len(RULES))``."""
    wish: Ints
    """Which of *wishes* each test takes its signals from, ``(tests,)``."""
    wishes: Wishes


def asked(tests: Sequence[TestSpec]) -> Asked:
    """Check every test and translate it.

    Raises :class:`~maestro_protocol.errors.ParameterError` and :class:`~maestro_protocol.errors.UnknownKey`.
    """
    groups: dict[tuple[str, ...], list[int]] = {}
    for t, test in enumerate(tests):
        groups.setdefault(test.methods, []).append(t)
    rules = np.empty((len(tests), len(RULES)))
    wish = np.empty(len(tests), np.int64)
    drafts = _Drafts(max(map(len, groups), default=0))
    for names, index in groups.items():
        chosen = [tests[t] for t in index]
        rows = layout_of(names).rows(chosen)
        rules[index] = rows[:, : len(RULES)]
        wish[index] = drafts.add(names, rows[:, len(RULES) :], [test.forced for test in chosen])
    wishes, place = drafts.wishes()
    return Asked(rules, place[wish], wishes)


class _Drafts:
    """Wishes and lists, numbered in the order of their first mention."""

    def __init__(self, most: int) -> None:
        self._width = max(1, most)
        self._methods = methods.all_methods()
        self._rank = {method.name: rank for rank, method in enumerate(self._methods)}
        self._lists: dict[tuple[int, bytes | int], int] = {}
        self._forced: dict[int, Forced] = {}
        self._spoken = [np.empty((0, len(SPOKEN)), np.int64)]
        self._joined = [np.empty((0, self._width), np.int64)]
        self._count = 0

    def add(self, names: tuple[str, ...], rows: Floats, forced: Sequence[Forced | None]) -> Ints:
        """Numbers of the wishes of tests of the methods *names*; *rows* are their SPOKEN and own parameters."""
        known: dict[tuple[bytes, int], int] = {}
        keys = zip(_marks(rows), map(id, forced), strict=True)
        which = np.array([known.setdefault(key, len(known)) for key in keys])
        first = np.unique(which, return_index=True)[1]
        joined = np.full((len(first), self._width), -1)
        at = len(SPOKEN)
        for m, name in enumerate(names):
            rank = self._rank[name]
            end = at + len(self._methods[rank].specs)
            joined[:, m] = [self._number(rank, mark) for mark in _marks(rows[first, at:end])]
            at = end
        for w, given in enumerate([forced[int(t)] for t in first]):
            if given is not None:
                joined[w] = -1
                joined[w, 0] = self._number(len(self._methods), id(given))
                self._forced[id(given)] = given
        self._spoken.append(rows[first, : len(SPOKEN)].astype(np.int64))
        self._joined.append(joined)
        self._count += len(first)
        return which + (self._count - len(first))

    def _number(self, rank: int, what: bytes | int) -> int:
        return self._lists.setdefault((rank, what), len(self._lists))

    def wishes(self) -> tuple[Wishes, Ints]:
        """All of them in their final order, and the place in it of each number given before."""
        spoken, joined = np.concatenate(self._spoken), np.concatenate(self._joined)
        order = np.argsort(spoken[:, ATR_BARS], kind="stable")
        ranks = np.array([rank for rank, _ in self._lists], np.int64)
        lists = _places(np.argsort(ranks, kind="stable"))
        joined = np.where(joined < 0, -1, lists[joined]) if len(lists) else joined
        settings = tuple(self._setting(rank, method) for rank, method in enumerate(self._methods))
        begins = np.cumsum([0, *(len(setting.values) for setting in settings)])
        wishes = Wishes(spoken[order], joined[order], settings, tuple(self._forced.values()), begins)
        return wishes, _places(order)

    def _setting(self, rank: int, method: methods.Method) -> Setting:
        marks = [mark for wanted, mark in self._lists if wanted == rank and isinstance(mark, bytes)]
        values = np.frombuffer(b"".join(marks), np.float64).reshape(len(marks), len(method.specs))
        return Setting(method, values)


def _marks(rows: Floats) -> list[bytes]:
    """The bytes of each row: equal rows have equal marks."""
    width = rows.dtype.itemsize * rows.shape[1]
    return np.ascontiguousarray(rows).view(f"V{width}").ravel().tolist() if width else [b""] * len(rows)


def _places(order: Ints) -> Ints:
    """Where each element went when all were put into *order*."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places

"""observations owns what was seen of every variant: one source for whoever searches, judges or names finalists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from maestro.control.record.ledger import Key, key_of
from maestro_protocol.config import RunConfig, WindowRef
from maestro_protocol.ids import RunId
from maestro_protocol.messages.report import Observed, TestReport, WindowResult
from maestro_protocol.space import ParameterSpace, Value
from maestro_protocol.values import as_params

DAY_MS = 86_400_000
LEAST_WINDOWS = 3
"""Where fewer windows are apart, as many that overlap are common ones, if there are so many."""
Fate = Literal["finished", "quick_test_failed", "killed", "reverted"]


def common_windows(windows: Sequence[WindowRef]) -> tuple[WindowRef, ...]:
    """The windows that variants are compared on, oldest first: none shares a bar with another.

    Where fewer than three are apart, three of all, evenly apart: what they say of a variant is then less than it
    looks, as they share bars.
    """
    apart: list[WindowRef] = []
    for window in windows:
        if not apart or window.first >= apart[-1].end:
            apart.append(window)
    if len(apart) >= min(LEAST_WINDOWS, len(windows)):
        return tuple(apart)
    count = min(LEAST_WINDOWS, len(windows))
    return tuple(windows[(len(windows) - 1) * place // max(1, count - 1)] for place in range(count))


@dataclass
class VariantRecord:
    """One variant: the run that first tested it, and every test so far by window."""

    origin: RunConfig
    by_lot: bool
    reports: list[TestReport] = field(default_factory=list[TestReport])
    fate: Fate = "finished"

    def net_a_day(self) -> float:
        """Plain mean over its windows, USD a day after costs."""
        return sum(_net(report) for report in self.reports) / len(self.reports) if self.reports else 0.0

    def report_on(self, window: int) -> TestReport | None:
        """Its test on the runner's *window*; null where there was none."""
        return next((report for report in self.reports if report.window == window), None)


class ObservationLog:
    """All variants that ran, in the order they first did."""

    def __init__(self, space: Callable[[Sequence[str]], ParameterSpace]) -> None:
        self._space = space
        self._records: dict[Key, VariantRecord] = {}
        self._told: dict[Key, tuple[int, Fate, Observed]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def record(self, methods: Sequence[str], values: Mapping[str, Value]) -> VariantRecord | None:
        """What is known of the variant with all of *values*; null where it never ran."""
        return self._records.get(key_of(methods, values))

    def of_run(self, run_id: RunId) -> VariantRecord | None:
        """The variant that *run_id* first tested; null where it first tested none."""
        return next((known for known in self._records.values() if known.origin.run_id == run_id), None)

    def add(self, config: RunConfig, report: TestReport, *, by_lot: bool) -> VariantRecord:
        """Take in one test; *by_lot* where its variant was drawn before there was any result."""
        key = key_of(config.methods, config.values())
        known = self._records.get(key)
        if known is None:
            known = self._records[key] = VariantRecord(config.model_copy(update={"window": None}), by_lot)
        known.reports.append(report)
        return known

    def place(self, record: VariantRecord) -> int:
        """How many variants have a higher plain mean than *record*."""
        own = record.net_a_day()
        return sum(other.net_a_day() > own for other in self._records.values())

    def told(self) -> tuple[Observed, ...]:
        """All of it, as roles are told."""
        return tuple(self._observed(key, known) for key, known in self._records.items())

    def _observed(self, key: Key, known: VariantRecord) -> Observed:
        past = self._told.get(key)
        if past is not None and past[:2] == (len(known.reports), known.fate):
            return past[2]
        defaults = self._space(known.origin.methods).defaults()
        values = {name: value for name, value in known.origin.values().items() if defaults.get(name) != value}
        told = Observed(
            run_id=known.origin.run_id,
            methods=known.origin.methods,
            params=as_params(values),
            results=tuple(_result(report) for report in known.reports),
            fate=known.fate,
            by_lot=known.by_lot,
        )
        self._told[key] = (len(known.reports), known.fate, told)
        return told


def _net(report: TestReport) -> float:
    return float(report.whole.total_pnl) / (report.days or 1.0)


def _result(report: TestReport) -> WindowResult:
    days, net = report.days or 1.0, _net(report)
    costs = float(report.costs or 0) / days
    exposure = report.whole.exposure or 0.0
    return WindowResult(
        report.window,
        round(net + costs, 6),
        round(costs, 6),
        round(exposure, 9),
        report.whole.n_trades,
        round(days, 9),
    )

"""measure owns the judgement of a patch: the same windows with and without it, paired, by sign-flip permutation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from maestro_protocol.config import WindowRef
from maestro_protocol.messages.campaign import WindowPlan
from maestro_protocol.messages.plan import MetricChange
from maestro_protocol.messages.report import TestReport
from maestro_protocol.messages.rules import Measure
from maestro_protocol.ports import Statistics

DAY_MS = 86_400_000
READ: dict[str, Callable[[TestReport], float | None]] = {
    "expectancy": lambda test: test.train.expectancy,
    "total_pnl": lambda test: float(test.train.total_pnl),
    "score": lambda test: test.train.score,
    "sharpe": lambda test: test.train.sharpe,
}


def paired(
    patched: Sequence[TestReport],
    without: Sequence[TestReport],
    groups: Sequence[int],
    rule: Measure,
    statistics: Statistics,
    seed: int,
    least: int | None = None,
) -> tuple[MetricChange, bool]:
    """The metric without and with the patch over their common windows, and whether the patch is to be kept.

    *groups* says which windows overlap: differences of one group share a sign when signs are flipped, because
    they are differences of the same days. *least*: windows that it takes, where not the rule's.
    """
    read = READ[rule.metric]
    pairs = [
        (before, after, group, test.window)
        for before, after, group, test in zip(map(read, without), map(read, patched), groups, patched, strict=True)
        if before is not None and after is not None
    ]
    n = len(pairs)
    windows = len({window for *_, window in pairs})
    if n == 0:
        return MetricChange(metric=rule.metric, before=None, after=None, p_value=None, windows=0), False
    differences = [after - before for before, after, *_ in pairs]
    p_value = statistics.sign_flip(differences, [group for *_, group, _ in pairs], seed)
    change = MetricChange(
        metric=rule.metric,
        before=sum(before for before, *_ in pairs) / n,
        after=sum(after for _, after, *_ in pairs) / n,
        p_value=p_value,
        windows=windows,
    )
    helps = windows >= (least or rule.min_windows) and p_value is not None and p_value <= rule.p_max
    return change, helps


def window_groups_of(windows: Sequence[WindowRef], cut: WindowPlan) -> list[int]:
    """The calendar block that each window begins in, a window long: those of one block overlap."""
    return [window.first_ms // round(cut.window_days * DAY_MS) for window in windows]

"""measure owns the judgement of a patch: the same windows with and without it, paired, by sign-flip permutation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from maestro_protocol.config import RunConfig, WindowRef
from maestro_protocol.messages.campaign import WindowPlan
from maestro_protocol.messages.plan import MetricChange
from maestro_protocol.messages.report import TestReport
from maestro_protocol.messages.rules import Measure
from maestro_protocol.ports import Statistics
from maestro_protocol.values import as_params

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
) -> tuple[MetricChange, bool]:
    """The metric without and with the patch over their common windows, and whether the patch is to be kept.

    *groups* says which windows overlap: differences of one group share a sign when signs are flipped, because
    they are differences of the same days.
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
    helps = windows >= rule.min_windows and p_value is not None and p_value <= rule.p_max
    return change, helps


def twins(configs: Sequence[RunConfig], patched: RunConfig, without: RunConfig) -> list[RunConfig]:
    """The same tests without the patch: *without*'s values, with each test's own jitter where both agree."""
    old, new = without.values(), patched.values()
    return [
        config.model_copy(
            update={
                "params": as_params(
                    {name: value if old[name] == new[name] else old[name] for name, value in config.values().items()}
                )
            }
        )
        for config in configs
    ]


def window_groups(configs: Sequence[RunConfig], cut: WindowPlan) -> list[int]:
    """The group of each config's window, as ``window_groups_of`` has it."""
    return window_groups_of([config.window for config in configs if config.window is not None], cut)


def window_groups_of(windows: Sequence[WindowRef], cut: WindowPlan) -> list[int]:
    """The calendar block that each window begins in, a window long: those of one block overlap."""
    return [window.first_ms // round(cut.window_days * DAY_MS) for window in windows]

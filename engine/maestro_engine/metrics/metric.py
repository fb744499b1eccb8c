"""metric owns what a metric beside the fixed ones is: one number over the trades and the equity of a test's phase."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard, get_args

import numpy as np
import numpy.typing as npt

from maestro_engine.backtest import Records
from maestro_protocol.errors import ConfigError
from maestro_protocol.messages.campaign import Better, FurtherMetric, MetricUnit

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Equity:
    """What equity did in a phase: read-only, USD, marked to market, after all costs."""

    changes: Floats
    """By episode, in order of time."""
    maxdd: float
    """Largest fall from a peak, looked at on every bar; <= 0."""
    days: float
    """Length of the phase."""

    @property
    def pnl(self) -> float:
        """What the whole phase came to."""
        return float(self.changes.sum())


class Metric(Protocol):
    """A number by which people judge a test. The same trades and equity give the same number, in any process."""

    @property
    def name(self) -> str:
        """Its name in configs, results and columns: that of its entry point."""
        ...

    @property
    def label(self) -> str:
        """What people read over its values: ``Calmar ratio``."""
        ...

    @property
    def unit(self) -> MetricUnit: ...

    @property
    def better(self) -> Better:
        """Whether ``more`` of it is better, or ``less``."""
        ...

    def compute(self, trades: Records, equity: Equity) -> float | None:
        """Its value; null where it is undefined.

        Args:
            trades: rows of :data:`~maestro_engine.backtest.TRADE` in order of their exits, shape ``(t,)``; read-only.
            equity: of the same phase.
        """
        ...


def is_metric(thing: object) -> TypeGuard[Metric]:
    """Whether *thing* has all that a metric must say of itself, and can be asked."""
    texts = (getattr(thing, name, None) for name in ("name", "label"))
    known = (getattr(thing, "unit", None) in get_args(MetricUnit), getattr(thing, "better", None) in get_args(Better))
    return all((*known, *(isinstance(text, str) for text in texts), callable(getattr(thing, "compute", None))))


def facts_of(metric: Metric, name: str) -> FurtherMetric:
    """What a campaign's config keeps of *metric*, chosen as *name*."""
    return FurtherMetric(name=name, label=metric.label, unit=metric.unit, better=metric.better)


def values_of(metrics: Sequence[tuple[str, Metric]], trades: Records, equity: Equity) -> dict[str, float | None]:
    """The value of each of *metrics* by name; what is no finite number is undefined.

    Raises ConfigError naming the metric that could not be computed.
    """
    return {name: _value_of(name, metric, trades, equity) for name, metric in metrics}


def _value_of(name: str, metric: Metric, trades: Records, equity: Equity) -> float | None:
    try:
        value = metric.compute(trades, equity)
        return None if value is None or not math.isfinite(value) else float(value)
    except Exception as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise ConfigError(f"metric {name}: cannot be computed ({why}); leave it out of the metrics") from error

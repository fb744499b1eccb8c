"""Metrics beside the fixed ones: one file each, found by looking into this folder; others by entry point.

A metric's file is all there is to adding it. ``calmar`` is one plain enough to copy.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

from maestro_engine.metrics.metric import Metric, facts_of, is_metric
from maestro_protocol.messages.campaign import FurtherMetric
from maestro_protocol.registry import Registry

__all__ = ["REGISTRY", "chosen", "described"]


def _builtin() -> dict[str, Metric]:
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    metrics: list[Metric] = [module.METRIC for module in modules if hasattr(module, "METRIC")]
    return {metric.name: metric for metric in metrics}


REGISTRY = Registry[Metric]("maestro.metrics", _builtin, accepts=is_metric)
"""All metrics that a campaign may ask for beside the fixed ones."""


def chosen(names: Sequence[str]) -> tuple[tuple[str, Metric], ...]:
    """The metrics called *names*. Raises UnknownKey, and ConfigError as the registry does."""
    return tuple((name, REGISTRY.get(name)) for name in names)


def described(names: Sequence[str]) -> tuple[FurtherMetric, ...]:
    """What a campaign's config keeps of the metrics called *names*. Raises as :func:`chosen`."""
    return tuple(facts_of(metric, name) for name, metric in chosen(names))

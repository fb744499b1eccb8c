"""power owns how much data an edge of a given size needs before it can be told from luck.

A one-sided test of "the Sharpe per period is not above 0" at level ``alpha`` rejects an edge ``sharpe``
with probability ``power`` after ``n = 1 + V ((z_alpha + z_power) / sharpe)^2`` periods, where V is the
variance of the Sharpe estimate (normal approximation; V as in PSR, 1 without an edge). At ``power = 0.5``
this is the minimum track record length of Bailey and Lopez de Prado (2012).
"""

from __future__ import annotations

import math
from statistics import NormalDist

from maestro_engine.inference.statistics.sharpe import estimator_variance
from maestro_protocol.errors import UsageError

_NORMAL = NormalDist()


def periods_needed(
    sharpe: float, alpha: float = 0.05, power: float = 0.8, skewness: float = 0.0, kurtosis: float = 3.0
) -> int | None:
    """Whole periods needed to tell ``sharpe`` (per period) from 0; None for no edge, which none will."""
    if sharpe <= 0.0:
        return None
    z = (_quantile(alpha, "alpha") + _quantile(1.0 - power, "power")) / sharpe
    return math.ceil(1.0 + estimator_variance(sharpe, skewness, kurtosis) * z * z)


def detectable_sharpe(n: int, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """Smallest Sharpe per period that ``n`` periods reveal with probability ``power`` (normal returns).

    None when no edge, however large, would be: the estimate's own error grows with the edge.
    """
    z = _quantile(alpha, "alpha") + _quantile(1.0 - power, "power")
    room = n - 1.0 - z * z / 2.0
    return z / math.sqrt(room) if n >= 2 and room > 0.0 else None


def power_of(
    sharpe: float, n: int, alpha: float = 0.05, skewness: float = 0.0, kurtosis: float = 3.0
) -> float | None:
    """Probability that ``n`` periods of an edge ``sharpe`` (per period) are significant; None below two."""
    if n < 2:
        return None
    spread = math.sqrt(estimator_variance(sharpe, skewness, kurtosis))
    return _NORMAL.cdf(sharpe * math.sqrt(n - 1) / spread - _quantile(alpha, "alpha"))


def _quantile(tail: float, what: str) -> float:
    if not 0.0 < tail < 1.0:
        raise UsageError(f"{what} must lie strictly between 0 and 1")
    return _NORMAL.inv_cdf(1.0 - tail)

"""sharpe owns the Sharpe ratio and what may be concluded from one: PSR, deflation, track record length.

Every Sharpe ratio here is *per period*, of the period the returns are in; ``annualise`` is for people.
Mixing an annual ratio with a per-period variance is the classic mistake with these formulas.

Sources: Bailey and Lopez de Prado, "The Sharpe ratio efficient frontier", Journal of Risk 15(2), 2012
(PSR, MinTRL); the same, "The deflated Sharpe ratio", Journal of Portfolio Management 40(5), 2014.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from maestro_engine.inference.statistics.series import FLAT, Floats, column, is_flat, matrix
from maestro_protocol.errors import UsageError

EULER_GAMMA = 0.5772156649015329
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Moments:
    """What PSR needs of a series. ``kurtosis`` is not in excess (3 for a normal); None where undefined."""

    n: int
    mean: float | None
    std: float | None
    sharpe: float | None
    skewness: float | None
    kurtosis: float | None


@dataclass(frozen=True, slots=True)
class Deflated:
    """A deflated Sharpe ratio, the threshold ``sr0`` it was held against, and why it is None if it is."""

    value: float | None
    sr0: float | None
    reason: str = ""


def moments(returns: npt.ArrayLike) -> Moments:
    """Moments of a return (or PnL) series of shape ``(n,)``; the deviation has n - 1 in its denominator."""
    x = column(returns)
    n = len(x)
    mean = float(x.mean()) if n else None
    if n < 2 or mean is None or is_flat(x):
        return Moments(n, mean, 0.0 if n >= 2 else None, None, None, None)
    z = x - mean
    scale = math.sqrt(float(np.mean(z * z)))
    std = scale * math.sqrt(n / (n - 1))
    u = z / scale
    return Moments(n, mean, std, mean / std, float(np.mean(u**3)), float(np.mean(u**4)))


def sharpe(returns: npt.ArrayLike) -> float | None:
    """Mean over standard deviation per period; None for fewer than two values or no variance."""
    return moments(returns).sharpe


def sharpes(returns: npt.ArrayLike) -> Floats:
    """Sharpe ratio per period of each column of ``(periods, trials)``; NaN where undefined."""
    x = matrix(returns)
    if len(x) < 2:
        return np.array([np.nan] * x.shape[1])
    flat = np.ptp(x, axis=0) <= FLAT * np.max(np.abs(x), axis=0)
    mean: Floats = x.mean(axis=0)
    std: Floats = x.std(axis=0, ddof=1)
    std[flat] = np.nan
    return mean / std


def annualise(sharpe_per_period: float | None, periods_per_year: float) -> float | None:
    """Times the root of the periods in a year: right for returns without serial correlation only."""
    return None if sharpe_per_period is None else sharpe_per_period * math.sqrt(periods_per_year)


def estimator_variance(sharpe: float, skewness: float = 0.0, kurtosis: float = 3.0) -> float:
    """Asymptotic variance of ``sqrt(n - 1)`` times a Sharpe estimate: ``1 - g3 SR + (g4 - 1)/4 SR^2``.

    Never negative for moments of a real series, since ``g4 >= 1 + g3^2``. Raises UsageError otherwise.
    """
    variance = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe * sharpe
    if variance < 0:
        raise UsageError(f"kurtosis {kurtosis} is below 1 + skewness^2 = {1 + skewness**2:.4g}: no series has these")
    return variance


def psr(sharpe: float, n: int, benchmark: float = 0.0, skewness: float = 0.0, kurtosis: float = 3.0) -> float | None:
    """Probability that the true Sharpe exceeds ``benchmark`` (all per period); None below two periods."""
    variance = estimator_variance(sharpe, skewness, kurtosis)
    if n < 2 or variance <= FLAT:  # a two-point distribution at its extreme has no estimation error to speak of
        return None
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(n - 1) / math.sqrt(variance))


def psr_of(returns: npt.ArrayLike, benchmark: float = 0.0) -> float | None:
    """PSR of a series of shape ``(n,)`` with its own moments; None where its Sharpe is undefined."""
    m = moments(returns)
    if m.sharpe is None or m.skewness is None or m.kurtosis is None:
        return None
    return psr(m.sharpe, m.n, benchmark, m.skewness, m.kurtosis)


def expected_maximum(trials: float) -> float | None:
    """Expected largest of ``trials`` independent standard normals (extreme value approximation, 2014 paper).

    None for one trial or fewer: its formula would need the quantile of 0.
    """
    if trials <= 1.0:
        return None
    head = _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    tail = _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return (1.0 - EULER_GAMMA) * head + EULER_GAMMA * tail


def expected_maximum_sharpe(variance: float, trials: float) -> float | None:
    """The Sharpe (per period) the best of ``trials`` trials without skill is expected to show.

    ``variance`` is that of the Sharpe ratios over the trials, per period squared.
    """
    top = expected_maximum(trials)
    return None if top is None or variance <= 0.0 else math.sqrt(variance) * top


def deflated_sharpe(
    sharpe: float, n: int, variance: float | None, trials: float, skewness: float = 0.0, kurtosis: float = 3.0
) -> Deflated:
    """PSR against the expected maximum of ``trials`` *effective, independent* trials without skill.

    ``variance``: of the per-period Sharpe ratios over the trials. Undefined (with the reason) for a
    single trial, no variance over trials, or fewer than two periods.
    """
    if trials <= 1.0:
        return Deflated(None, None, "one effective trial: nothing was selected, so there is nothing to deflate")
    sr0 = None if variance is None else expected_maximum_sharpe(variance, trials)
    if sr0 is None:
        return Deflated(None, None, "the trials' Sharpe ratios do not vary, so their expected maximum is undefined")
    value = psr(sharpe, n, sr0, skewness, kurtosis)
    return Deflated(value, sr0, "" if value is not None else "fewer than two periods, or degenerate moments")


def minimum_track_record(
    sharpe: float, benchmark: float = 0.0, confidence: float = 0.95, skewness: float = 0.0, kurtosis: float = 3.0
) -> float | None:
    """Periods needed before PSR against ``benchmark`` reaches ``confidence``; None when no length would do."""
    if not 0.5 < confidence < 1.0:
        raise UsageError(f"confidence {confidence} is not between 0.5 and 1")
    if sharpe <= benchmark:
        return None
    z = _NORMAL.inv_cdf(confidence) / (sharpe - benchmark)
    return 1.0 + estimator_variance(sharpe, skewness, kurtosis) * z * z

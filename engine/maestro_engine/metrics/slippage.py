"""slippage owns what slippage cost, told from fees: the kernel takes it off prices and keeps no sum of it."""

from __future__ import annotations

import numpy as np

from maestro_engine.backtest import FillCosts


def slippage(fees: np.ndarray, trades: np.ndarray, costs: FillCosts, notional: float | None) -> np.ndarray:
    """USD that slippage took, of *fees* (USD) and *trades* (a count), each an array of one value a test.

    Every trade pays the taker's fee and slippage to enter; a target leaves by the maker's fee and without slippage,
    any other exit by the taker's and with it. So fees tell how many exits were targets, where every position is
    *notional* USD. Where it is not (null), or both fees are the same, every exit counts as a taker's.
    """
    gap = costs.taker_bps - costs.maker_bps
    if notional is None:
        return fees * (costs.slippage_bps / costs.taker_bps) if costs.taker_bps else np.zeros_like(fees)
    unit = notional / 1e4
    others = (fees / unit - trades * (costs.taker_bps + costs.maker_bps)) / gap if gap else trades
    return unit * costs.slippage_bps * (trades + np.clip(others, 0, trades))

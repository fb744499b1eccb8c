"""event_lines owns the lines of trades.jsonl and scores.jsonl: from the kernel's rows to JSON.

The shape is that of the protocol's TradeEvent and ScoreEvent; a test holds every line against them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from maestro_engine.backtest import ExitReason, Records, Regime
from maestro_engine.data.bars import Bars
from maestro_protocol import config
from maestro_protocol.ids import RunId

PHASES: tuple[config.Phase, ...] = ("train", "gap", "validation")
"""Names of the kernel's phases, by code."""
EXITS: tuple[str, ...] = tuple(reason.name.lower() for reason in ExitReason)
REGIMES: dict[int, str | None] = {
    Regime.UNKNOWN: None,
    Regime.LOW: "low",
    Regime.MID: "mid",
    Regime.HIGH: "high",
}
_ENCODER = msgspec.json.Encoder()


class GateLine(msgspec.Struct, frozen=True, gc=False):
    """Readings of the gates; a NaN becomes null when it is encoded."""

    cvd: float
    imb: float
    atrz: float
    vhf: float


class TradeLine(msgspec.Struct, frozen=True, gc=False):
    """One line of trades.jsonl; amounts in USD, exact to a millionth."""

    ts: int
    test_id: str
    episode_id: str
    tf: str
    phase: str
    side: str
    reason: str
    entered_ts: int
    entry: float
    exit: float
    qty: float
    pnl: float
    fees: float
    mae: float
    mfe: float
    gates: GateLine
    bars_held: int
    exit_reason: str
    blunder: bool


class ScoreLine(msgspec.Struct, frozen=True, gc=False):
    """One line of scores.jsonl; amounts in USD, exact to a millionth."""

    test_id: str
    episode_id: str
    phase: str
    bars: int
    n_trades: int
    hit: float | None
    payoff: float | None
    total_pnl: float
    maxdd: float
    blunders: int
    score: float | None
    vol_regime: str | None


def usd(micros: npt.NDArray[np.int64]) -> list[float]:
    """Whole millionths as the floats whose shortest text is the exact amount (below 10^9 USD)."""
    return (micros / 1e6).tolist()


def trade_lines(
    trades: Records, bars: Bars, test_id: RunId, timeframe: str, methods: Sequence[str], episodes: Sequence[str]
) -> bytes:
    """The trades of one test, a JSON line each, in order of time."""
    said = _reasons(methods)
    gates = map(GateLine, *(trades[name].tolist() for name in ("cvd", "imb", "atrz", "vhf")))
    n = len(trades)
    lines = map(
        TradeLine,
        bars.open_time[trades["exit_bar"]].tolist(),
        [test_id] * n,
        [episodes[place] for place in trades["episode"].tolist()],
        [timeframe] * n,
        [PHASES[phase] for phase in trades["phase"].tolist()],
        ["long" if side > 0 else "short" for side in trades["side"].tolist()],
        [said[mask] for mask in trades["methods"].tolist()],
        bars.open_time[trades["entry_bar"]].tolist(),
        trades["entry"].tolist(),
        trades["exit"].tolist(),
        trades["qty"].tolist(),
        usd(trades["pnl_micros"]),
        usd(trades["fees_micros"]),
        np.round(trades["mae"], 6).tolist(),
        np.round(trades["mfe"], 6).tolist(),
        gates,
        trades["bars_held"].tolist(),
        [EXITS[reason] for reason in trades["reason"].tolist()],
        trades["blunder"].tolist(),
    )
    return _ENCODER.encode_lines(list(lines))


def score_lines(lines: Sequence[ScoreLine]) -> bytes:
    """The episodes of one test, a JSON line each, in order of time."""
    return _ENCODER.encode_lines(list(lines))


def _reasons(methods: Sequence[str]) -> list[str]:
    """The text for each mask of methods that may have signalled."""
    return [
        "+".join(name for bit, name in enumerate(methods) if mask >> bit & 1) or "forced"
        for mask in range(1 << len(methods))
    ]

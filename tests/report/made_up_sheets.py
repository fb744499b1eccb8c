"""made_up_sheets owns tear sheets of finalists that never traded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maestro_protocol.messages.tearsheet import TearSheets

DAY = 86_400_000
HOUR = 3_600_000
PARTS = (("open", 144, 0), ("sealed", 36, 144))


def tear_sheets(rng: np.random.Generator, runs: Sequence[str], start: int) -> TearSheets:
    """180 days at 100,000 USD, four fifths of them open."""
    return TearSheets.model_validate(
        {
            "capital": 100_000,
            "first_day": start,
            "sealed_day": start + 144 * DAY,
            "hold": {
                "results": [
                    {"part": part, "net": 1_200.5, "maxdd": -9_100.25, "sharpe": 0.61} for part, _, _ in PARTS
                ],
                "days": [round(float(value), 2) for value in rng.normal(10, 900, 180)],
            },
            "sheets": [_sheet(rng, run, start) for run in runs],
        }
    )


def _sheet(rng: np.random.Generator, run: str, start: int) -> dict[str, object]:
    net = np.round(rng.normal(-20, 120, 200), 2)
    counts, edges = np.histogram(net, bins=20)
    marks = [_mark(rng, start + 150 * DAY + place * 9 * HOUR) for place in range(12)]
    times = [start + 150 * DAY + place * HOUR for place in range(120)]
    closes = 60_000 + np.cumsum(rng.normal(0, 90, 120))
    return {
        "run_id": run,
        "costs": [
            {"part": part, "trades": days * 4, "gross": -10 * days, "fees": 40 * days, "slippage": 8 * days,
             "funding": 0, "net": -58 * days}
            for part, days, _ in PARTS
        ],
        "groups": [
            {"part": part, "by": by, "name": name, "trades": 2 * days, "wins": days, "net": -29 * days,
             "median_held_ms": 5 * HOUR // 2}
            for part, days, _ in PARTS
            for by, name in (("side", "long"), ("side", "short"), ("exit", "stop"), ("exit", "target"))
        ],
        "days": [round(float(value), 2) for value in rng.normal(-60, 300, 180)],
        "drawdowns": [
            {"peak_at": start + 3 * DAY, "trough_at": start + 170 * DAY, "recovered_at": None, "depth": -10_400.5},
            {"peak_at": start + DAY, "trough_at": start + 2 * DAY, "recovered_at": start + 3 * DAY, "depth": -90.25},
        ],
        "sample": {"net": net.tolist(), "mae": (-np.abs(net) - 5).tolist(), "mfe": (np.abs(net) * 0.9).tolist()},
        "net": {"edges": edges.tolist(), "counts": counts.tolist()},
        "held": {"edges": [0, 0.25, 0.5, 1, 2], "counts": [20, 60, 90, 30]},
        "chart": {
            "times": times, "lows": (closes - 50).tolist(), "highs": (closes + 50).tolist(),
            "closes": closes.tolist(), "trades": marks,
        },
    }  # fmt: skip


def _mark(rng: np.random.Generator, at: int) -> dict[str, object]:
    entry, left = (float(value) for value in rng.normal(60_000, 300, 2))
    side = "long" if rng.random() < 0.5 else "short"
    return {"part": "sealed", "side": side, "entered_at": at, "left_at": at + 4 * HOUR, "entry": entry, "left": left,
            "net": round(left - entry, 2)}  # fmt: skip

"""agents_support owns what tests of this room share: a small market, briefings about it, a clock, a call log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from maestro_protocol.config import DataRef
from maestro_protocol.envelope import Envelope
from maestro_protocol.messages.campaign import ORIGIN_TARGETS
from maestro_protocol.messages.plan import SegmentPlan
from maestro_protocol.messages.report import Briefing, Metrics, VariationReport
from maestro_protocol.ports import Amount, Hold, ModelCallRecord, Taken
from maestro_protocol.space import ParameterSpec, Value
from maestro_protocol.values import as_params

NOW_MS = 1_790_000_000_000


def number(name: str, default: float, low: float, high: float, step: float, unit: Any, **more: Any) -> ParameterSpec:
    base = {"name": name, "kind": "float", "default": default, "low": low, "high": high, "step": step}
    return ParameterSpec.model_validate(base | {"unit": unit, "about": f"about {name}"} | more)


def length(name: str, default: int, low: int, high: int, unit: Any = "bars", **more: Any) -> ParameterSpec:
    base = {"name": name, "kind": "int", "default": default, "low": low, "high": high, "unit": unit}
    return ParameterSpec.model_validate(base | {"about": f"about {name}"} | more)


def switch(name: str, needs: Any = None) -> ParameterSpec:
    return ParameterSpec(name=name, kind="bool", default=False, unit="switch", about=f"about {name}", needs=needs)


SPACE = (
    length("macd_fast", 12, 4, 40, method="macd_trend", below="macd_slow"),
    length("macd_slow", 26, 10, 120, method="macd_trend"),
    length("ema_fast", 20, 3, 100, method="ema_crossover", below="ema_slow"),
    length("ema_slow", 80, 10, 300, method="ema_crossover"),
    length("breakout_bars", 48, 10, 288, method="trend_breakout", scale="log"),
    length("atr_bars", 14, 5, 50),
    number("atr_stop_mult", 1.5, 0.5, 5.0, 0.1, "x_atr"),
    number("hard_tp_usd", 300, 50, 5_000, 50, "usd"),
    length("timeout_bars", 120, 12, 576),
    switch("gate_cvd", "taker_volume"),
    switch("gate_vhf"),
    number("vhf_min", 0.3, 0.1, 0.8, 0.05, "ratio", switch="gate_vhf"),
    switch("gate_atrz"),
    number("atr_z_min", 0.0, -2.0, 3.0, 0.25, "z", switch="gate_atrz"),
    length("quorum", 1, 1, 8, "votes"),
    length("quorum_bars", 3, 1, 20),
)
METHODS = ("ema_crossover", "macd_trend", "trend_breakout")
COST = 120.0

DATA = DataRef(
    source="simulated:trend:seed=7",
    symbol="BTCUSDT",
    timeframe="5m",
    bars=51_840,
    digest="0" * 64,
    first_ms=1_735_689_600_000,
    last_ms=1_751_241_300_000,
    simulated=True,
    has_taker_volume=True,
)


def metrics(n_trades: int = 400, expectancy: float | None = -30.0, **given: Any) -> Metrics:
    total = Decimal(str(round((expectancy or 0.0) * n_trades, 2)))
    base: dict[str, Any] = {
        "n_trades": n_trades,
        "wins": round(n_trades * 0.47),
        "losses": n_trades - round(n_trades * 0.47),
        "gross_win": Decimal(n_trades * 100),
        "gross_loss": Decimal(n_trades * -110),
        "hit": 0.47,
        "payoff": 1.05,
        "total_pnl": total,
        "maxdd": Decimal(-3100),
        "blunders": 9,
        "blunders_per_100": 2.25,
        "high_vol_share": 0.34,
        "sharpe": -0.8,
        "profit_factor": 0.93,
        "expectancy": expectancy,
        "exposure": 0.4,
        "score": 71.0,
    }
    return Metrics(**(base | given))


def report(
    run_id: str,
    methods: Sequence[str] = ("macd_trend",),
    params: dict[str, Value] | None = None,
    *,
    segment: int = 1,
    fate: Any = "finished",
    tests: int = 100,
    **given: Any,
) -> VariationReport:
    return VariationReport(
        run_id=run_id,
        segment=segment,
        methods=tuple(methods),
        params=as_params(params or {}),
        tests=tests,
        phase="train",
        metrics=metrics(**given),
        fate=fate,
    )


def briefing(role: Any, wants: Any, **given: Any) -> Briefing:
    base: dict[str, Any] = {
        "role": role,
        "wants": wants,
        "turn": 3,
        "segment": 1,
        "segments": 5,
        "goal": "explore",
        "data": DATA,
        "round_trip_cost_usd": COST,
        "tests": 100,
        "space": SPACE,
        "methods": METHODS,
        "targets": ORIGIN_TARGETS,
    }
    return Briefing(**(base | given))


def asked(question: Any, id_: str = "m000007", campaign: str = "c1") -> Envelope:
    role = question.role if isinstance(question, Briefing) else "dispatcher"
    return Envelope(
        id=id_, seq=7, time=NOW_MS, campaign=campaign, sender="control", topic=f"agent.{role}", body=question
    )


def plan(methods: Sequence[str] = METHODS, **given: Any) -> SegmentPlan:
    base: dict[str, Any] = {
        "agent": "maestro",
        "turn": 2,
        "segment": 1,
        "goal": "explore",
        "tests": 100,
        "methods": tuple(methods),
        "ranges": (),
        "reason": "a start",
    }
    return SegmentPlan(**(base | given))


@dataclass
class HandClock:
    """Time that moves when a test moves it."""

    ms: int = NOW_MS
    seconds: float = 0.0

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Waits:
    """Stands in for sleeping: remembers how long, and does not."""

    seconds: list[float] = field(default_factory=list[float])

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


class MemoryLog:
    """A call log that forgets when the test ends."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], ModelCallRecord] = {}
        self.counted: list[tuple[str, str, int, str, Amount]] = []
        """Campaign, role, day, key and what counts, of each attempt."""

    async def opened(
        self, campaign: str, key: str, role: str, request: str, hold: Hold | None = None
    ) -> Amount | str:
        known = await self.recall(campaign, key)
        if known is not None:
            return known
        granted = Amount()
        if hold is not None:
            granted = hold.grant(self.taken(campaign, role, hold.day))
            self.counted.append((campaign, role, hold.day, key, granted))
        self.rows[campaign, key] = ModelCallRecord(key=key, role=role, request=request, reply=None, state="open")
        return granted

    async def answered(self, campaign: str, key: str, reply: str, took: Amount | None = None) -> None:
        self.rows[campaign, key] = self.rows[campaign, key]._replace(reply=reply, state="answered")
        if took is not None:
            self._settle(campaign, key, took)

    async def failed(self, campaign: str, key: str, reason: str, took: Amount | None = None) -> None:
        self.rows[campaign, key] = self.rows[campaign, key]._replace(state="failed", reason=reason)
        self._settle(campaign, key, took or Amount())

    def _settle(self, campaign: str, key: str, took: Amount) -> None:
        places = [n for n, (of, _, _, by, _) in enumerate(self.counted) if (of, by) == (campaign, key)]
        for place in places[-1:]:
            self.counted[place] = (*self.counted[place][:4], took)

    def taken(self, campaign: str, role: str = "", day: int = 0) -> Taken:
        def total(wanted: Any) -> Amount:
            return sum((row[4] for row in self.counted if wanted(row)), Amount())

        return Taken(
            total(lambda row: row[0] == campaign),
            total(lambda row: row[:2] == (campaign, role)),
            total(lambda row: row[2] == day),
        )

    async def recall(self, campaign: str, key: str) -> str | None:
        row = self.rows.get((campaign, key))
        return row.reply if row and row.state == "answered" else None

    async def exchanges(self, campaign: str) -> Sequence[ModelCallRecord]:
        return [row for (owner, _), row in self.rows.items() if owner == campaign]

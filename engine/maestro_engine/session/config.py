"""config owns what a session is: where its prices come from, what it trades by which method, and for how long."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field

from maestro_engine import methods
from maestro_engine.feeds.port import interval_ms
from maestro_engine.feeds.source import SourceAdapter
from maestro_engine.feeds.sources import SOURCES
from maestro_engine.trading.risk.limits import RiskLimits
from maestro_protocol.base import Frozen, Line, Name
from maestro_protocol.config import DECLARED_FOR, Costs, RunConfig, Timeframe
from maestro_protocol.errors import ConfigError
from maestro_protocol.schema import canonical
from maestro_protocol.space import Value
from maestro_protocol.values import Params, as_mapping, as_params

Env = Literal["paper", "live"]
LEAST_BARS = 300
"""Closed candles without which no session starts: the longest look-back of a method, and some to settle."""


DEFAULT_TARGET_USD = 600.0
"""A session's target where nobody gave one, stated for :data:`DECLARED_FOR`: 0.6 %. On candles of a minute
costs leave enough of it for the limit on reward over risk; of a backtest's default, 0.3 %, they leave too little."""


class SessionConfig(Frozen):
    """One session, complete. Money in the quote currency (USD), times in seconds unless the name says otherwise."""

    version: Literal[1] = 1
    env: Env = "paper"
    source: Name = "sim"
    """One of those that are registered; :meth:`check` holds it to that."""
    symbol: Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9._-]{0,31}$")] = "BTCUSDT"
    interval: Timeframe = "1m"
    duration_s: Annotated[float, Field(gt=0, le=31 * 86_400)] = 600.0
    seed: Annotated[int, Field(ge=0)] = 7
    """Of the simulated market and of the venue's chance."""
    methods: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)] = ("ema_crossover",)
    params: Params = ()
    """What differs from the methods' defaults."""
    quantity: Annotated[Decimal, Field(gt=0)] = Decimal("0.02")
    """Size of a position in base currency. Whether it may be opened is the risk limits' word."""
    costs: Costs = Costs()
    fills: Literal["ticks", "bars"] = "ticks"
    """Against quotes and trades as they come, or against closed candles by the backtest's own rules."""
    cash: Annotated[Decimal, Field(gt=0)] = Decimal(10_000)
    """What a new paper account starts with; an existing one goes on with what it has."""
    leverage: Annotated[Decimal, Field(ge=1, le=20)] = Decimal(5)
    entry_latency_ms: Annotated[int, Field(ge=0, le=10_000)] = 40
    response_latency_ms: Annotated[int, Field(ge=0, le=10_000)] = 40
    history_bars: Annotated[int, Field(ge=LEAST_BARS, le=100_000)] = 1_000
    """Closed candles the methods look at."""
    stale_s: Annotated[float, Field(ge=5, le=60)] = 15.0
    """Silence after which no entry is made any more."""
    outage_s: Annotated[float, Field(ge=5, le=3_600)] = 15.0
    """Silence after which the session ends; never before ``stale_s``."""
    checkpoint_s: Annotated[float, Field(ge=1, le=600)] = 5.0
    on_breaker: Literal["stop", "hold"] = "stop"
    """Whether a tripped breaker ends the session, or it goes on without entries."""
    restart: Literal["adopt", "flatten"] = "adopt"
    """What becomes of a position that an interrupted session left."""
    declared_for: Annotated[Decimal | None, Field(gt=0, exclude_if=lambda notional: notional is None)] = None
    """Notional in USD that amounts of money in ``params`` are stated for; a position trades by its share of them.

    None: they are meant for positions of ``quantity``.
    """
    on_dead_market: Annotated[Literal["keep", "assume"], Field(exclude_if=lambda chosen: chosen == "keep")] = "keep"
    """What becomes of a position that must be closed while there is no live market: it is kept, and closed when the
    next start has a live price; or closed in the books at an assumed bad price. The session failed either way."""
    on_disk_full: Annotated[Literal["flatten", "keep"], Field(exclude_if=lambda chosen: chosen == "flatten")] = (
        "flatten"
    )
    """What becomes of a position when the disk is full: it is closed, in room that was kept for that, or kept."""
    limits: dict[str, Decimal] = Field(default_factory=dict[str, Decimal])
    """Risk limits that shall be stricter than the hard ones."""
    run: RunConfig | None = None
    """The run that this session carries out, with its lineage; None where nobody planned it."""
    versions: Annotated[tuple[Line, ...], Field(max_length=64, exclude_if=lambda lines: not lines)] = ()
    """What it uses of other distributions, and which: source and methods that are installed beside the product."""

    @property
    def step_ms(self) -> int:
        """Length of a candle in milliseconds."""
        return interval_ms(self.interval)

    @property
    def own_time(self) -> bool:
        """Whether prices come with a time of their own, which stands still while nobody listens."""
        return self.adapter.own_time

    @property
    def adapter(self) -> SourceAdapter:
        """What is to be known of its source. Raises ConfigError, saying what brought it, where it is not here."""
        try:
            return SOURCES.get(self.source)
        except ConfigError as error:
            brought = [line for line in self.versions if line.startswith(f"{SOURCES.group}:{self.source} ")]
            if not brought:
                raise
            raise ConfigError(f"{error}; it began with {brought[0]}: install that") from None

    def with_versions(self) -> Self:
        """The same session, saying what it uses of other distributions here. Raises :class:`ConfigError`."""
        _ = self.adapter  # raises where the source is not here
        lines = (*SOURCES.from_outside([self.source]), *methods.REGISTRY.from_outside(self.methods))
        return self.model_copy(update={"versions": lines})

    @property
    def digest(self) -> str:
        """SHA-256 of everything but duration and versions: two sessions of one digest trade alike."""
        return hashlib.sha256(canonical(self.model_copy(update={"duration_s": 1.0, "versions": ()}))).hexdigest()

    def values(self) -> dict[str, Value]:
        """Every parameter with its value. Raises :class:`ParameterError` or :class:`UnknownKey`."""
        return methods.check(self.methods, as_mapping(self.params))

    def risk(self) -> RiskLimits:
        """The limits in force. Raises :class:`UnknownKey` and :class:`ConfigError`."""
        return RiskLimits.of(self.limits)

    def with_target(self) -> Self:
        """The same session; where no amount of money was given, with the default one, which trades by its share."""
        given = as_mapping(self.params)
        if self.run is not None or "hard_tp_usd" in given:
            return self
        params = as_params({**given, "hard_tp_usd": DEFAULT_TARGET_USD})
        return self.model_copy(update={"params": params, "declared_for": DECLARED_FOR})

    def check(self) -> None:
        """Raise what is wrong with it, before anything else happens."""
        self.values()
        self.risk()
        if self.run is not None and (self.run.methods, self.run.params) != (self.methods, self.params):
            raise ConfigError("run: its methods and params are not the session's; change both, or take run away")
        if self.fills == "bars" and self.entry_latency_ms + self.response_latency_ms:
            raise ConfigError("fills: against candles there is no latency; set both latencies to 0")
        if self.interval not in self.adapter.intervals:
            known = ", ".join(self.adapter.intervals)
            raise ConfigError(f"interval: {self.source} has no candles of {self.interval}; there are {known}")

"""config owns what a run is (data, window, methods, parameters, costs) and the one pure step from one to the next."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from maestro_protocol.base import Frozen, Line, Name, UtcMs
from maestro_protocol.errors import ParameterError, StalePatch
from maestro_protocol.ids import CampaignId, MessageId, RunId, is_id
from maestro_protocol.space import ParameterSpace, Value
from maestro_protocol.values import Params, as_params

Timeframe = Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d"]
Phase = Literal["train", "gap", "validation"]
Engine = Literal["backtest", "session"]
Bps = Annotated[float, Field(ge=0, le=1_000)]


class DataRef(Frozen):
    """Which data: enough to notice that a file has changed since."""

    source: Line
    """A file's name (never its path) or ``simulated:<kind>:seed=<n>``."""
    symbol: Annotated[str, Field(pattern=r"^[A-Z0-9._-]{1,32}$")]
    timeframe: Timeframe
    bars: Annotated[int, Field(ge=1)]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 over the bars' columns."""
    first_ms: UtcMs
    last_ms: UtcMs
    simulated: bool
    has_taker_volume: bool
    repaired: Annotated[tuple[Line, ...], Field(max_length=20)] = ()
    """What was mended in the file before it was used, a line each."""


class DataReading(Frozen):
    """How a file of bars is to be read, where the file itself does not say."""

    time_zone: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]{0,63}$")] | None = None
    """IANA name of the zone of its times; UTC without."""
    funding_unit: Literal["rate", "percent", "bps"] | None = None
    """What its funding column counts; a rate, a part of the notional, without."""


class Costs(Frozen):
    """What trading costs. Fees are per side, of notional; slippage is against the trader on every taker fill."""

    maker_bps: Bps = 2.0
    taker_bps: Bps = 5.0
    slippage_bps: Bps = 1.0


DECLARED_FOR = Decimal(100_000)
"""Notional in USD that amounts of money are declared for: parameters that scale with it, targets, lines of rules."""


class Sizing(Frozen):
    """How large a position is: a fixed quantity of base currency where given, else a notional in USD."""

    notional_usd: Annotated[Decimal, Field(gt=0, le=200_000)] = DECLARED_FOR
    quantity: Annotated[Decimal, Field(gt=0)] | None = None
    declared_for: Annotated[Decimal | None, Field(gt=0, exclude_if=lambda notional: notional is None)] = None
    """Notional that the parameters in ``scaled`` are stated for; a position of another size trades by their share.

    Null: they are meant for positions of this very size.
    """
    scaled: Annotated[tuple[Name, ...], Field(max_length=64, exclude_if=lambda names: not names)] = ()
    """Parameters that are amounts of money."""

    @property
    def share(self) -> Decimal:
        """What a scaled parameter's value is multiplied by, where the size is a notional; 1 where nothing scales."""
        return Decimal(1) if self.declared_for is None else self.notional_usd / self.declared_for

    def factors(self) -> dict[str, float]:
        """By scaled parameter, what its value is multiplied by; empty where values are meant as they stand."""
        return {} if self.share == 1 else dict.fromkeys(self.scaled, float(self.share))


class WindowRef(Frozen):
    """One window of a data set, in bars of it; the slice may carry history before ``first`` for warm-up."""

    index: Annotated[int, Field(ge=0)]
    start: Annotated[int, Field(ge=0)]
    first: Annotated[int, Field(ge=0)]
    train_end: int
    val_start: int
    end: int
    first_ms: UtcMs
    end_ms: UtcMs


def stretch_of(data: DataRef, number: int) -> WindowRef:
    """The *number*-th (from 1) of stretches as long as *data*, one after another; each counts its own bars."""
    lasts, end = data.last_ms - data.first_ms, data.bars
    begins = data.first_ms + (number - 1) * lasts
    return WindowRef(
        index=number - 1,
        start=0,
        first=0,
        train_end=end,
        val_start=end,
        end=end,
        first_ms=begins,
        end_ms=begins + lasts,
    )


class ParameterChange(Frozen):
    """One step of a run's lineage: what changed from the parent run, and the message that made it so."""

    parameter: Name
    old: Value | None = None
    new: Value
    because: MessageId | None = None
    """The journalled message that set it (a patch, a plan, a draft); null for a window's own jitter."""


class RunConfig(Frozen):
    """One run of the engine, complete. Only the patcher makes one from another."""

    version: Literal[1] = 1
    run_id: RunId
    campaign: CampaignId
    engine: Engine = "backtest"
    parent_run: RunId | None = None
    changes_from_parent: tuple[ParameterChange, ...] = ()
    because: MessageId | None = None
    """The journalled message that asked for this run."""
    seed: Annotated[int, Field(ge=0)]
    data: DataRef
    window: WindowRef | None = None
    """The part of the data this run sees; null for a template that no test has taken up yet."""
    methods: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)]
    params: Params
    costs: Costs = Costs()
    sizing: Sizing = Sizing()
    episode_bars: Annotated[int, Field(ge=10, le=10_000)] = 120

    def values(self) -> dict[str, Value]:
        """Parameter values by name."""
        return {item.name: item.value for item in self.params}


class Patch(Frozen):
    """One parameter to be set, with the value it is believed to have now (optimistic concurrency)."""

    parameter: Name
    old_value: Value | None
    """Null where it is not known, as of a patch refused because the run has no such parameter."""
    new_value: Value
    reason: Line
    applied_at: UtcMs | None = None
    """When it was applied; null until then."""


def apply_patch(
    config: RunConfig, patch: Patch, space: ParameterSpace, *, run_id: RunId, because: MessageId | None = None
) -> RunConfig:
    """The config that *patch* makes of *config*, as run *run_id* with its lineage. Pure.

    Raises :class:`ParameterError` when the parameter is unknown, the value is of a wrong type, out of its
    bounds or no change at all, or an id is none; :class:`StalePatch` when the old value is unknown or not the one
    in force.
    """
    for name in (run_id, because):
        if name is not None and not is_id(name):
            raise ParameterError(f"{name[:80]!r} is no id: those have lower-case letters, digits and _ . -")
    spec = space[patch.parameter]
    values = config.values()
    current = values.get(spec.name, spec.default)
    if patch.old_value is None or current != spec.check(patch.old_value):
        raise StalePatch(f"{spec.name}: the patch expects {_shown(patch.old_value)}, the run has {current}")
    new = spec.check(patch.new_value)
    if new == current:
        raise ParameterError(f"{spec.name}: is {current} already; the patch changes nothing")
    change = ParameterChange(parameter=spec.name, old=current, new=new, because=because)
    return config.model_copy(
        update={
            "run_id": run_id,
            "parent_run": config.run_id,
            "changes_from_parent": (change,),
            "because": because,
            "params": as_params(values | {spec.name: new}),
        }
    )


def _shown(value: Value | None) -> str:
    return "an unknown value" if value is None else str(value)

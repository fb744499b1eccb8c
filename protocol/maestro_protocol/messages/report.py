"""report owns what agents and people read: metrics, segment results, alerts, and the briefing a role answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from maestro_protocol.base import Frozen, Line, Money, Name, Text
from maestro_protocol.config import DataRef, Phase
from maestro_protocol.ids import RunId
from maestro_protocol.messages.plan import (
    Advice,
    Allotment,
    Critique,
    Goal,
    MetricName,
    PlanEvent,
    Proposal,
    RoleName,
    SegmentPlan,
    Target,
    Turn,
)
from maestro_protocol.space import ParameterSpec
from maestro_protocol.values import Changes, Params

FurtherValues = Annotated[
    Mapping[Name, float | None],
    BeforeValidator(lambda given: {} if given is None else given),  # a null says that none was asked for
    Field(exclude_if=lambda values: not values),
]


class Metrics(Frozen):
    """Results after all costs, in USD. What is undefined is null: a payoff without losses, a hit without trades."""

    n_trades: int
    wins: int
    losses: int
    hit: float | None
    payoff: float | None
    total_pnl: Money
    gross_win: Money
    """Sum of the winning trades."""
    gross_loss: Money
    """Sum of the losing trades, <= 0."""
    maxdd: Money
    """Largest fall of mark-to-market equity from its peak, <= 0. Of many tests: the mean of theirs."""
    blunders: int
    blunders_per_100: float | None
    high_vol_share: float | None
    sharpe: float | None
    """Annualised, from mark-to-market PnL per episode."""
    profit_factor: float | None
    expectancy: float | None
    exposure: float | None
    score: float | None
    extra: FurtherValues = Field(default_factory=dict[Name, float | None])
    """The campaign's further metrics by name. Of many tests: the mean of those in which it is defined."""


def _is_unsaid(value: object) -> bool:
    return value is None


def _is_empty(value: object) -> bool:
    return not value


class TestReport(Frozen):
    """One test, as agents and the leaderboard see it."""

    __test__ = False  # not a pytest class

    test_id: RunId
    parent_run: RunId | None
    window: int
    methods: tuple[Name, ...]
    params: Params
    train: Metrics
    validation: Metrics
    whole: Metrics
    costs: Annotated[Money | None, Field(exclude_if=_is_unsaid)] = None
    """Fees, slippage and funding of the whole window, USD; null where nobody counted them."""
    fees: Annotated[Money | None, Field(exclude_if=_is_unsaid)] = None
    days: Annotated[float | None, Field(exclude_if=_is_unsaid)] = None
    """Length of the window."""


class WindowResult(NamedTuple):
    """One test in short: a variant on a window. Amounts are USD a day of the window."""

    window: int
    gross: float
    """Before fees, slippage and funding."""
    costs: float
    exposure: float
    trades: int
    days: float


class Observed(Frozen):
    """One variant and everything that was seen of it, whatever the tests were for."""

    run_id: RunId
    """The first run of it."""
    methods: tuple[Name, ...]
    params: Params
    """Where they differ from the defaults."""
    results: tuple[WindowResult, ...]
    """In the order of the tests."""
    fate: Literal["finished", "quick_test_failed", "killed", "reverted"] = "finished"
    by_lot: bool = False
    """Whether it was drawn before there was any result: then no result has had a part in it."""


class VariationReport(Frozen):
    """All tests of one configuration so far, summed over its windows."""

    run_id: RunId
    segment: int
    methods: tuple[Name, ...]
    params: Params
    tests: int
    phase: Phase
    metrics: Metrics
    fate: Literal["finished", "killed", "reverted"] = "finished"


class Alert(Frozen):
    """A rule found a metric off its target; the change it suggests stays a suggestion."""

    rule: Name
    metric: MetricName
    value: float
    line: float
    episodes: int
    evidence: Line
    change: Changes


class Briefing(Frozen):
    """What a role is asked and all it may know to answer. It carries reports only: no books, no fills, no holdout."""

    type: Literal["Briefing"] = "Briefing"
    role: RoleName
    wants: Literal[
        "SegmentPlan", "Proposal", "Critique", "RunConfigDraft", "PlanEvent", "OnePagePlan", "Nomination", "Advice"
    ]
    turn: Turn
    segment: int
    segments: int
    goal: Goal
    data: DataRef
    seed: Annotated[int, Field(ge=0)] = 0
    """The campaign's."""
    round_trip_cost_usd: float
    """What one trade costs in fees and slippage at the run's notional, both sides taker."""
    tests: int
    space: tuple[ParameterSpec, ...]
    methods: tuple[Name, ...]
    targets: tuple[Target, ...]
    history: Annotated[tuple[VariationReport, ...], Field(max_length=40)] = ()
    """Best first; train phase only."""
    current: VariationReport | None = None
    plan: SegmentPlan | None = None
    proposal: Proposal | None = None
    critique: Critique | None = None
    asked: PlanEvent | None = None
    """The change another role asked for, to be refined, refused or turned into a kill."""
    alerts: tuple[Alert, ...] = ()
    advice: Annotated[tuple[Advice, ...], Field(max_length=16, exclude_if=lambda given: not given)] = ()
    """What roles from outside say of this turn; not written where there is none."""
    notes: tuple[Text, ...] = ()
    tried: tuple[Name, ...] | None = None
    """Methods that ran in at least one test so far; null in journals of before this was told."""
    observations: Annotated[tuple[Observed, ...], Field(exclude_if=_is_empty)] = ()
    """Every variant so far, in the order they first ran: what the search goes by."""
    windows: Annotated[tuple[int, ...], Field(exclude_if=_is_empty)] = ()
    """The common windows, oldest first: variants are compared on these."""
    budget: Annotated[int | None, Field(exclude_if=_is_unsaid)] = None
    """Tests of the whole campaign, everything counted."""
    round: Annotated[Allotment | None, Field(exclude_if=_is_unsaid)] = None
    """The round that is asked about, with what is left of its tests."""
    round_number: Annotated[int, Field(exclude_if=_is_empty)] = 0
    """Of the segment, from 0."""


class SegmentFinished(Frozen):
    """A segment's results: what ``segment_results.json`` holds."""

    type: Literal["SegmentFinished"] = "SegmentFinished"
    segment: int
    goal: Goal
    tests: int
    variations: tuple[VariationReport, ...]
    patches_applied: int
    patches_refused: int
    train: Metrics
    validation: Metrics
    whole: Metrics
    walk_forward_efficiency: float | None = None
    results: tuple[TestReport, ...]

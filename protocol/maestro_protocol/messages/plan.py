"""plan owns what the roles say to each other: plans, proposals, critiques, drafts, and what became of them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from maestro_protocol.base import Frozen, Line, Money, Name, Text, UtcMs
from maestro_protocol.config import Patch
from maestro_protocol.ids import Id, RunId
from maestro_protocol.messages.legacy_keys import Heard
from maestro_protocol.values import Changes, Params

Role = Literal["maestro", "strategist", "critic", "implementer", "dispatcher", "control"]
RoleName = Name
"""A role of the product (:data:`Role`), or one installed beside it as ``maestro.roles``."""
Goal = Literal["explore", "new_methods", "walk_forward", "ensemble"]
Comparison = Literal[">=", "<="]
MetricName = Literal[
    "hit",
    "payoff",
    "maxdd",
    "blunders_per_100",
    "high_vol_share",
    "score",
    "total_pnl",
    "sharpe",
    "profit_factor",
    "expectancy",
]
Turn = Annotated[int, Field(ge=0, le=1_000_000)]


class Spoken(Heard):
    """What a role says. Keys of older logs, in Portuguese, are understood."""

    agent: Role
    turn: Turn


MONEY: frozenset[MetricName] = frozenset({"maxdd", "total_pnl", "expectancy"})
"""Metrics in USD, which grow with the position."""


class Target(Frozen):
    """What a metric should reach: amounts in USD, rates as fractions of 1."""

    metric: MetricName
    op: Comparison
    value: float

    def scaled(self, share: float) -> Self:
        """The same target for positions of *share* times the size."""
        return self.model_copy(update={"value": self.value * share}) if self.metric in MONEY else self


class Range(Frozen):
    """The part of a parameter's bounds that a segment explores."""

    parameter: Name
    low: float
    high: float


RoundKind = Literal["explore", "neighbours", "untried", "walk_forward", "promote"]
"""How a round's tests are spent: variants drawn wide, neighbours of leaders, gates and joined methods, the choice of
the past on what came after it, leaders on the windows that they have not been on."""


def _is_empty(value: object) -> bool:
    return not value


class Allotment(Frozen):
    """One round of a segment: what its tests are for, and how many there are."""

    kind: RoundKind
    tests: Annotated[int, Field(ge=1, le=100_000)]
    leaders: Annotated[int, Field(ge=0, le=100)] = 0
    """How many of the best it works on; 0 leaves it to the search."""
    first_look: Annotated[int, Field(ge=0, le=1_000)] = 0
    """Windows that a new variant is tested on; 0 leaves it to the search."""


class SegmentPlan(Spoken):
    """Maestro scopes a segment."""

    type: Literal["SegmentPlan"] = "SegmentPlan"
    segment: Annotated[int, Field(ge=1, le=1_000)]
    goal: Goal
    tests: Annotated[int, Field(ge=1, le=100_000)]
    methods: Annotated[tuple[Name, ...], Field(min_length=1, max_length=64)]
    """The methods the segment may use."""
    ranges: Annotated[tuple[Range, ...], Field(max_length=64)]
    reason: Text
    allocation: Annotated[tuple[Allotment, ...], Field(max_length=12, exclude_if=_is_empty)] = ()
    """The segment's rounds, in order; empty in plans of before there were any."""


class Region(Frozen):
    """Where the variants of a variation come from, instead of its own values alone."""

    kind: Literal["explore", "neighbours", "untried"]
    """Each method by turns from all over its ranges; the surroundings of runs; gates and joined methods of runs."""
    around: Annotated[tuple[RunId, ...], Field(max_length=40)] = ()
    """Runs whose variants are moved; none for ``explore``."""
    ranges: Annotated[tuple[Range, ...], Field(max_length=64)] = ()
    """Narrower than the space; a parameter that is not named keeps where its search begins."""


class Variation(Frozen):
    """One idea: methods and the parameters in which it differs from their defaults, or a region of such."""

    name: Line
    methods: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)]
    params: Params
    rationale: Text
    region: Annotated[Region | None, Field(exclude_if=_is_empty)] = None
    """Null: these values, and their surroundings for what is left of its share of the tests."""


class Expectation(Frozen):
    """What a proposal says that a metric will be."""

    metric: MetricName
    value: float


class Proposal(Spoken):
    """Strategist proposes three variations for a segment."""

    type: Literal["Proposal"] = "Proposal"
    proposal: Text
    short_plan: Annotated[tuple[Line, ...], Field(max_length=12)]
    expected_metrics: Annotated[tuple[Expectation, ...], Field(max_length=12)]
    next_step: Line
    variations: Annotated[tuple[Variation, ...], Field(min_length=3, max_length=3)]


class Problem(Frozen):
    """What the Critic finds wrong with a proposal: the metric, its current value where it has one, and why."""

    metric: MetricName
    current: float | None
    problem: Line


class QuickTest(Frozen):
    """A first look before the segment is spent: so many tests, and what their mean must reach."""

    tests: Annotated[int, Field(ge=1, le=50)]
    metric: MetricName
    op: Comparison
    value: float


class RegionCut(Frozen):
    """A part of a variation's region that is not worth its tests."""

    variation: Annotated[int, Field(ge=0, le=2)]
    keep: Range
    """What is left of this parameter."""
    reason: Line


class Critique(Spoken):
    """Critic picks a variation, or none, and says what would make it good."""

    type: Literal["Critique"] = "Critique"
    verdict: Literal["approved", "approved_with_changes", "rejected"]
    analysis: Annotated[tuple[Problem, ...], Field(max_length=12)]
    chosen: Annotated[int, Field(ge=0, le=2)] | None
    """Index of the chosen variation; null only when all are rejected."""
    proposed_change: Changes
    """Changes to the chosen variation's parameters, made before it runs."""
    targets: Annotated[tuple[Target, ...], Field(max_length=12)]
    quick_test: QuickTest
    next_step: Line
    cuts: Annotated[tuple[RegionCut, ...], Field(max_length=16, exclude_if=_is_empty)] = ()


class Jitter(Frozen):
    """How far a parameter may wander from test to test: so many of its steps either way."""

    parameter: Name
    steps: Annotated[int, Field(ge=0, le=20)]


class VariantDraft(Frozen):
    """One variant and the windows it is to be tested on."""

    methods: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)]
    params: Params
    """Where they differ from the defaults."""
    windows: Annotated[tuple[int, ...], Field(min_length=1, max_length=1_000)]
    variation: Annotated[int, Field(ge=0, le=2)] | None = None
    """The variation it comes from; null for one that ran before."""
    parent: RunId | None = None
    """The run whose variant was moved, or is looked at again."""


class RunConfigDraft(Spoken):
    """Implementer turns the round's variations into concrete variants and windows."""

    type: Literal["RunConfigDraft"] = "RunConfigDraft"
    methods: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)]
    params: Params
    jitter: Annotated[tuple[Jitter, ...], Field(max_length=16)]
    notes: Text
    variants: Annotated[tuple[VariantDraft, ...], Field(max_length=10_000, exclude_if=_is_empty)] = ()


class Nominee(Frozen):
    """A variant as a candidate for the sealed data, by the run that first tested it."""

    run_id: RunId
    net: float
    """What it is expected to earn, USD a day after costs, after shrinkage."""
    noise: float
    """Standard error of that by chance alone."""
    windows: int


class Nomination(Spoken):
    """Critic names who goes on to the sealed data, the best first; nobody where standing aside is best."""

    type: Literal["Nomination"] = "Nomination"
    finalists: Annotated[tuple[Nominee, ...], Field(max_length=15)]
    best: Nominee | None
    """The best of all, whether it is worth opening the sealed data for or not; null where nothing ran."""
    reason: Text


class PlanEvent(Spoken):
    """A role asks for a change while a segment runs. What comes of it is a PatchApplied."""

    type: Literal["PlanEvent"] = "PlanEvent"
    episode_id: Id | None
    """The last episode that was looked at."""
    action: Literal["adjust", "keep", "kill", "revert"]
    change: Changes
    reason: Line
    evidence: Text
    rule: Name | None = None
    """The adjustment rule behind it; null when it is the role's own idea."""
    applies_to: Line | None = None


class MetricChange(Frozen):
    """One metric on the same windows without and with the patch, paired."""

    metric: MetricName
    before: float | None
    after: float | None
    p_value: float | None
    """Sign-flip permutation test of "the patch does not help"."""
    windows: int


class PatchApplied(Spoken):
    """What became of a patch: applied, refused with the reason, kept or reverted after it was measured."""

    type: Literal["PatchApplied"] = "PatchApplied"
    action: Literal["apply", "measure", "revert"]
    patch: Patch
    applied_to: Line
    metrics_after_patch: tuple[MetricChange, ...] = ()
    status: Literal["applied", "refused", "kept", "reverted"]
    reason: Line
    next_step: Line


class Responsibility(Frozen):
    """Which role answers for a metric until the next page."""

    metric: MetricName
    role: Role


class HealthCheck(Frozen):
    """One line of the page: whether something is as it should be."""

    name: Line
    ok: bool
    detail: Line


class OnePagePlan(Spoken):
    """Maestro's page after every two segments: routines in force, who answers for what, is all well."""

    type: Literal["OnePagePlan"] = "OnePagePlan"
    after_segment: int
    routines: Annotated[tuple[Line, ...], Field(max_length=20)]
    responsible: Annotated[tuple[Responsibility, ...], Field(max_length=12)]
    health_checks: Annotated[tuple[HealthCheck, ...], Field(max_length=20)]
    focus: Text


AskedAt = Literal["after_proposal", "after_critique", "before_plan"]
"""Where in a turn a role from outside is asked; the next role of the turn reads its advice."""


class Advice(Frozen):
    """What a role from outside says of a turn: the next role reads it in its briefing and decides by itself."""

    type: Literal["Advice"] = "Advice"
    agent: RoleName
    turn: Turn
    text: Text
    suggested_changes: Changes = ()
    """Parameters it would set otherwise; null for an old value that it does not know."""
    confidence: Annotated[float, Field(ge=0, le=1)]
    """How sure it is, 0 to 1, by its own word."""


class RoleFellBack(Frozen):
    """A role's model could not answer; its offline rules answered this turn instead."""

    type: Literal["RoleFellBack"] = "RoleFellBack"
    role: RoleName
    turn: Turn
    brain: Line
    reason: Text
    repairs: int
    limit: Line = ""
    """Which limit stopped it, as its owner writes it (``usd``, ``critic.tokens``), where the brain is ``budget``."""
    needed: Annotated[Money | None, Field(exclude_if=lambda value: value is None)] = None
    """How large that limit must be for the request that it stopped; null where any larger one will do."""


class ModelCalled(Frozen):
    """One answered request to a model, as its vendor counted it."""

    type: Literal["ModelCalled"] = "ModelCalled"
    role: RoleName
    turn: Turn
    brain: Line
    model: Line
    request_key: str
    input_tokens: int | None
    output_tokens: int | None
    """Null is what the vendor did not count, or not as a number that can be one: budgets then count the most it may
    have been."""
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: Money | None
    """By the price table; null where the model has no known price, or its tokens are not known."""
    stop_reason: Line | None
    attempts: int
    recalled: bool = False
    """Answered from the record, at no cost."""
    at: UtcMs

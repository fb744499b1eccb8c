"""campaign owns what control says of a campaign: what was asked, what was tried, how it ended."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from maestro_protocol.base import Frozen, Line, Money, Name, Text, UtcMs
from maestro_protocol.config import Costs, DataReading, DataRef, Engine, Sizing
from maestro_protocol.ids import CampaignId, RunId
from maestro_protocol.messages.plan import Role, RoleName, Target
from maestro_protocol.messages.report import Metrics
from maestro_protocol.messages.rules import GatePolicy, OpeningPolicy, Policies, Rules
from maestro_protocol.messages.tearsheet import Histogram, TearSheets
from maestro_protocol.values import Params

ORIGIN_TARGETS = (
    Target(metric="hit", op=">=", value=0.52),
    Target(metric="payoff", op=">=", value=1.25),
    Target(metric="maxdd", op=">=", value=-2000),
    Target(metric="blunders_per_100", op="<=", value=2),
    Target(metric="high_vol_share", op=">=", value=0.30),
)
Policy = Literal["sequential", "streak"]
VerdictWord = Literal["SURVIVES", "DOES NOT SURVIVE", "NOT ENOUGH EVIDENCE"]
RULE_BRAINS = ("offline", "silent", "random")
"""Brains that answer by rules alone."""


class BrainChoice(Frozen):
    """Which brain a role thinks with. Temperature is left out where the vendor has none."""

    role: RoleName
    brain: Name = "offline"
    """A vendor's (``anthropic``, ``openai``, or one installed beside them), ``scripted``, ``replay``, or a kind of
    rules: ``offline``; for an ablation ``silent`` and ``random``, a critic that never objects, proposals by lot."""
    model: Line | None = None
    knows_until: UtcMs | None = None
    """The end of what the model may remember, by its vendor's word; null where nobody published it."""
    max_tokens: Annotated[int, Field(ge=256, le=20_000)] = 12_000
    """Of one answer; a model that thinks before it speaks spends them on that as well."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None

    @property
    def by_rules(self) -> bool:
        """Whether rules answer, and no model was ever meant to."""
        return self.brain in RULE_BRAINS


class WindowPlan(Frozen):
    """How the data is cut, in days; what remains of a window between train and validation is the purge gap."""

    window_days: Annotated[float, Field(gt=0)] = 15
    train_days: Annotated[float, Field(gt=0)] = 10
    validation_days: Annotated[float, Field(gt=0)] = 3
    step_days: Annotated[float, Field(gt=0)] = 2
    warmup_bars: Annotated[int, Field(ge=0, le=10_000)] = 300
    holdout_share: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    """The last share of the data, sealed until the finalists are named."""


class Limits(Frozen):
    """The most that may be spent; null switches one limit off, and only somebody who wrote null gets that."""

    usd: Annotated[Decimal, Field(ge=0)] | None
    tokens: Annotated[int, Field(ge=0)] | None
    requests: Annotated[int, Field(ge=0)] | None
    seconds: Annotated[float, Field(ge=0)] | None
    """Time spent waiting for models: from a request's leaving to its answer or failure, retries included. What a
    campaign waits at a gate or computes does not count, nor what a process waited that was killed meanwhile."""


class RoleLimits(Limits):
    """Limits of one role's own."""

    role: RoleName


class ModelPrice(Frozen):
    """What a model's tokens cost by its user's word, USD per million; it wins over the table of prices."""

    model: Line
    input: Annotated[Decimal, Field(ge=0)]
    output: Annotated[Decimal, Field(ge=0)]


ONE_CAMPAIGN = Limits(usd=Decimal(10), tokens=10_000_000, requests=2_000, seconds=14_400)
EACH_ROLE = Limits(usd=Decimal(5), tokens=5_000_000, requests=1_000, seconds=7_200)
ONE_DAY = Limits(usd=Decimal(25), tokens=25_000_000, requests=5_000, seconds=43_200)


class BudgetPlan(Limits):
    """The most a campaign may spend on models; none of it is off unless somebody wrote null."""

    usd: Annotated[Decimal, Field(ge=0)] | None = ONE_CAMPAIGN.usd
    tokens: Annotated[int, Field(ge=0)] | None = ONE_CAMPAIGN.tokens
    requests: Annotated[int, Field(ge=0)] | None = ONE_CAMPAIGN.requests
    seconds: Annotated[float, Field(ge=0)] | None = ONE_CAMPAIGN.seconds
    role: Limits = EACH_ROLE
    """Of each role by itself."""
    roles: Annotated[tuple[RoleLimits, ...], Field(max_length=10)] = ()
    """Of the roles that have limits of their own instead."""
    day: Limits = ONE_DAY
    """Of one UTC day, over all campaigns and processes of the workspace: more than that, this campaign adds not."""
    when_exhausted: Literal["ask", "offline"] = "ask"
    """Wait behind a gate for more, or go on with offline rules."""
    prices: Annotated[tuple[ModelPrice, ...], Field(max_length=20)] = ()
    """Of models that the table of prices does not know, or knows otherwise: a local server's cost 0."""


DEFAULT_METHODS: tuple[Name, ...] = ("ema_crossover", "macd_trend", "trend_breakout")
"""The methods of a campaign that names none, and of every campaign of before it could name any."""


def _are_default(methods: object) -> bool:
    return methods == DEFAULT_METHODS


def _once_each(methods: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(methods)) < len(methods):
        raise ValueError("a method is named twice")
    return methods


Methods = Annotated[
    tuple[Name, ...], Field(min_length=1, max_length=64, exclude_if=_are_default), AfterValidator(_once_each)
]


MetricUnit = Literal["ratio", "usd", "share", "count", "days"]
Better = Literal["more", "less"]


class FurtherMetric(Frozen):
    """A metric that tests are measured by beside the fixed ones: what the one who computes it says of it."""

    name: Name
    label: Line
    """What people read over its values."""
    unit: MetricUnit
    better: Better


class CampaignConfig(Frozen):
    """What was asked for, resolved: with the data's digest, the seed and the versions it ran with."""

    type: Literal["CampaignConfig"] = "CampaignConfig"
    version: Literal[1] = 1
    campaign: CampaignId
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    tests: Annotated[int, Field(ge=1, le=100_000)] = 500
    segments: Annotated[int, Field(ge=1, le=100)] = 5
    batch: Annotated[int, Field(ge=1, le=1_000)] = 25
    """Tests between two looks at the scores. Part of the answer: fixed, whatever the threads."""
    policy: Policy = "sequential"
    engine: Engine = "backtest"
    """What runs every test: the kernel alone, or a session replayed with its limits, margin and breakers."""
    methods: Methods = DEFAULT_METHODS
    """What it searches among, pinned: a method that is added later changes nothing of it. Left out where they are the
    default, so that what was kept keeps its hash."""
    metrics: Annotated[tuple[FurtherMetric, ...], Field(max_length=32, exclude_if=lambda asked: not asked)] = ()
    """What tests are measured by beside the fixed metrics."""
    blind: bool = False
    """Prompts without dates, symbols or absolute prices."""
    data: DataRef
    reading: Annotated[DataReading, Field(exclude_if=lambda reading: reading == DataReading())] = DataReading()
    """Left out where nothing was said, as before there was anything to say: what was kept keeps its hash."""
    windows: WindowPlan = WindowPlan()
    costs: Costs = Costs()
    sizing: Sizing = Sizing()
    targets: tuple[Target, ...] = ORIGIN_TARGETS
    brains: tuple[BrainChoice, ...] = ()
    budget: BudgetPlan = BudgetPlan()
    rules: Rules
    policies: Policies
    gates: GatePolicy
    openings: OpeningPolicy | None = None
    """What a look at sealed bars costs; null in campaigns of before looks were counted over a workspace."""
    only_segment: Annotated[int, Field(ge=1)] | None = None
    """Run this segment alone; all of them where null."""
    versions: tuple[Line, ...] = ()


class TrialRecorded(Frozen):
    """One variant that somebody proposed, and its fate. All count, whatever became of them."""

    type: Literal["TrialRecorded"] = "TrialRecorded"
    run_id: RunId
    segment: int
    proposed_by: Role
    methods: tuple[Name, ...]
    params: Params
    fate: Literal[
        "run", "rejected", "crashed", "killed", "duplicate", "quick_test_failed", "reverted", "refused", "untried"
    ]
    """``rejected`` by the critic; ``refused`` because it does not hold; ``untried`` because its turn never came.

    Journals of before these were told apart have ``rejected`` for all three, with the reason beside it.
    """
    reason: Line = ""


class LooksCounted(Frozen):
    """How often the bars that are about to be opened were looked at before, over the whole workspace."""

    type: Literal["LooksCounted"] = "LooksCounted"
    market: Line | None
    """The symbol without separators, or what a simulated market was made from; null where nothing says."""
    first_ms: UtcMs
    end_ms: UtcMs
    days: Annotated[int, Field(ge=0)]
    """UTC days of which the bars hold something."""
    seen: Annotated[int, Field(ge=0)]
    """Those of them that somebody has looked at before."""
    earlier: Annotated[int, Field(ge=0)]
    """Looks at the day that was looked at most often."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    """The chance of a wrong SURVIVES that is left to this look."""

    def in_words(self) -> str:
        """``these bars have been looked at 3 times before``; ``12 of the 36 days of these bars ...`` of a part."""
        if not self.earlier:
            return "nobody has looked at these bars before"
        times = {1: "once", 2: "twice"}.get(self.earlier, f"{self.earlier:,} times")
        if self.seen == self.days:
            return f"these bars have been looked at {times} before"
        most = "" if self.earlier == 1 else "up to "
        return f"{self.seen:,} of the {self.days:,} days of these bars have been looked at {most}{times} before"


class HoldoutOpened(Frozen):
    """The sealed part of the data was opened, for these finalists, this many times so far."""

    type: Literal["HoldoutOpened"] = "HoldoutOpened"
    finalists: tuple[RunId, ...]
    opening: Annotated[int, Field(ge=1)]
    """Of this campaign: 2 and more are a person's wish to look again."""
    first_bar: int
    bars: int
    earlier: Annotated[int, Field(ge=0)] | None = None
    """Looks at the same bars before this one, by anybody in the workspace; null where nobody counted."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    """The level this look was judged at; null where nobody counted."""


class Figure(Frozen):
    """One line of the table behind the verdict; an undefined value is null, with the reason in ``about``."""

    name: Line
    value: float | None
    passes: bool | None
    threshold: Line
    about: Line


class Finalist(Frozen):
    """One configuration that reached the end, with what each honest test said of it."""

    run_id: RunId
    methods: tuple[Name, ...]
    params: Params
    open_part: Metrics
    holdout: Metrics | None
    figures: tuple[Figure, ...]
    survives: bool | None


class Verdict(Frozen):
    """The answer: one sentence in plain words, and the figures behind it."""

    type: Literal["Verdict"] = "Verdict"
    word: VerdictWord
    sentence: Text
    trials: int
    effective_trials: float | None
    finalists: tuple[Finalist, ...]
    figures: tuple[Figure, ...]
    sample_needed: Line = ""
    untried: tuple[Name, ...] = ()
    """Methods that no test ran: the answer says nothing of them."""


class Curve(Frozen):
    """A finalist's PnL per period after costs, USD, from the open part on into the sealed one."""

    run_id: RunId
    start_ms: UtcMs
    period_ms: int
    pnl: tuple[float, ...]
    sealed_from: int
    """Index of the first period of the sealed part; ``len(pnl)`` where it was not opened."""


class NullModel(Frozen):
    """A finalist's Sharpe beside those of random entries with the same exits."""

    run_id: RunId
    observed: float | None
    values: tuple[float, ...]


class Exhibits(Frozen):
    """What the report draws beside the verdict: ``exhibits.json``. Sharpe ratios are annualised."""

    version: Literal[1] = 1
    trial_sharpes: tuple[float, ...]
    """Of every distinct variant over the whole open part; the undefined are left out."""
    expected_maximum: float | None
    """What the best of so many independent trials of pure noise would show."""
    pbo_logits: Histogram | None
    nulls: tuple[NullModel, ...]
    curves: tuple[Curve, ...]
    tear_sheets: TearSheets | None = None
    """How the finalists' results came about; null where there is no finalist, or an earlier version kept none."""


class Memory(Frozen):
    """Results before and after the end of what a model may remember: only those after it are free of memory."""

    role: RoleName
    model: Line
    knows_until: UtcMs
    before: Metrics | None
    """Validation parts that begin up to then; null where there are none."""
    after: Metrics | None


class RoleTurns(Frozen):
    """Who answered one role's turns: its model, or the rules that took over where the model gave no usable answer."""

    role: RoleName
    model: Line
    by_model: Annotated[int, Field(ge=0)]
    by_rules: Annotated[int, Field(ge=0)]


class CampaignFinished(Frozen):
    """The campaign's end: what ``metrics_global.json`` holds, with the verdict."""

    type: Literal["CampaignFinished"] = "CampaignFinished"
    status: Literal["finished", "interrupted", "failed"]
    tests: int
    trades: int
    total_pnl: Money
    train: Metrics | None
    validation: Metrics | None
    whole: Metrics | None
    """Its ``maxdd``, ``sharpe``, ``exposure`` and ``high_vol_share`` are means over tests, its sums sums."""
    mean_maxdd: Money | None = None
    """USD, of the tests' deepest falls; null in files of before it had a name of its own, like the next."""
    mean_sharpe: float | None = None
    """Of the tests' annualised Sharpe ratios, where they have one."""
    verdict: Verdict | None = None
    memory: tuple[Memory, ...] = ()
    """One for each role whose model's knowledge has a known end and that answered a turn by it: of the tests of the
    segments in which it did."""
    thinking: Annotated[tuple[RoleTurns, ...], Field(exclude_if=lambda value: not value)] = ()
    """One for each role that was given a model."""
    reason: Line = ""
    refused: Line = ""
    """What a gate refused at the end: the sealed part stayed closed, and the verdict says so."""

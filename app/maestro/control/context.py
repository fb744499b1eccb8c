"""context owns what every part of a running campaign shares: the config, the ports, the ledger, the standings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from maestro.control.durable_run import Steps
from maestro.control.record.campaign_folder import CampaignFolder
from maestro.control.record.ledger import Ledger
from maestro.control.record.observations import ObservationLog, common_windows
from maestro.control.record.standings import Standings
from maestro_protocol.config import Phase, RunConfig
from maestro_protocol.ids import CampaignId
from maestro_protocol.messages.campaign import CampaignConfig
from maestro_protocol.messages.plan import AskedAt, Goal, ModelCalled, RoleFellBack, RoleName
from maestro_protocol.messages.report import Briefing, TestReport
from maestro_protocol.ports import Judge, OpeningsRegistry, Runner, Statistics
from maestro_protocol.space import ParameterSpace
from maestro_protocol.values import as_params

DAY_MS = 86_400_000
SEALED_TRADES = 30
"""Fewer trades in the sealed part prove nothing, either way."""
HISTORY = 20
"""Configurations that a briefing tells of, best first."""


class Progress(NamedTuple):
    """Where a campaign stands, for whoever watches."""

    campaign: CampaignId
    segment: int
    segments: int
    goal: Goal
    done: int
    tests: int
    episodes: int
    trades: int
    best_sharpe: float | None
    best_run: str | None
    patches_applied: int
    patches_refused: int
    calls: int
    """Answers of models paid so far, with their tokens in and out and their cost in USD; null where not known."""
    tokens: int
    usd: Decimal | None
    note: str = ""
    fallbacks: int = 0
    """Turns that offline rules took because the role's model gave no usable answer."""


Observer = Callable[[Progress], None]


def share(tests: int, segments: int) -> list[int]:
    """How many tests each segment gets: as even as can be, the first ones one more."""
    whole, rest = divmod(tests, segments)
    return [whole + (place < rest) for place in range(segments)]


@dataclass
class Desk:
    """One campaign's shared state. Everything in it follows from the journal."""

    config: CampaignConfig
    steps: Steps
    runner: Runner
    statistics: Statistics
    judge: Judge | None
    folder: CampaignFolder
    observer: Observer
    openings: OpeningsRegistry
    advisors: Mapping[AskedAt, Sequence[RoleName]] = field(default_factory=dict[AskedAt, Sequence[RoleName]])
    """The roles from outside that give advice, by when in a turn they are asked."""
    ledger: Ledger = field(default_factory=Ledger)
    tests: list[TestReport] = field(default_factory=list[TestReport])
    trades: int = 0
    episodes: int = 0
    patches_applied: int = 0
    patches_refused: int = 0
    notes: list[str] = field(default_factory=list[str])
    """What roles should know of what happened: reverted patches, killed variations."""
    turn: int = 0
    calls: int = 0
    tokens: int = 0
    usd: Decimal | None = Decimal(0)
    fallbacks: int = 0
    _billed: int = 0
    """Messages of the journal whose calls to models are counted."""

    notional: float | None = None
    """USD of a position, where it is a fixed quantity and a session has shown its price."""

    def __post_init__(self) -> None:
        self.standings = Standings(self.runner.pool, self._phase_days(), self._pace())
        self.observations = ObservationLog(self.space)
        self.windows = common_windows(self.runner.windows)
        """Those that variants are compared on."""
        methods = tuple(self.runner.methods())
        self.root = RunConfig(
            run_id="root",
            campaign=self.config.campaign,
            engine=self.config.engine,
            seed=self.config.seed,
            data=self.config.data,
            methods=methods[:1],
            params=as_params(self.runner.space(methods[:1]).defaults()),
            costs=self.config.costs,
            sizing=self.config.sizing,
        )

    def _phase_days(self) -> dict[Phase, float]:
        cut = self.config.windows
        gap = cut.window_days - cut.train_days - cut.validation_days
        return {"train": cut.train_days, "gap": gap, "validation": cut.validation_days}

    def _pace(self) -> float:
        """Trades a day with which a finalist reaches the least number of trades that the sealed part is judged by."""
        data = self.config.data
        days = (data.last_ms - data.first_ms) / DAY_MS * self.config.windows.holdout_share
        return SEALED_TRADES / days if days > 0 else 0.0

    def keep(self, segment: int, template: RunConfig) -> None:
        """Keep a run that no test is, but tests descend from, in the folder and in the store."""
        self.folder.template(segment, template)
        self.steps.keep(template)

    def space(self, methods: Sequence[str] | None = None) -> ParameterSpace:
        return self.runner.space(methods or self.runner.methods())

    def round_trip_cost(self) -> float:
        """Fees and slippage of one trade at the run's notional, USD, both sides taker."""
        costs = self.config.costs
        notional = float(self.notional or self.config.sizing.notional_usd)
        return notional * 2 * (costs.taker_bps + costs.slippage_bps) / 1e4

    def briefing(self, role: RoleName, wants: str, segment: int, goal: Goal, tests: int, **more: object) -> Briefing:
        """What *role* may know to say *wants*. Train phase only; nothing of the holdout is reachable from here."""
        self.turn += 1
        fields: dict[str, object] = {
            "role": role,
            "wants": wants,
            "turn": self.turn,
            "segment": segment,
            "segments": self.config.segments,
            "goal": goal,
            "data": self.config.data,
            "seed": self.config.seed,
            "round_trip_cost_usd": self.round_trip_cost(),
            "tests": tests,
            "space": self.space().specs,
            "methods": tuple(self.runner.methods()),
            "targets": self.config.targets,
            "history": tuple(self.standings.ranked("train")[:HISTORY]),
            "notes": tuple(self.notes[-10:]),
            "tried": tuple(sorted(self.ledger.methods())),
        }
        return Briefing.model_validate(fields | more)

    def seen(self) -> dict[str, object]:
        """What a briefing tells of the search: every variant on every window so far, and the budget."""
        return {
            "observations": self.observations.told(),
            "windows": tuple(window.index for window in self.windows),
            "budget": self._asked,
        }

    def watch(self, segment: int, goal: Goal, note: str = "") -> None:
        """Tell the observer where the campaign stands."""
        self._count_calls()
        ranked = self.standings.ranked("train", minimum=5) or self.standings.ranked("train")
        best = ranked[0] if ranked else None
        self.observer(
            Progress(
                campaign=self.config.campaign,
                segment=segment,
                segments=self.config.segments,
                goal=goal,
                done=len(self.tests),
                tests=self._asked,
                episodes=self.episodes,
                trades=self.trades,
                best_sharpe=best.metrics.sharpe if best else None,
                best_run=best.run_id if best else None,
                patches_applied=self.patches_applied,
                patches_refused=self.patches_refused,
                calls=self.calls,
                tokens=self.tokens,
                usd=self.usd,
                note=note,
                fallbacks=self.fallbacks,
            )
        )

    @property
    def _asked(self) -> int:
        """Tests that are to run: all, or those of the one segment."""
        config = self.config
        only = config.only_segment
        return config.tests if only is None else share(config.tests, config.segments)[only - 1]

    def _count_calls(self) -> None:
        for envelope in self.steps.told(ModelCalled, RoleFellBack, after=self._billed):
            call = envelope.body
            if isinstance(call, RoleFellBack):
                self.fallbacks += call.brain not in ("offline", "budget")
            elif isinstance(call, ModelCalled) and not call.recalled:
                self.calls += 1
                self.tokens += (call.input_tokens or 0) + (call.output_tokens or 0)
                self.usd = None if self.usd is None or call.cost_usd is None else self.usd + call.cost_usd
        self._billed = self.steps.place

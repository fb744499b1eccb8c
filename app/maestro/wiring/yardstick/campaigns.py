"""campaigns owns whole campaigns as searches of the yardstick: run in memory, with every backtest counted.

A campaign that searches by other means takes its place here and nowhere else: what the yardstick asks of it is an
:class:`End`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from maestro.settings import Settings
from maestro.wiring import markets, studies
from maestro.wiring.campaigns import CampaignRequest, resolve
from maestro_agents.search import SearchSpace, Variant
from maestro_engine.data.bars import Bars
from maestro_protocol.config import DataRef, RunConfig, WindowRef
from maestro_protocol.messages.campaign import BrainChoice
from maestro_protocol.messages.plan import Role
from maestro_protocol.messages.report import Metrics, TestReport
from maestro_protocol.ports import Runner, TestOutcome
from maestro_protocol.space import ParameterSpace, Value

BrainKind = Literal["offline", "silent", "random"]


@dataclass(frozen=True, slots=True)
class End:
    """What a campaign ended with: its first finalist or its best, its verdict, and what it ran for them."""

    methods: tuple[str, ...]
    """Empty where nothing ran."""
    values: Mapping[str, Value]
    word: str
    tests: int
    """One-window backtests, everything counted."""
    aside: bool = False
    """Whether it named nobody for the sealed part: its best is then what it would rather not trade."""

    def variant(self, space: SearchSpace) -> Variant:
        return space.variant(self.methods, self.values)


class CountingRunner:
    """The Runner port, with every backtest counted, whatever it was for."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.count = 0

    @property
    def data(self) -> DataRef:
        return self._runner.data

    @property
    def windows(self) -> Sequence[WindowRef]:
        return self._runner.windows

    def methods(self) -> Sequence[str]:
        return self._runner.methods()

    def space(self, methods: Sequence[str]) -> ParameterSpace:
        return self._runner.space(methods)

    def check(self, config: RunConfig) -> None:
        self._runner.check(config)

    def run(self, configs: Sequence[RunConfig]) -> Sequence[TestOutcome]:
        self.count += len(configs)
        return self._runner.run(configs)

    def compare(self, configs: Sequence[RunConfig]) -> Sequence[TestReport]:
        self.count += len(configs)
        return self._runner.compare(configs)

    def pool(self, parts: Sequence[Metrics]) -> Metrics:
        return self._runner.pool(parts)


def run(bars: Bars, methods: Sequence[str], changes: Mapping[Role, BrainKind], tests: int, seed: int) -> End:
    """A campaign with *methods* on *bars*, by rules but for the brains in *changes*. Raises MaestroError."""
    choices = [BrainChoice(role=role, brain=brain) for role, brain in changes.items()]
    request = CampaignRequest(tests=tests, seed=seed, brains=tuple(choices), methods=tuple(methods))
    config = resolve(request, bars, Settings())
    market = markets.market_of(config, bars, jobs=1)
    counted = CountingRunner(market.runner)
    told = asyncio.run(studies.tell(config, market, counted))
    first = told.finalists[0] if told.finalists else told.best
    if first is None:
        return End((), {}, told.word, counted.count, aside=True)
    return End(first.methods, first.values(), told.word, counted.count, aside=not told.finalists)

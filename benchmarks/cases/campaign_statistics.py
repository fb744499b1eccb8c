"""campaign_statistics owns the verdict on 500 trials: PBO, bootstraps, random agents and the rest, on two cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from cases.backtest_kernel import specs
from maestro.wiring.markets import SIMULATED_BARS, simulated_bars
from maestro_engine.api import data_ref, open_market
from maestro_engine.data.bars import Bars
from maestro_protocol.config import RunConfig
from maestro_protocol.messages.campaign import ORIGIN_TARGETS, WindowPlan
from maestro_protocol.ports import Judge
from maestro_protocol.values import as_params
from measuring.bench import Bench
from measuring.results import Row, duration, most
from measuring.samples import interleaved, timed

TITLE = "The statistics of a campaign of 500 tests"

TRIALS = 500
"""As if no two tests had been of one variant: no campaign of 500 tests has more to weigh."""
FINALISTS = 5
SEED = 7


def measure(bench: Bench) -> Iterator[Row]:
    bars = simulated_bars("mixed", SEED)
    configs = trials(bars)
    market = open_market(bars, WindowPlan(), ORIGIN_TARGETS, jobs=2, seed=SEED)
    assert market.judge is not None
    ruled: list[str] = []
    judge = _judging(market.judge, configs, ruled)
    judge()  # kernels are compiled; not counted
    samples = interleaved({"judge": timed(judge)}, bench.rounds(5))["judge"]
    assert len(set(ruled)) == 1, "the same evidence was ruled on differently"
    note = (
        f"PBO over 12,870 splits of {TRIALS} trials, 200 random agents for each of {FINALISTS} finalists, bootstraps"
    )
    yield duration(f"evidence weighed and verdict given, {SIMULATED_BARS:,} bars", samples, most(10), note)


def trials(bars: Bars) -> list[RunConfig]:
    """TRIALS different variants of all methods."""
    data = data_ref(bars)
    return [
        RunConfig(
            run_id=f"trial{test.test_id}",
            campaign="bench",
            seed=SEED,
            data=data,
            methods=test.methods,
            params=as_params(test.params),
        )
        for test in specs(TRIALS, SIMULATED_BARS, TRIALS)
    ]


def _judging(judge: Judge, configs: Sequence[RunConfig], ruled: list[str]) -> Callable[[], None]:
    def work() -> None:
        evidence = judge.assess(configs, configs[:FINALISTS], len(configs))
        verdict, _ = judge.open_and_rule(evidence, 1)
        ruled.append(verdict.model_dump_json())

    return work

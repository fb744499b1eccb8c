"""conftest owns a made-up campaign's folder: seeded, of any size, written by the same code as a real one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from maestro.control.files import CampaignFolder
from maestro.control.standings import LEADERBOARD
from maestro_protocol.config import DataRef
from maestro_protocol.envelope import Envelope
from maestro_protocol.ids import message_id
from maestro_protocol.messages import Message
from maestro_protocol.messages.campaign import (
    BrainChoice,
    CampaignConfig,
    CampaignFinished,
    Curve,
    Exhibits,
    Figure,
    Finalist,
    Histogram,
    HoldoutOpened,
    NullModel,
    TrialRecorded,
    Verdict,
)
from maestro_protocol.messages.plan import (
    HealthCheck,
    MetricChange,
    ModelCalled,
    OnePagePlan,
    PatchApplied,
    PlanEvent,
    Responsibility,
    RoleFellBack,
)
from maestro_protocol.messages.report import Metrics, SegmentFinished, TestReport, VariationReport
from maestro_protocol.messages.rules import Kill, Measure, Policies, Rules, Streak
from maestro_protocol.patch import Patch
from maestro_protocol.space import Value
from maestro_protocol.values import Change, as_params

START = 1_735_689_600_000  # 1 January 2025
DAY = 86_400_000
GOALS = ("explore", "explore", "new_methods", "walk_forward", "ensemble")
BASE: dict[str, Value] = {
    "macd_fast": 12, "macd_slow": 26, "macd_signal": 9, "atr_stop_mult": 1.5, "hard_tp_usd": 300.0,
    "timeout_bars": 120, "gate_vhf": False, "vhf_min": 0.3, "atr_bars": 14,
}  # fmt: skip


POLICIES = Policies(
    version=1,
    look_every_episodes=10,
    policies={"sequential": Streak(trigger="streak", episodes=3)},
    measure=Measure(metric="total_pnl", p_max=0.2, min_windows=10),
    max_patches_per_segment=6,
    kill=Kill(min_tests=50, t_below=-2.0),
)


def usd(value: float) -> Decimal:
    return Decimal(f"{value:.2f}")


def metrics(rng: np.random.Generator, edge: float = 0.0, scale: float = 1.0) -> Metrics:
    """Results of one test that could be, a little better for a larger *edge*."""
    n = int(rng.integers(12, 60) * scale) + 1
    hit = float(np.clip(rng.normal(0.5 + edge / 10, 0.07), 0.1, 0.9))
    wins = round(n * hit)
    win, loss = float(rng.normal(190, 25)), float(rng.normal(170, 20))
    gross_win, gross_loss = usd(wins * win), usd(-(n - wins) * loss)
    pnl = gross_win + gross_loss
    return Metrics(
        n_trades=n,
        wins=wins,
        losses=n - wins,
        hit=wins / n,
        payoff=win / loss,
        total_pnl=pnl,
        gross_win=gross_win,
        gross_loss=gross_loss,
        maxdd=usd(-abs(rng.normal(1400, 500))),
        blunders=int(rng.integers(0, 3)),
        blunders_per_100=float(rng.uniform(0, 4)),
        high_vol_share=float(rng.uniform(0.1, 0.5)),
        sharpe=float(pnl) / 550 + float(rng.normal(0, 3)),
        profit_factor=float(gross_win / -gross_loss) if gross_loss else None,
        expectancy=float(pnl) / n,
        exposure=float(rng.uniform(0.2, 0.6)),
        score=float(rng.normal(78 + 12 * edge, 9)),
    )


UNDEFINED = Metrics(
    n_trades=0, wins=0, losses=0, hit=None, payoff=None, total_pnl=Decimal(0), gross_win=Decimal(0),
    gross_loss=Decimal(0), maxdd=Decimal(0), blunders=0, blunders_per_100=None, high_vol_share=None, sharpe=None,
    profit_factor=None, expectancy=None, exposure=None, score=None,
)  # fmt: skip


@dataclass
class MadeUp:
    """A campaign that never ran. What is not asked for is as in a finished one of 500 tests on noise."""

    tests: int = 500
    segments: int = 5
    seed: int = 7
    simulated: bool = True
    status: str | None = "finished"
    """None: no metrics_global.json was written."""
    word: str | None = "DOES NOT SURVIVE"
    edge: float = 0.0
    undefined: bool = False
    prose: str = "hit is below target on the last three episodes"
    """What models say wherever they speak."""
    journal: list[Message] = field(default_factory=list[Message])
    because: dict[int, str] = field(default_factory=dict[int, str])

    def write(self, folder: Path) -> Path:
        self.rng = np.random.default_rng(self.seed)
        files = CampaignFolder(folder)
        config = self.config(folder.name)
        files.campaign(config)
        self.say(config)
        done = self.segments if self.status == "finished" else max(0, self.segments - 3)
        reports: list[TestReport] = []
        for number in range(1, done + 1):
            finished = self.segment(number)
            reports.extend(finished.results)
            files.results(number, finished)
            self.say(finished)
            if number % 2 == 0:
                self.say(self.page(number))
        if self.status is None:
            (folder / f"segment_{done + 1}" / "test_001").mkdir(parents=True)
            (folder / f"segment_{done + 1}" / "test_001" / "run.yaml").write_text("run_id: seg_test001\n")
            return folder
        verdict = self.verdict() if self.word else None
        if verdict:
            runs = tuple(f.run_id for f in verdict.finalists)
            self.say(HoldoutOpened(finalists=runs, opening=1, first_bar=41_000, bars=10_000))
            self.say(verdict)
            files.exhibits(self.exhibits(verdict))
        files.metrics(self.finished(reports, verdict))
        files.leaderboard(self.rows(reports))
        files.journal(self.envelopes(folder.name))
        return folder

    def say(self, body: Message, because: str | None = None) -> str:
        self.journal.append(body)
        if because:
            self.because[len(self.journal)] = because
        return message_id(len(self.journal))

    def envelopes(self, campaign: str) -> Sequence[Envelope]:
        return [
            Envelope(
                id=message_id(seq), seq=seq, time=START + seq, campaign=campaign, sender="control", topic="campaign",
                causation=self.because.get(seq), body=body,
            )
            for seq, body in enumerate(self.journal, start=1)
        ]  # fmt: skip

    def config(self, campaign: str) -> CampaignConfig:
        source = "simulated:mixed:seed=7" if self.simulated else "binance_usdm_BTCUSDT_5m_2025-01_2025-06.parquet"
        return CampaignConfig(
            campaign=campaign,
            seed=self.seed,
            tests=self.tests,
            segments=self.segments,
            data=DataRef(
                source=source, symbol="BTCUSDT", timeframe="5m", bars=51_840,
                digest=hashlib.sha256(source.encode()).hexdigest(), first_ms=START, last_ms=START + 180 * DAY - 300_000,
                simulated=self.simulated, has_taker_volume=True,
            ),
            brains=(BrainChoice(role="strategist", brain="anthropic", model="some-model-1"), BrainChoice(role="critic")),
            rules=Rules(version=1, rules=()),
            policies=POLICIES,
            versions=("python 3.11.9", "maestro 0.1.0", "numpy 2.4.0"),
        )  # fmt: skip

    def measured(self, scale: float = 1.0) -> Metrics:
        return UNDEFINED if self.undefined else metrics(self.rng, self.edge, scale)

    def segment(self, number: int) -> SegmentFinished:
        goal = GOALS[number - 1] if self.segments == 5 else "explore"
        tests = self.tests // self.segments
        values = dict(BASE)
        runs = {f"seg{number}": dict(values)}
        current = f"seg{number}"
        results: list[TestReport] = []
        for test in range(1, tests + 1):
            if test > 1 and (test - 1) % 25 == 0 and goal != "walk_forward":
                current = self.patch(number, test, tests, current, values, runs)
            own = dict(runs[current])
            if test % 2 == 0:
                own["macd_fast"] = int(np.clip(12 + self.rng.integers(-4, 5), 4, 20))
                own["hard_tp_usd"] = float(own["hard_tp_usd"]) + 50.0 * int(self.rng.integers(-2, 3))
            results.append(self.report(number, test, current, own))
            if number == 1 or test % 3 == 0:
                self.trial(results[-1], number, "run")
        if results:
            self.trial(results[0], number, "rejected" if number % 2 else "killed")
        return SegmentFinished(
            segment=number,
            goal=goal,
            tests=tests,
            variations=tuple(
                VariationReport(
                    run_id=run, segment=number, methods=("macd_trend",), params=as_params(given), tests=25,
                    phase="train", metrics=self.measured(5),
                )
                for run, given in runs.items()
            ),
            patches_applied=len(runs) - 1,
            patches_refused=1 if len(runs) > 1 else 0,
            train=self.measured(30),
            validation=self.measured(9),
            whole=self.measured(50),
            walk_forward_efficiency=0.31 if goal == "walk_forward" and not self.undefined else None,
            results=tuple(results),
        )  # fmt: skip

    def report(self, number: int, test: int, parent: str, values: dict[str, Value]) -> TestReport:
        return TestReport(
            test_id=f"seg{number}_test{test:03d}",
            parent_run=parent,
            window=int(self.rng.integers(0, 64)),
            methods=("macd_trend",),
            params=as_params(values),
            train=self.measured(),
            validation=self.measured(0.3),
            whole=self.measured(1.6),
        )

    def trial(self, test: TestReport, number: int, fate: str) -> None:
        self.say(
            TrialRecorded.model_validate(
                {
                    "run_id": test.test_id, "segment": number, "proposed_by": "implementer", "methods": test.methods,
                    "params": test.params, "fate": fate, "reason": self.prose[:300],
                }
            )
        )  # fmt: skip

    def patch(
        self,
        number: int,
        test: int,
        tests: int,
        current: str,
        values: dict[str, Value],
        runs: dict[str, dict[str, Value]],
    ) -> str:
        """Ask for a patch, apply it or refuse it, and measure it: kept, reverted or left unmeasured in turn."""
        kind = (number + test // 25) % 4
        parameter, step = (("atr_stop_mult", 0.3), ("hard_tp_usd", 200.0), ("timeout_bars", -12))[
            len(self.because) % 3
        ]
        old = values[parameter]
        new = round(float(old) + step, 3) if isinstance(old, float) else int(old + step)
        asked = self.say(
            PlanEvent(
                agent="strategist", turn=test, episode_id=f"seg{number}_test{test - 1:03d}_ep10", action="adjust",
                change=(Change(parameter=parameter, old=old, new=new),), reason=self.prose[:300], evidence=self.prose,
                rule="hit_low" if parameter == "atr_stop_mult" else None,
            )
        )  # fmt: skip
        reach = f"seg{number}_test{test:03d}-{tests:03d}"
        say = {"agent": "maestro", "turn": test, "applied_to": reach, "next_step": "go on"}
        step_of = {"patch": Patch(parameter=parameter, old_value=old, new_value=new, reason=self.prose[:300])}
        if kind == 3:
            refused = "timeout_bars: 0 is outside its bounds 12 .. 576 (bars)"
            self.say(
                PatchApplied.model_validate(
                    say | step_of | {"action": "apply", "status": "refused", "reason": refused}
                ),
                asked,
            )
            return current
        self.say(
            PatchApplied.model_validate(
                say | step_of | {"action": "apply", "status": "applied", "reason": self.prose[:300]}
            ),
            asked,
        )
        run = f"{current.split('-')[0]}-p{len(runs)}"
        runs[run] = runs[current] | {parameter: new}
        if kind == 2:
            values[parameter] = new
            return run
        helps = kind == 0
        change = MetricChange(
            metric="total_pnl",
            before=-42.5,
            after=61.25 if helps else -40.0,
            p_value=0.0431 if helps else 0.481,
            windows=25,
        )
        word = "kept" if helps else "reverted"
        self.say(
            PatchApplied.model_validate(
                say
                | step_of
                | {
                    "action": "measure" if helps else "revert",
                    "status": word,
                    "reason": "measured",
                    "metrics_after_patch": (change,),
                }
            ),
            asked,
        )
        if helps:
            values[parameter] = new
        return run if helps else current

    def page(self, number: int) -> OnePagePlan:
        self.say(
            ModelCalled(
                role="strategist", turn=number, brain="anthropic", model="some-model-1", request_key="k", input_tokens=5_210,
                output_tokens=840, cost_usd=Decimal("0.0412") if number == 2 else None, stop_reason="end", attempts=1, at=START,
            )
        )  # fmt: skip
        self.say(RoleFellBack(role="critic", turn=number, brain="openai", reason=self.prose, repairs=2))
        return OnePagePlan(
            agent="maestro",
            turn=number,
            after_segment=number,
            routines=("look every 10 episodes", self.prose[:300]),
            responsible=(Responsibility(metric="hit", role="critic"), Responsibility(metric="maxdd", role="maestro")),
            health_checks=(
                HealthCheck(name="tests", ok=True, detail="all ran"),
                HealthCheck(name="trades", ok=number < 4, detail="some tests have none"),
            ),
            focus=self.prose,
        )

    def figure(self, name: str, value: float | None, passes: bool | None, threshold: str, about: str) -> Figure:
        if self.undefined:
            value, passes = None, None
        return Figure(name=name, value=value, passes=passes, threshold=threshold, about=about)

    def verdict(self) -> Verdict:
        good = self.word == "SURVIVES"
        sentences = {
            "SURVIVES": "1 of 5 finalists kept its edge: seg3-p1 made 4,310 USD on the sealed data, more than luck explains.",
            "DOES NOT SURVIVE": "Nothing survived: the best of 143 configurations is no better than the best of as many coin tosses.",
            "NOT ENOUGH EVIDENCE": "Not enough evidence: 61 trades on the sealed data cannot tell skill from luck.",
        }
        assert self.word is not None
        about = "best finalist, deflated by the effective number of trials"
        return Verdict.model_validate(
            {
                "word": self.word,
                "sentence": sentences[self.word],
                "trials": 143,
                "effective_trials": None if self.undefined else 21.4,
                "finalists": tuple(self.finalist(n, good and n == 1) for n in range(1, 6)),
                "figures": (
                    self.figure("deflated Sharpe ratio", 0.9712 if good else 0.2231, good, ">= 0.95", about),
                    self.figure(
                        "PBO", 0.08 if good else 0.58, good, "<= 0.5", "the best of one half fails in the other"
                    ),
                    self.figure(
                        "null model p", 0.0049 if good else 0.174, good, "<= 0.05", "200 random traders, same exits"
                    ),
                    self.figure("sealed PnL, USD", 4310.2 if good else -1822.75, good, "> 0", "best finalist"),
                    self.figure(
                        "walk-forward efficiency", None, None, ">= 0.5", "undefined: training earned nothing"
                    ),
                ),
                "sample_needed": "About 14 months of data like this would be needed."
                if "ENOUGH" in self.word
                else "",
            }
        )

    def finalist(self, place: int, survives: bool) -> Finalist:
        values = BASE | {"atr_stop_mult": 1.2 + 0.3 * place, "hard_tp_usd": 100.0 + 100 * place}
        names = ("deflated Sharpe ratio", "null model p", "minimum track record, days")
        return Finalist(
            run_id=f"seg{place}-p1",
            methods=("macd_trend", "trend_breakout") if place == 2 else ("macd_trend",),
            params=as_params(values),
            open_part=self.measured(30),
            holdout=self.measured(8),
            figures=tuple(
                self.figure(name, value, passes, wanted, "")
                for name, value, passes, wanted in zip(
                    names, (0.2 + place / 9, 0.004 + place / 40, 310.0), (survives, survives, None), (">= 0.95", "<= 0.05", "")
                , strict=True)
            ),
            survives=None if self.undefined else survives,
        )  # fmt: skip

    def exhibits(self, verdict: Verdict) -> Exhibits:
        runs = [finalist.run_id for finalist in verdict.finalists]
        if self.undefined:
            return Exhibits(
                trial_sharpes=(), expected_maximum=None, pbo_logits=None,
                nulls=tuple(NullModel(run_id=run, observed=None, values=()) for run in runs), curves=(),
            )  # fmt: skip
        counts, edges = np.histogram(self.rng.normal(-0.25, 1.3, 12_870), bins=24, range=(-4.2, 4.2))
        return Exhibits(
            trial_sharpes=tuple(self.rng.normal(-0.4, 1.1, 143)),
            expected_maximum=2.05,
            pbo_logits=Histogram(edges=tuple(edges), counts=tuple(int(count) for count in counts)),
            nulls=tuple(
                NullModel(run_id=run, observed=1.9 - n * 0.5, values=tuple(self.rng.normal(-0.5, 1.1, 200)))
                for n, run in enumerate(runs)
            ),
            curves=tuple(
                Curve(
                    run_id=run, start_ms=START, period_ms=36_000_000, sealed_from=345,
                    pnl=tuple(self.rng.normal([14 - 3 * n] * 345 + [-9] * 87, 260)),
                )
                for n, run in enumerate(runs)
            ),
        )  # fmt: skip

    def finished(self, reports: Sequence[TestReport], verdict: Verdict | None) -> CampaignFinished:
        return CampaignFinished.model_validate(
            {
                "status": self.status,
                "tests": len(reports),
                "trades": sum(report.whole.n_trades for report in reports),
                "total_pnl": sum((report.whole.total_pnl for report in reports), Decimal(0)),
                "train": None,
                "validation": None,
                "whole": None,
                "verdict": verdict,
                "reason": "" if self.status == "finished" else "Ctrl-C",
            }
        )

    def rows(self, reports: Sequence[TestReport]) -> list[dict[str, object]]:
        ranked = sorted(reports, key=lambda r: -(r.validation.sharpe or 0))
        return [
            {name: None for name in LEADERBOARD}
            | {
                "rank": rank, "test_id": r.test_id, "methods": "+".join(r.methods), "window": r.window,
                "total_pnl": r.whole.total_pnl, "validation_pnl": r.validation.total_pnl, "n_trades": r.whole.n_trades,
                "hit": r.whole.hit, "payoff": r.whole.payoff, "train_sharpe": r.train.sharpe,
                "validation_sharpe": r.validation.sharpe, "score": r.whole.score, "params": "atr_stop_mult=1.8 macd_fast=9",
            }
            for rank, r in enumerate(ranked, start=1)
        ]  # fmt: skip


@pytest.fixture
def made_up(tmp_path: Path) -> Callable[..., Path]:
    """Writes a made-up campaign and gives its folder: ``made_up(tests=10, word=None)``."""

    def write(name: str = "btcusdt-5m-s7-0a1b2c", **what: object) -> Path:
        return MadeUp(**what).write(tmp_path / name)  # type: ignore[arg-type]

    return write

"""made_up_campaign owns the folder of a campaign that never ran: seeded, of any size, written as a real one is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import numpy as np
import yaml
from made_up_parts import BASE, DAY, NO_EXHIBITS, START, UNDEFINED, exhibits, metrics, nothing_known, verdict

from maestro.control.record.campaign_folder import CampaignFolder
from maestro.control.record.standings import LEADERBOARD
from maestro_protocol.config import DataRef, Patch
from maestro_protocol.envelope import Envelope
from maestro_protocol.ids import message_id, test_span
from maestro_protocol.messages import Message
from maestro_protocol.messages.campaign import (
    BrainChoice,
    CampaignConfig,
    CampaignFinished,
    HoldoutOpened,
    TrialRecorded,
    Verdict,
)
from maestro_protocol.messages.gate import GateDecided, GateRequest
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
from maestro_protocol.space import Value
from maestro_protocol.values import Change, as_params

SPECS = Path(__file__).parents[2] / "specs"
GOALS = ("explore", "explore", "new_methods", "walk_forward", "ensemble")
Values = dict[str, Value]
ENDS = ("kept", "reverted", "applied", "refused")
MOVES: tuple[tuple[tuple[str, float], ...], ...] = (
    (("atr_stop_mult", 0.3),),
    (("hard_tp_usd", 200.0),),
    (("gate_vhf", 1), ("vhf_min", 0.05)),
)


@dataclass
class MadeUp:
    """What is not asked for is as in a finished campaign of 500 tests on a simulated market of noise."""

    tests: int = 500
    segments: int = 5
    seed: int = 7
    simulated: bool = True
    status: str | None = "finished"
    """None: it was cut off, and no metrics_global.json was written."""
    word: str | None = "DOES NOT SURVIVE"
    edge: float = 0.0
    undefined: bool = False
    prose: str = "hit is below target on the last three episodes"
    """What models say wherever they speak."""
    journal: list[Message] = field(default_factory=list[Message])
    because: dict[int, str] = field(default_factory=dict[int, str])
    asked: int = 0
    """Patches asked for so far."""

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
                self.page(number)
        if self.status is None:
            begun = folder / f"segment_{done + 1}" / "test_001"
            begun.mkdir(parents=True)
            (begun / "run.yaml").write_text("run_id: seg3_test001\n")
            return folder
        ruled = self.rule(files) if self.word else None
        files.metrics(self.finished(reports, ruled))
        files.leaderboard(rows(reports))
        files.journal(e.model_dump_json() for e in self.envelopes(folder.name))
        return folder

    def say(self, body: Message, because: str | None = None) -> str:
        self.journal.append(body)
        if because:
            self.because[len(self.journal)] = because
        return message_id(len(self.journal))

    def envelopes(self, campaign: str) -> Sequence[Envelope]:
        return [
            Envelope(
                id=message_id(seq),
                seq=seq,
                time=START + seq,
                campaign=campaign,
                sender="control",
                topic="campaign",
                causation=self.because.get(seq),
                body=body,
            )
            for seq, body in enumerate(self.journal, start=1)
        ]

    def config(self, campaign: str) -> CampaignConfig:
        source = "simulated:mixed:seed=7" if self.simulated else "binance_usdm_BTCUSDT_5m_2025-01_2025-06.parquet"
        return CampaignConfig.model_validate(
            {
                "campaign": campaign,
                "seed": self.seed,
                "tests": self.tests,
                "segments": self.segments,
                "data": DataRef(
                    source=source,
                    symbol="BTCUSDT",
                    timeframe="5m",
                    bars=51_840,
                    digest=hashlib.sha256(source.encode()).hexdigest(),
                    first_ms=START,
                    last_ms=START + 180 * DAY - 300_000,
                    simulated=self.simulated,
                    has_taker_volume=True,
                ),
                "brains": (
                    BrainChoice(role="strategist", brain="anthropic", model="some-model-1"),
                    BrainChoice(role="critic"),
                ),
                "rules": yaml.safe_load((SPECS / "rules/adjustments.yaml").read_text()),
                "policies": yaml.safe_load((SPECS / "rules/policies.yaml").read_text()),
                "gates": yaml.safe_load((SPECS / "gates/policy.yaml").read_text()),
                "versions": ("python 3.11.9", "maestro 0.1.0", "numpy 2.4.0"),
            }
        )

    def measured(self, scale: float = 1.0) -> Metrics:
        return UNDEFINED if self.undefined else metrics(self.rng, self.edge, scale)

    def segment(self, number: int) -> SegmentFinished:
        goal = GOALS[number - 1] if self.segments == 5 else "explore"
        tests = self.tests // self.segments
        current, runs = f"seg{number}", {f"seg{number}": dict(BASE)}
        before: str | None = None
        results: list[TestReport] = []
        for test in range(1, tests + 1):
            if test > 1 and (test - 1) % 25 == 0 and goal != "walk_forward":
                current, before = before or current, None  # what did not help ran for one batch
                run, end = self.patch(number, test, tests, runs[current])
                if run is not None:
                    name = f"seg{number}-p{len(runs)}"
                    runs[name] = run
                    before = current if end == "reverted" else None
                    current = name
            own = self.strayed(runs[current]) if test % 2 == 0 else runs[current]
            results.append(self.report(number, test, current, own))
            if number == 1 or test % 3 == 0:
                self.trial(results[-1], number, "run")
        self.trial(results[0], number, "rejected" if number % 2 else "killed")
        return SegmentFinished(
            segment=number,
            goal=goal,
            tests=tests,
            variations=tuple(self.variation(number, run, values) for run, values in runs.items()),
            patches_applied=len(runs) - 1,
            patches_refused=1 if len(runs) > 1 else 0,
            train=self.measured(30),
            validation=self.measured(9),
            whole=self.measured(50),
            walk_forward_efficiency=0.31 if goal == "walk_forward" and not self.undefined else None,
            results=tuple(results),
        )

    def strayed(self, values: Values) -> Values:
        return values | {
            "macd_fast": int(np.clip(12 + self.rng.integers(-4, 5), 4, 20)),
            "hard_tp_usd": float(values["hard_tp_usd"]) + 50.0 * int(self.rng.integers(-2, 3)),
        }

    def variation(self, number: int, run: str, values: Values) -> VariationReport:
        return VariationReport(
            run_id=run,
            segment=number,
            methods=("macd_trend",),
            params=as_params(values),
            tests=25,
            phase="train",
            metrics=self.measured(5),
        )

    def report(self, number: int, test: int, parent: str, values: Values) -> TestReport:
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
        said = {"run_id": test.test_id, "segment": number, "proposed_by": "implementer", "reason": self.prose[:300]}
        self.say(TrialRecorded.model_validate(said | {"methods": test.methods, "params": test.params, "fate": fate}))

    def patch(self, number: int, test: int, tests: int, values: Values) -> tuple[Values | None, str]:
        """Ask for a patch, and let it end in the next of all ways; the values with it, or None where refused."""
        end = ENDS[self.asked % 4]
        changes = [
            Change(parameter=name, old=values[name], new=moved(values[name], by))
            for name, by in MOVES[self.asked % len(MOVES)]
        ]
        self.asked += 1
        because = self.ask(test, changes)
        said = {
            "agent": "maestro",
            "turn": test,
            "applied_to": test_span(number, test, tests),
            "next_step": "go on",
            "reason": self.prose[:300],
        }
        refused = {"status": "refused", "reason": "vhf_min: 1.2 is outside its bounds 0 .. 1 (ratio)"}
        self.apply(
            changes, because, said | {"action": "apply", "status": "applied"} | (refused if end == "refused" else {})
        )
        if end in ("kept", "reverted"):
            after, p_value = (61.25, 0.0431) if end == "kept" else (-48.0, 0.481)
            change = MetricChange(metric="expectancy", before=-42.5, after=after, p_value=p_value, windows=25)
            action = "measure" if end == "kept" else "revert"
            self.apply(changes, because, said | {"action": action, "status": end, "metrics_after_patch": (change,)})
        return (None if end == "refused" else values | {c.parameter: c.new for c in changes}), end

    def ask(self, turn: int, changes: Sequence[Change]) -> str:
        """The critic asks, the strategist agrees."""
        because: str | None = None
        for agent, reason in (("critic", self.prose[:300]), ("strategist", "agreed")):
            plan = {"agent": agent, "turn": turn, "episode_id": None, "action": "adjust", "change": tuple(changes)}
            rule = "hit_low" if changes[0].parameter == "atr_stop_mult" else None
            event = PlanEvent.model_validate(plan | {"reason": reason, "evidence": self.prose, "rule": rule})
            because = self.say(event, because)
        assert because is not None
        return because

    def apply(self, changes: Sequence[Change], because: str, said: dict[str, object]) -> None:
        for change in changes:
            assert change.old is not None
            step = Patch(parameter=change.parameter, old_value=change.old, new_value=change.new, reason="agreed")
            self.say(PatchApplied.model_validate(said | {"patch": step}), because)

    def page(self, number: int) -> None:
        self.say(called(number, Decimal("0.0412") if number == 2 else None))
        self.say(RoleFellBack(role="critic", turn=number, brain="openai", reason=self.prose, repairs=2))
        self.gate(number)
        self.say(
            OnePagePlan(
                agent="maestro",
                turn=number,
                after_segment=number,
                routines=("look every 10 episodes", self.prose[:300]),
                responsible=(
                    Responsibility(metric="hit", role="critic"),
                    Responsibility(metric="maxdd", role="maestro"),
                ),
                health_checks=(
                    HealthCheck(name="tests", ok=True, detail="all ran"),
                    HealthCheck(name="trades", ok=number < 4, detail="some tests have none"),
                ),
                focus=self.prose,
            )
        )

    def gate(self, number: int) -> None:
        self.say(
            GateRequest(
                gate_id=f"gate-{number}",
                action="raise the budget for models to 20 USD",
                summary=self.prose,
                risk="medium",
                bound_to="0" * 64,
                asked_at=START,
                expires_at=START + DAY,
            )
        )
        if number == 2:
            self.say(
                GateDecided(gate_id="gate-2", answer="approved", by=("owner",), at=START, reason=self.prose[:300])
            )

    def rule(self, files: CampaignFolder) -> Verdict:
        assert self.word is not None
        found = verdict(self.rng, self.word, self.edge)
        found = nothing_known(found) if self.undefined else found
        runs = tuple(finalist.run_id for finalist in found.finalists)
        self.say(HoldoutOpened(finalists=runs, opening=1, first_bar=41_000, bars=10_000))
        self.say(found)
        files.exhibits(NO_EXHIBITS if self.undefined else exhibits(self.rng, runs))
        return found

    def finished(self, reports: Sequence[TestReport], ruled: Verdict | None) -> CampaignFinished:
        return CampaignFinished.model_validate(
            {
                "status": self.status,
                "tests": len(reports),
                "trades": sum(report.whole.n_trades for report in reports),
                "total_pnl": sum((report.whole.total_pnl for report in reports), Decimal(0)),
                "train": None,
                "validation": None,
                "whole": None,
                "verdict": ruled,
                "reason": "" if self.status == "finished" else "stopped by hand",
            }
        )


def moved(value: Value, by: float) -> Value:
    return True if isinstance(value, bool) else round(value + by, 3)


def called(turn: int, cost: Decimal | None) -> ModelCalled:
    return ModelCalled(
        role="strategist",
        turn=turn,
        brain="anthropic",
        model="some-model-1",
        request_key="k",
        input_tokens=5_210,
        output_tokens=840,
        cost_usd=cost,
        stop_reason="end",
        attempts=1,
        at=START,
    )


def rows(reports: Sequence[TestReport]) -> list[dict[str, object]]:
    """What the leaderboard says of *reports*."""
    ranked = sorted(reports, key=lambda report: -(report.validation.sharpe or 0))
    return [
        dict.fromkeys(LEADERBOARD)
        | {
            "rank": rank,
            "test_id": report.test_id,
            "methods": "+".join(report.methods),
            "window": report.window,
            "total_pnl": report.whole.total_pnl,
            "validation_pnl": report.validation.total_pnl,
            "n_trades": report.whole.n_trades,
            "hit": report.whole.hit,
            "payoff": report.whole.payoff,
            "train_sharpe": report.train.sharpe,
            "validation_sharpe": report.validation.sharpe,
            "score": report.whole.score,
            "params": "atr_stop_mult=1.8 macd_fast=9 gate_vhf=True",
        }
        for rank, report in enumerate(ranked, start=1)
    ]

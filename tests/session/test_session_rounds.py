"""Agents on sessions: a report that they read, a config that they make, and a loop that no kill breaks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import rounds_support as support
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from rounds_support import bodies, chain, config, journal_of, left, lines, settings_in, trails

from maestro.clock import SystemClock
from maestro.control import patcher
from maestro.control.record.journal_hash import journal_hash
from maestro.control.record.lineage import explain
from maestro.control.rules import read_yaml
from maestro.settings import Settings
from maestro.store.gates import GateStore
from maestro.wiring import gates as waiting
from maestro.wiring import sessions, workspace
from maestro.wiring.campaigns import resume_campaign
from maestro.wiring.live import rounds
from maestro.wiring.live.rounds import Chain, ChainRequest
from maestro.wiring.live.runner import session_of
from maestro.wiring.replays import replay_campaign
from maestro.wiring.workspace import owner
from maestro_engine import methods
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.evidence.outcome import run_of
from maestro_engine.trading.risk.limits import RiskLimits
from maestro_protocol.errors import ParameterError, UsageError
from maestro_protocol.messages.campaign import CampaignConfig, CampaignFinished
from maestro_protocol.messages.events import BatchFinished, ScoreEvent, TradeEvent
from maestro_protocol.messages.gate import GateDecided, GateRequest, GateVote
from maestro_protocol.messages.plan import PatchApplied, PlanEvent
from maestro_protocol.messages.report import Briefing, SegmentFinished, TestReport
from maestro_protocol.values import Change

PROGRAM = Path(__file__).with_name("killed_rounds.py")
SCHEMAS = Path(__file__).parents[2] / "specs" / "schemas"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_in(tmp_path_factory.mktemp("rounds"))


@pytest.fixture(scope="module")
def done(settings: Settings) -> Chain:
    """Three sessions that nobody disturbed, with patches between them."""
    return chain(settings, 3)


def fits(name: str, line: dict[str, Any]) -> None:
    Draft202012Validator(json.loads((SCHEMAS / f"{name}.schema.json").read_text())).validate(line)


def test_a_chain_is_kept_like_a_campaign(done, settings):
    assert (done.sessions, done.finished, done.stopped, done.failed) == (3, True, None, False)
    journal = journal_of(done.folder)
    assert len(bodies(journal, BatchFinished)) == len(bodies(journal, SegmentFinished)) == 3
    assert len(bodies(journal, PlanEvent)) >= 3, "the critic looks at every session"
    finished = bodies(journal, CampaignFinished)[0]
    assert finished.verdict is None
    assert "not enough evidence" in finished.reason
    summary = (done.folder / "summary.md").read_text()
    assert finished.reason in summary
    assert "in paper sessions, after all costs" in summary
    assert set(trails(settings)) == {"seg1_test001", "seg2_test001", "seg3_test001"}


def test_what_agents_read_is_what_the_trail_says(done, settings):
    told = trails(settings)
    for number in (1, 2, 3):
        folder = done.folder / f"segment_{number}" / "test_001"
        trades, scores = lines(folder / "trades.jsonl"), lines(folder / "scores.jsonl")
        exits = [line for line in told[f"seg{number}_test001"] if line["event"] == "ExecutionExit"]
        assert [trade["pnl"] for trade in trades] == [pytest.approx(float(line["pnl"]), abs=1e-6) for line in exits]
        for line in trades:
            TradeEvent.model_validate(line)
            fits("TradeEvent", {"type": "TradeEvent"} | line)
            assert line["reason"] == "ema_crossover"
            assert None not in line["gates"].values()
        for line in scores:
            ScoreEvent.model_validate(line)
            fits("ScoreEvent", {"type": "ScoreEvent"} | line)
        assert sum(line["n_trades"] for line in scores) == len(trades)
        assert sum(line["total_pnl"] for line in scores) == pytest.approx(sum(line["pnl"] for line in trades))
        results = json.loads((folder.parent / "segment_results.json").read_text())
        report = TestReport.model_validate(results["results"][0])
        assert report.whole.n_trades == len(trades)
        assert report.validation.n_trades == 0, "a session has no part that was kept apart"


def test_a_chain_is_not_taken_for_a_campaign_over_bars(done, settings):
    for again in (
        resume_campaign(done.name, settings, lambda progress: None, 1),
        replay_campaign(done.folder, settings, lambda progress: None, 1),
    ):
        with pytest.raises(UsageError, match="is a chain of sessions"):
            asyncio.run(again)


def test_a_sessions_own_folder_holds_the_same_report(done, settings):
    runs = {run.config().run.run_id: run.folder for run in sessions.all_runs(settings)}
    for name, folder in runs.items():
        kept = done.folder / f"segment_{name[3]}" / "test_001"
        for file in ("trades.jsonl", "scores.jsonl"):
            assert (folder / file).read_bytes() == (kept / file).read_bytes()
        assert TestReport.model_validate_json((folder / "report.json").read_bytes()).test_id == name


def test_each_session_follows_the_last_in_time_and_has_a_market_of_its_own(done, settings):
    told = trails(settings)
    candles = [
        [line for line in told[f"seg{number}_test001"] if line["event"] == "CandleClosed"] for number in (1, 2, 3)
    ]
    for before, after in pairwise(candles):
        assert before[-1]["open_ms"] < after[0]["open_ms"]
        assert [c["volume"] for c in before] != [c["volume"] for c in after]


def test_patches_become_the_next_session_with_their_lineage(done, settings):
    journal = journal_of(done.folder)
    applied = [patch for patch in bodies(journal, PatchApplied) if patch.status == "applied"]
    assert applied
    for patch in applied:
        session = next(
            run.config() for run in sessions.all_runs(settings) if run.config().run.run_id == patch.applied_to
        )
        name = patch.patch.parameter
        assert session.values()[name] == patch.patch.new_value
        chain_of = explain(done.folder, journal, patch.applied_to, name)
        assert chain_of.links[0].new == patch.patch.new_value
        assert {said.sender for said in chain_of.links[0].said} == {"critic", "strategist"}


def test_nothing_but_method_values_and_the_seed_changes_from_session_to_session(done, settings):
    given = config().model_dump(exclude={"params", "seed", "run"})
    for run in sessions.all_runs(settings):
        assert run.config().model_dump(exclude={"params", "seed", "run"}) == given


def test_the_same_request_again_begins_a_chain_of_its_own_once_the_first_is_finished(done, tmp_path):
    there = settings_in(tmp_path)
    one = chain(there, 1, config(minutes=2))
    two = chain(there, 1, config(minutes=2))
    assert (one.name, two.name) == (one.name, f"{one.name}-r2")
    assert two.sessions == 1


def test_targets_and_rules_in_usd_are_for_the_size_of_its_positions(tmp_path):
    there = settings_in(tmp_path)
    ended = chain(there, 1, config(minutes=2))
    kept = read_yaml(ended.folder / "campaign.yaml", CampaignConfig)
    share = 0.05 * 60_000 / 100_000
    assert {target.metric: target.value for target in kept.targets}["maxdd"] == pytest.approx(
        -2_000 * share, rel=0.05
    )
    lines_of = {rule.name: rule.when.line for rule in kept.rules.rules}
    assert lines_of["maxdd_high"] == pytest.approx(-2_000 * share, rel=0.05)
    assert lines_of["payoff_low"] == 1.1
    [run] = sessions.all_runs(there)
    for name in ("trades.jsonl", "scores.jsonl"):
        assert (run.folder / name).read_bytes() == (ended.folder / "segment_1" / "test_001" / name).read_bytes()


def test_rounds_over_a_recording_play_one_part_after_another(market_data, tmp_path):
    there = settings_in(tmp_path)
    capture = market_data / "ticks" / "binance_usdm_btcusdt_2024-08-08.ws.gz"
    base = config(minutes=2, source="replay", outage_s=600)
    where = sessions.Where(recording=capture, speed=0)
    ended = asyncio.run(rounds.run_rounds(base, where, 2, ChainRequest(policy="streak"), there))
    assert (ended.sessions, ended.finished) == (2, True)
    told = trails(there)
    first, second = (
        [line["open_ms"] for line in told[name] if line["event"] == "CandleClosed"]
        for name in ("seg1_test001", "seg2_test001")
    )
    assert first
    assert second
    assert first[-1] < second[0] <= first[0] + 2 * 120_000
    report = TestReport.model_validate_json((sessions.all_runs(there)[0].folder / "report.json").read_bytes())
    assert report.whole.n_trades == sum(line["event"] == "ExecutionExit" for line in told["seg1_test001"])


def killed(folder: Path, *points: str) -> int:
    """How many lives of a chain in *folder* were killed, one at each of *points*; a last one goes to the end."""
    command = [sys.executable, str(PROGRAM), str(folder), *points]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-2_000:]
    statuses = [int(line) for line in ended.stdout.splitlines()]
    assert len(statuses) == len(points) + 1
    assert statuses[-1] == 0, ended.stderr[-2_000:]
    assert set(statuses) <= {0, -signal.SIGKILL}, ended.stderr[-2_000:]
    return statuses.count(-signal.SIGKILL)


@pytest.mark.timeout(400)
def test_killed_between_sessions_it_ends_as_if_nothing_had_been(done, tmp_path):
    assert killed(tmp_path, "commit:1", "committed:1", "commit:2", "committed:3", "commit:3", "committed:2") >= 5
    again = settings_in(tmp_path)
    assert set(trails(again)) == {"seg1_test001", "seg2_test001", "seg3_test001"}, "none lost, none doubled"
    mine, theirs = left(tmp_path / "runs" / done.name), left(done.folder)
    assert sorted(mine) == sorted(theirs)
    assert [name for name in mine if mine[name] != theirs[name] and not name.startswith("summary")] == []
    assert journal_hash(journal_of(tmp_path / "runs" / done.name)) == journal_hash(journal_of(done.folder))


@pytest.mark.timeout(400)
def test_killed_inside_a_session_it_goes_on_from_where_it_stood(done, tmp_path):
    assert killed(tmp_path, "ExecutionFill:2", "ExecutionExit:2", "SYSTEM_SHUTDOWN:1") == 3
    there = settings_in(tmp_path)
    told, folder = trails(there), tmp_path / "runs" / done.name
    assert set(told) == {"seg1_test001", "seg2_test001", "seg3_test001"}
    assert (
        sum(line["event"] == "SYSTEM_STARTUP" and line["resumed"] for trail in told.values() for line in trail) == 3
    )
    assert journal_hash(journal_of(folder)) == journal_hash(journal_of(done.folder))
    for name, trail in told.items():
        assert [line["seq"] for line in trail] == list(range(1, len(trail) + 1))
        exits = [line for line in trail if line["event"] == "ExecutionExit"]
        assert len(lines(folder / f"segment_{name[3]}" / "test_001" / "trades.jsonl")) == len(exits)
    assert len(bodies(journal_of(folder), SegmentFinished)) == 3


def test_a_signal_ends_the_session_in_order_and_the_same_command_goes_on(tmp_path, monkeypatch):
    there, begun = settings_in(tmp_path), threading.Event()
    real = sessions.run_session

    async def watched(asked, where, settings, told=None, beside=None):
        def tell(line: bytes) -> None:
            if json.loads(line)["event"] == "CandleClosed" and not begun.is_set():
                begun.set()
                os.kill(os.getpid(), signal.SIGINT)

        return await real(asked, where, settings, tell, beside)

    monkeypatch.setattr(sessions, "run_session", watched)
    stopped = chain(there, 2, config(minutes=200))
    assert (stopped.sessions, stopped.finished, stopped.failed) == (1, False, False)
    assert stopped.stopped == "signal:SIGINT"
    report = TestReport.model_validate_json((sessions.all_runs(there)[0].folder / "report.json").read_bytes())
    assert report.test_id == "seg1_test001"
    assert stopped.next_file is None, "nobody was asked what comes next"
    assert not bodies(journal_of(stopped.folder), Briefing)
    monkeypatch.setattr(sessions, "run_session", real)
    on = chain(there, 2, config(minutes=200))
    assert (on.sessions, on.finished, len(trails(there))) == (2, True, 2)
    assert bodies(journal_of(on.folder), Briefing)


def test_after_the_last_session_nobody_plans(done):
    """Whoever is asked is paid, and may wait at a gate: for a session that will never be, nobody is."""
    asked = bodies(journal_of(done.folder), Briefing)
    assert {briefing.segment for briefing in asked} == {1, 2}


# people, and what agents cannot touch


@pytest.mark.parametrize(
    ("approve", "answer", "status"), [(True, "approved", "applied"), (False, "rejected", "refused")]
)
def test_a_patch_of_high_risk_waits_for_a_person_and_a_no_leaves_the_config(
    tmp_path, monkeypatch, approve, answer, status
):
    there = settings_in(tmp_path)
    support.ask_about_everything(there)
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.01)
    base = config(minutes=60, seed=support.LOSING)
    ended = asyncio.run(attended(there, base, lambda asked: vote_of(asked, approve)))
    journal = journal_of(ended.folder)
    decided = bodies(journal, GateDecided)
    assert decided[0].answer == answer
    assert bodies(journal, PatchApplied)[0].status == status
    first, second = (run.config() for run in sessions.all_runs(there))
    assert (first.values() != second.values()) is approve


def vote_of(asked: GateRequest, approve: bool) -> GateVote:
    return GateVote(gate_id=asked.gate_id, bound_to=asked.bound_to, approve=approve, who=owner(), where="test", at=1)


async def attended(there: Settings, base: SessionConfig, attend: Callable[[GateRequest], GateVote | None]) -> Chain:
    """A chain of two sessions with somebody at its gates, who votes or does something else."""
    store = await workspace.open_workspace_store(there)
    people = GateStore(store, SystemClock(), owner())

    async def look() -> None:
        while True:
            for state in await people.pending():
                vote = attend(state.request)
                if vote is not None:
                    await people.vote(vote)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(look())
    try:
        return await rounds.run_rounds(base, sessions.Where(speed=0), 2, ChainRequest(policy="streak"), there)
    finally:
        task.cancel()
        await store.close()


@pytest.mark.slow
def test_a_chain_at_a_gate_hears_signals_and_a_stop_and_goes_on_as_if_undisturbed(tmp_path, monkeypatch):
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.01)
    base = config(minutes=60, seed=support.LOSING)
    undisturbed, there = settings_in(tmp_path / "one"), settings_in(tmp_path / "two")
    for each in (undisturbed, there):
        support.ask_about_everything(each)
    whole = asyncio.run(attended(undisturbed, base, lambda asked: vote_of(asked, True)))
    ways = {
        "signal:SIGINT": lambda: os.kill(os.getpid(), signal.SIGINT),
        "signal:SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
        "stop": lambda: sessions.ask_to_end(there, "stop"),
    }
    waits: list[Callable[[], object]] = []
    monkeypatch.setattr(waiting, "tell_on_stderr", lambda text: waits and "waiting at gate" in text and waits.pop()())
    for reason, stop in ways.items():
        waits.append(stop)
        left_it = asyncio.run(attended(there, base, lambda asked: None))
        assert (left_it.stopped, left_it.finished, left_it.next_file) == (reason, False, None)
        assert left_it.sessions == 1
    with pytest.raises(UsageError, match="no session is running"):
        sessions.ask_to_end(there, "stop")
    ended = asyncio.run(attended(there, base, lambda asked: vote_of(asked, True)))
    assert ended.finished
    assert len(trails(there)) == 2
    assert journal_hash(journal_of(ended.folder)) == journal_hash(journal_of(whole.folder))


NAMES = st.sampled_from([*(spec.name for spec in methods.space_for(("ema_crossover",)).specs), *RiskLimits.__slots__,
                         "quantity", "leverage", "cash", "env", "limits", "duration_s"])  # fmt: skip
VALUES = st.one_of(st.booleans(), st.integers(-10, 10**9), st.floats(-1e9, 1e9, allow_nan=False))


@given(st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=4, unique_by=lambda pair: pair[0]))
def test_whatever_agents_ask_for_no_limit_size_or_account_moves(changes):
    base = config(limits={"max_daily_loss_usd": Decimal(20)})
    root = run_of(base, "c", 0)
    space = methods.space_for(("ema_crossover",))
    asked = [Change(parameter=name, new=value) for name, value in changes]
    try:
        patched = patcher.apply_changes(root, asked, space, "seg2", "m000001", "because")
        following = session_of(base, patched)
    except ParameterError:
        return
    assert following.risk() == base.risk()
    outside = {"params", "run", "seed", "methods"}
    assert following.model_dump(exclude=outside) == base.model_dump(exclude=outside)
    for name, value in following.values().items():
        assert space[name].check(value) == value

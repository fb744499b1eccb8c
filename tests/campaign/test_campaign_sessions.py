"""A campaign whose tests are sessions: limits, margin and breakers in every test, all else as in any campaign."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from campaign_support import (
    bodies,
    conducted,
    contents,
    differing,
    journal_of,
    on_sessions,
    settings_in,
    small_config,
    small_file,
)

from maestro.control.record.lineage import explain
from maestro.settings import Settings
from maestro.wiring.campaigns import CampaignRun
from maestro.wiring.replays import replay_campaign
from maestro_protocol.messages.campaign import CampaignFinished, Verdict
from maestro_protocol.messages.events import ScoreEvent, TradeEvent
from maestro_protocol.messages.plan import PatchApplied

SMALL_LOSS = 50.0
"""USD: the most a trade may plan to lose, by the hard limit; slippage comes on top."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_in(tmp_path_factory.mktemp("sessions"))


@pytest.fixture(scope="module")
def run(small_data: Path, settings: Settings) -> CampaignRun:
    return conducted(on_sessions(small_config(small_data, settings)), settings)


def folders_of(run: CampaignRun) -> list[Path]:
    return sorted(path.parent for path in run.folder.glob("segment_*/test_*/run.yaml"))


def trail_of(run: CampaignRun, test: Path) -> list[dict[str, Any]]:
    name = f"seg{test.parent.name.removeprefix('segment_')}_test{test.name.removeprefix('test_')}"
    return [json.loads(line) for line in (run.folder / "sessions" / name / "events.jsonl").read_bytes().splitlines()]


def test_every_test_is_a_session_whose_trail_is_kept(run):
    assert run.finished.trades > 50
    for test in folders_of(run):
        assert yaml.safe_load((test / "run.yaml").read_text())["engine"] == "session"
        trades = [TradeEvent.model_validate_json(line) for line in (test / "trades.jsonl").read_bytes().splitlines()]
        trail = trail_of(run, test)
        exits = [line for line in trail if line["event"] == "ExecutionExit"]
        assert len(trades) == len(exits)
        for trade, line in zip(trades, exits, strict=True):
            assert float(trade.pnl) == pytest.approx(float(line["pnl"]), abs=1e-4)
            assert trade.exit_reason == line["reason"]
            assert trade.exit == pytest.approx(float(line["price"]), abs=2e-8)
        assert not any(trade.reason == "forced" for trade in trades), "the methods that spoke are named"


def test_its_scores_are_those_of_its_trades(run):
    for test in folders_of(run):
        scores = [ScoreEvent.model_validate_json(line) for line in (test / "scores.jsonl").read_bytes().splitlines()]
        trades = [TradeEvent.model_validate_json(line) for line in (test / "trades.jsonl").read_bytes().splitlines()]
        assert sum(score.n_trades for score in scores) == len(trades)
        assert sum(score.total_pnl for score in scores) == sum(trade.pnl for trade in trades)


def test_limits_and_breakers_take_their_part(run):
    lines = [line for test in folders_of(run) for line in trail_of(run, test)]
    refused = {line["reason"] for line in lines if line["event"] == "OrderRejected"}
    assert refused & {"daily_loss", "losing_streak", "max_loss_per_trade_usd"}
    for test in folders_of(run):
        trades = [TradeEvent.model_validate_json(line) for line in (test / "trades.jsonl").read_bytes().splitlines()]
        days: dict[int, float] = {}
        for trade in trades:
            days[trade.ts // 86_400_000] = days.get(trade.ts // 86_400_000, 0.0) + float(trade.pnl)
        assert all(pnl > -2 * SMALL_LOSS for pnl in days.values())


def test_agents_patch_sessions_and_the_verdict_is_of_sessions(run, tmp_path):
    assert any(patch.status == "applied" for patch in bodies(journal_of(run.folder), PatchApplied))
    settings = settings_in(tmp_path)
    trending = conducted(on_sessions(small_config(small_file(tmp_path, "trending"), settings)), settings)
    verdict = bodies(journal_of(trending.folder), Verdict)[0]
    assert verdict.finalists
    curve = json.loads((trending.folder / "exhibits.json").read_text())["curves"][0]
    for finalist in verdict.finalists:
        assert float(finalist.open_part.maxdd) > -2_000, "of an account of 10,000 that may lose 50 a day"
    assert curve["pnl"]


def test_lineage_reaches_back_to_the_root(run):
    journal = journal_of(run.folder)
    patched = next(p for p in bodies(journal, PatchApplied) if p.status == "applied")
    names = sorted(path.stem for path in run.folder.glob("segment_*/lineage/*-p1.yaml"))
    chains = [explain(run.folder, journal, name, patched.patch.parameter) for name in names]
    assert any(link.new == patched.patch.new_value and link.said for chain in chains for link in chain.links)


def test_told_again_it_is_the_same_word_for_word(run, settings):
    found = asyncio.run(replay_campaign(run.folder, settings, lambda progress: None, 1))
    assert found.same, found.difference


def test_the_answer_does_not_depend_on_the_number_of_threads(run, small_data, tmp_path):
    there = settings_in(tmp_path)
    again = conducted(on_sessions(small_config(small_data, there)), there, jobs=2)
    assert differing(contents(run.folder), contents(again.folder)) == []


def test_an_account_that_cannot_carry_the_size_trades_nothing_and_its_owner_is_told(small_data, tmp_path, capsys):
    there = settings_in(tmp_path)
    config = on_sessions(small_config(small_data, there, tests=8, segments=1), notional="100000")
    run = conducted(config, there)
    finished = bodies(journal_of(run.folder), CampaignFinished)[0]
    assert finished.trades == 0
    assert finished.verdict is not None
    assert finished.verdict.word != "SURVIVES"
    assert finished.verdict.finalists == ()
    assert "the sealed data stayed closed" in (run.folder / "summary.md").read_text(encoding="utf-8")
    assert re.search(r"limits and margin refused [1-9][\d,]* entries \(margin [\d,]+", capsys.readouterr().err)

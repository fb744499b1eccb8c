"""A campaign with models on the line, both vendors mixed: to its end, told again without them, its keys nowhere."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from campaign_support import (
    CAMPAIGN,
    bodies,
    conducted,
    contents,
    differing,
    journal_of,
    resumed,
    retold,
    settings_in,
    small_config,
)
from gate_support import attended, gone_on_with, no, yes
from vendor_server import Received, Told, VendorServer

from maestro.settings import Settings
from maestro.wiring import gates as waiting
from maestro.wiring.campaigns import CampaignRun
from maestro_agents.brains import retry
from maestro_protocol.errors import BudgetExceeded, GateRefused
from maestro_protocol.messages.campaign import BrainChoice, BudgetPlan, CampaignConfig
from maestro_protocol.messages.gate import GateDecided, GateRequest
from maestro_protocol.messages.plan import ModelCalled, RoleFellBack

KEY_A, KEY_O = "canary-sk-ant-7f3a9b2c", "canary-sk-proj-0d1e4f5a"
MIXED = {"maestro": "openai", "strategist": "anthropic", "critic": "openai", "implementer": "anthropic"}
MODELS = {"openai": "gpt-6-sol", "anthropic": "claude-sonnet-5-5"}
BRAINS = tuple(BrainChoice.model_validate({"role": r, "brain": b, "model": MODELS[b]}) for r, b in MIXED.items())


@pytest.fixture(autouse=True)
def quick_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.01)


def vendors(folder: Path, server: VendorServer) -> Settings:
    return settings_in(
        folder,
        anthropic_api_key=KEY_A,
        openai_api_key=KEY_O,
        anthropic_base_url=server.anthropic_url,
        openai_base_url=server.openai_url,
    )


def modelled(data: Path, settings: Settings, **more: Any) -> CampaignConfig:
    return small_config(data, settings, **({"brains": BRAINS} | more))


@pytest.fixture(scope="module")
def asked(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[CampaignRun, list[Received]]:
    """A campaign whose four roles all asked their models; the server is gone by the time a test looks at it."""
    with VendorServer() as server:
        settings = vendors(tmp_path_factory.mktemp("asked"), server)
        run = conducted(modelled(small_data, settings), settings)
        requests = list(server.requests)
    return run, requests


def test_models_take_a_campaign_to_its_end_and_are_answered_for(asked: tuple[CampaignRun, list[Received]]) -> None:
    run, requests = asked
    journal = journal_of(run.folder)
    calls = bodies(journal, ModelCalled)
    assert len(calls) == len(requests) > 12
    assert {(call.role, call.brain) for call in calls} == set(MIXED.items())
    assert not bodies(journal, RoleFellBack)
    assert all(call.cost_usd is not None and call.cost_usd > 0 for call in calls)
    assert len({call.request_key for call in calls}) == len(calls)
    recorded = (run.folder / "recordings.jsonl").read_bytes().splitlines()
    assert Counter(json.loads(line)["state"] for line in recorded) == {"answered": len(calls)}
    assert run.finished.verdict is not None


def test_the_models_gave_the_answers_that_the_rules_would_so_the_trades_are_theirs(
    asked: tuple[CampaignRun, list[Received]], undisturbed: CampaignRun
) -> None:
    """Of the first segment: from the second on, rules go by every window's result, and models are told estimates."""
    names = differing(contents(asked[0].folder), contents(undisturbed.folder))
    first = [name for name in contents(undisturbed.folder) if name.startswith("segment_1/")]
    assert [name for name in first if name.endswith(("trades.jsonl", "scores.jsonl"))]
    assert not [name for name in first if name in names and name.endswith(("trades.jsonl", "scores.jsonl"))]


def test_keys_are_nowhere_but_on_the_wire(asked: tuple[CampaignRun, list[Received]]) -> None:
    run, requests = asked
    on_the_wire = {request.headers["authorization"].removeprefix("Bearer ") for request in requests}
    assert on_the_wire == {KEY_A, KEY_O}
    files = [path for path in run.folder.parent.rglob("*") if path.is_file()]
    assert any(path.name == "maestro.db" for path in files)
    for path in files:
        raw = path.read_bytes()
        assert b"canary" not in raw, path
        assert b"127.0.0.1" not in raw, f"{path}: a machine's address means nothing elsewhere"


def test_a_replay_elsewhere_without_keys_or_server_tells_it_word_for_word(
    asked: tuple[CampaignRun, list[Received]], tmp_path: Path, small_data: Path
) -> None:
    carried = tmp_path / "carried"
    shutil.copytree(asked[0].folder, carried)
    data = shutil.copy(small_data, tmp_path / "renamed-BTCUSDT.parquet")
    before = contents(carried)
    found = retold(carried, settings_in(tmp_path), Path(data))
    assert found.difference is None
    assert found.same
    assert found.files == ()
    assert len(found.recorded) == 64
    assert differing(before, contents(carried)) == [], "a replay only reads"
    assert not settings_in(tmp_path).runs.exists()


def test_a_replay_of_altered_recordings_names_the_first_difference(
    asked: tuple[CampaignRun, list[Received]], tmp_path: Path, small_data: Path
) -> None:
    shutil.copytree(asked[0].folder, tmp_path / "altered")
    path = tmp_path / "altered" / "recordings.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    place = next(n for n, row in enumerate(rows) if row["role"] == "strategist")
    rows[place]["reply"] = rows[place]["reply"].replace("rationale", "rationales")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = retold(tmp_path / "altered", settings_in(tmp_path), small_data)
    assert not found.same
    assert found.difference is not None
    assert "m0000" in found.difference
    assert len(found.difference) < 500


def test_a_missing_recording_shows_what_was_asked_instead(
    asked: tuple[CampaignRun, list[Received]], tmp_path: Path, small_data: Path
) -> None:
    shutil.copytree(asked[0].folder, tmp_path / "thinned")
    path = tmp_path / "thinned" / "recordings.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3] + lines[4:]))
    found = retold(tmp_path / "thinned", settings_in(tmp_path), small_data)
    assert found.difference is not None
    assert "RoleFellBack" in found.difference


def _plan(**limits: Any) -> BudgetPlan:
    none = dict.fromkeys(("usd", "tokens", "requests", "seconds"))
    return BudgetPlan.model_validate(none | limits)


async def test_a_used_up_budget_waits_for_its_owner_is_doubled_and_goes_on(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer, asked: tuple[CampaignRun, list[Received]]
) -> None:
    settings = vendors(tmp_path, vendor_server)
    run, seen = await attended(modelled(small_data, settings, budget=_plan(requests=6)), settings, yes)
    journal = journal_of(run.folder)
    assert seen == [f"{CAMPAIGN}.budget1", f"{CAMPAIGN}.budget2"]  # 6, 12, 24
    assert {one.answer for one in bodies(journal, GateDecided)} == {"approved"}
    assert len(vendor_server.requests) == len(asked[1]), "asking for more cost a call"
    stops = bodies(journal, RoleFellBack)
    assert [stop.brain for stop in stops] == ["budget", "budget"]
    names = differing(contents(asked[0].folder), contents(run.folder))
    assert not [name for name in names if name.endswith(("trades.jsonl", "scores.jsonl"))]
    again = await asyncio.to_thread(retold, run.folder, settings_in(tmp_path), small_data)
    assert again.difference is None


async def test_a_budget_that_is_not_raised_stops_the_campaign_which_can_ask_again(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer
) -> None:
    settings = vendors(tmp_path, vendor_server)
    config = modelled(small_data, settings, budget=_plan(requests=9))
    with pytest.raises(GateRefused, match="resume it to be asked again"):
        await attended(config, settings, no)
    asked = len(vendor_server.requests)
    with pytest.raises(GateRefused):
        await gone_on_with(CAMPAIGN, settings, no)
    assert len(vendor_server.requests) == asked == 9
    run, seen = await gone_on_with(CAMPAIGN, settings, yes)
    assert seen[0] == f"{CAMPAIGN}.budget3"
    journal = journal_of(run.folder)
    assert [one.answer for one in bodies(journal, GateDecided)][:3] == ["rejected", "rejected", "approved"]
    before = contents(run.folder)
    await asyncio.to_thread(resumed, CAMPAIGN, settings)
    assert differing(before, contents(run.folder)) == []
    again = await asyncio.to_thread(retold, run.folder, settings_in(tmp_path), small_data)
    assert again.difference is None


async def test_a_budget_of_nothing_stops_at_once_and_asks_nobody(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer
) -> None:
    settings = vendors(tmp_path, vendor_server)
    with pytest.raises(BudgetExceeded, match="a budget of 0"):
        await attended(modelled(small_data, settings, budget=_plan(requests=0)), settings, yes)
    assert vendor_server.requests == []


async def test_a_campaign_left_at_its_budget_gate_goes_on_from_there(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer
) -> None:
    settings = vendors(tmp_path, vendor_server)

    async def leave(_gates: Any, _request: GateRequest) -> None:
        task.cancel()

    config = modelled(small_data, settings, budget=_plan(requests=6))
    task = asyncio.create_task(attended(config, settings, leave))
    with pytest.raises(asyncio.CancelledError):
        await task
    run, seen = await gone_on_with(CAMPAIGN, settings, yes)
    assert seen == [f"{CAMPAIGN}.budget1", f"{CAMPAIGN}.budget2"]
    keys = [call.request_key for call in bodies(journal_of(run.folder), ModelCalled)]
    assert len(vendor_server.requests) == len(set(keys))


async def test_rules_go_on_offline_where_the_owner_chose_so(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer
) -> None:
    settings = vendors(tmp_path, vendor_server)
    config = modelled(small_data, settings, budget=_plan(requests=5, when_exhausted="offline"))
    run, seen = await attended(config, settings, yes)
    assert seen == []
    assert len(vendor_server.requests) == 5
    journal = journal_of(run.folder)
    fell = bodies(journal, RoleFellBack)
    assert fell
    assert all("requests are left" in one.reason for one in fell)
    assert run.finished.tests == 24
    again = await asyncio.to_thread(retold, run.folder, settings_in(tmp_path), small_data)
    assert again.difference is None


def test_no_limit_in_usd_is_ever_passed(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer, asked: tuple[CampaignRun, list[Received]]
) -> None:
    """A limit that would be passed if a request took all it may, is not risked; requests that fit go on."""
    nothing = vendors(tmp_path / "nothing", vendor_server)
    refused = conducted(modelled(small_data, nothing, budget=_plan(usd=0, when_exhausted="offline")), nothing)
    told = [one.reason for one in bodies(journal_of(refused.folder), RoleFellBack)]
    worst = max(Decimal(found[1]) for found in map(re.compile(r"may take ([\d.]+)").search, told) if found)
    assert vendor_server.requests == []
    cost = sum((call.cost_usd for call in bodies(journal_of(asked[0].folder), ModelCalled)), Decimal(0))
    limit = worst + cost / 4
    settings = vendors(tmp_path / "some", vendor_server)
    run = conducted(modelled(small_data, settings, budget=_plan(usd=limit, when_exhausted="offline")), settings)
    spent = sum((call.cost_usd for call in bodies(journal_of(run.folder), ModelCalled)), Decimal(0))
    assert Decimal(0) < spent <= limit
    assert any("USD are left" in one.reason for one in bodies(journal_of(run.folder), RoleFellBack))
    before = len(vendor_server.requests)
    resumed(CAMPAIGN, settings)
    assert len(vendor_server.requests) == before


def test_a_model_that_always_fails_is_asked_again_and_then_done_without(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.001)

    def script(number: int, request: Received) -> Told | None:
        return Told(status=503, text="no such luck") if "critic" in request.system[:40] else None

    with VendorServer(script) as server:
        settings = vendors(tmp_path, server)
        run = conducted(modelled(small_data, settings), settings)
    fell = bodies(journal_of(run.folder), RoleFellBack)
    assert fell
    assert {one.role for one in fell} == {"critic"}
    assert run.finished.tests == 24
    assert retold(run.folder, settings_in(tmp_path), small_data).difference is None

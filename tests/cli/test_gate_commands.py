"""A person answers a waiting campaign from another terminal: list, show, approve, reject; nothing counts twice."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from campaign_support import begin, bodies, journal_of, resumed, settings_in, small_config
from gate_support import people

from maestro.wiring import gates as waiting
from maestro.wiring.campaigns import resume_campaign
from maestro.wiring.workspace import owner
from maestro_protocol.messages.gate import GateDecided
from maestro_protocol.messages.rules import GatePolicy, PatchRisk, RiskClass, RiskClasses


def _left_at_its_gate(folder: Path, data: Path) -> None:
    """A campaign that asks for every patch, left while it waits for its first answer."""
    free, asks = RiskClass(needs=0, timeout_minutes=1), RiskClass(needs=1, timeout_minutes=60)
    policy = GatePolicy(
        version=1,
        classes=RiskClasses(low=free, medium=free, high=asks),
        patches=(PatchRisk(parameters=("gate_vhf", "gate_atrz", "atr_z_min", "hard_tp_usd"), over=0, risk="high"),),
        budget="high",
        holdout_again="high",
    )
    settings = settings_in(folder)

    async def leave() -> None:
        await begin(small_config(data, settings, gates=policy), settings)
        running = asyncio.create_task(resume_campaign("made-up", settings, lambda progress: None, 1))
        async with people(settings) as gates:
            while not await gates.pending():
                assert not running.done()
                await asyncio.sleep(0.01)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    asyncio.run(leave())


@pytest.mark.parametrize("answer", ["approve", "reject"])
def test_a_waiting_campaign_is_answered_from_another_terminal(
    answer: str, maestro: Any, tmp_path: Path, bars_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.01)
    _left_at_its_gate(tmp_path, bars_file)
    (row,) = json.loads(maestro("gate", "list", "--json").out)
    assert row["risk"] == "high"
    assert row["gate"] in maestro("gate", "list").out
    shown = json.loads(maestro("gate", "show", row["gate"], "--json").out)
    assert shown["state"] == "pending"
    assert len(shown["bound_to"]) == 64
    forged = maestro("gate", answer, row["gate"], "--bound-to", "0" * 64)
    assert (forged.code, forged.out) == (3, "")
    assert "something else" in forged.err
    assert json.loads(maestro("gate", "show", row["gate"], "--json").out)["state"] == "pending"
    ended = maestro("gate", answer, row["gate"], "--bound-to", shown["bound_to"], "--reason", "I looked at it")
    assert ended.code == 0
    assert "I looked at it" in ended.out
    again = maestro("gate", "approve", row["gate"])
    assert again.code == 3
    assert "already" in again.err
    assert json.loads(maestro("gate", "list", "--json").out) == []
    assert "Nothing waits for an answer in " in maestro("gate", "list").out
    told = maestro("gate", "show", row["gate"]).out
    said = "approved" if answer == "approve" else "rejected"
    assert f"{said} by {owner()} (cli, " in told
    assert told.endswith(" UTC): I looked at it\n")
    settings = settings_in(tmp_path)
    if answer == "reject":  # the rest of the gates are answered as they come up
        monkeypatch.setattr(waiting.StoreGate, "ask", _refuse)
    else:
        monkeypatch.setattr(waiting.StoreGate, "ask", _keep_or_refuse(waiting.StoreGate.ask, row["gate"]))
    run = resumed("made-up", settings)
    first = bodies(journal_of(run.folder), GateDecided)[0]
    assert first.answer == ("approved" if answer == "approve" else "rejected")
    why = maestro("why", "seg1-p1", "atr_z_min")
    if answer == "approve":
        assert f"approved by {owner()}" in why.out
    else:
        assert why.code == 2


async def _refuse(self: Any, request: Any) -> GateDecided:
    state = await self._gates.get(request.gate_id)
    return state.decided or GateDecided(gate_id=request.gate_id, answer="rejected", by=(), at=1, reason="no")


def _keep_or_refuse(ask: Any, kept: str) -> Any:
    async def either(self: Any, request: Any) -> GateDecided:
        return await (ask(self, request) if request.gate_id == kept else _refuse(self, request))

    return either

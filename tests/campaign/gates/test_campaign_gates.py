"""A campaign waits at its gates with all of it saved; people answer elsewhere, once, for exactly what is asked."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from campaign_support import (
    CAMPAIGN,
    begin,
    bodies,
    conduct,
    contents,
    differing,
    journal_of,
    settings_in,
    small_config,
    small_file,
)
from gate_support import attended, gone_on_with, no, people, vote, yes

from maestro.clock import SystemClock
from maestro.store.gates import GateStore
from maestro.wiring import gates as waiting
from maestro.wiring.campaigns import CampaignRun, resume_campaign
from maestro.wiring.workspace import owner
from maestro_protocol.errors import GateRefused
from maestro_protocol.messages.gate import GateDecided, GateRequest, GateVote
from maestro_protocol.messages.plan import PatchApplied
from maestro_protocol.messages.rules import GatePolicy, PatchRisk, RiskClass, RiskClasses


@pytest.fixture(autouse=True)
def quick_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.01)


def policy(needs: int = 1, may_decide: tuple[str, ...] = (), minutes: int = 60, over: float = 0.0) -> GatePolicy:
    """Every patch of more than *over* is of high risk, and high risk needs *needs* people."""
    asks = RiskClass(needs=needs, timeout_minutes=minutes, may_decide=may_decide)
    free = RiskClass(needs=0, timeout_minutes=60)
    names = ("gate_vhf", "vhf_min", "gate_atrz", "atr_z_min", "hard_tp_usd", "atr_stop_mult", "timeout_bars")
    return GatePolicy(
        version=1,
        classes=RiskClasses(low=free, medium=free, high=asks),
        patches=(PatchRisk(parameters=names, over=0, risk="high"),),
        budget="high",
        holdout_again="high",
    )


async def test_a_patch_that_is_approved_is_applied_as_if_nobody_had_been_asked(
    small_data: Path, tmp_path: Path
) -> None:
    alone, settings = settings_in(tmp_path / "alone"), settings_in(tmp_path / "asked")
    undisturbed = await conduct(small_config(small_data, alone, tests=48), alone)
    run, seen = await attended(small_config(small_data, settings, gates=policy(), tests=48), settings, yes)
    decided = bodies(journal_of(run.folder), GateDecided)
    assert [one.gate_id for one in decided] == seen
    assert {one.answer for one in decided} == {"approved"}
    assert len(seen) == len(set(seen)) >= 2
    assert {one.by for one in decided} == {(owner(),)}
    names = differing(contents(undisturbed.folder), contents(run.folder))
    assert not [name for name in names if "scores" in name or "trades" in name], "asking changed what was run"


async def test_a_patch_that_is_rejected_is_refused_and_the_next_one_is_asked_anew(
    small_data: Path, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path)
    config = small_config(small_data, settings, gates=policy(), tests=48)
    run, seen = await attended(config, settings, no)
    journal = journal_of(run.folder)
    asked = bodies(journal, GateRequest)
    assert [one.gate_id for one in asked] == seen, "a gate was decided by the answer to another question"
    assert len({one.bound_to for one in asked}) == len(asked) >= 2
    patches = bodies(journal, PatchApplied)
    assert patches
    assert {patch.status for patch in patches} == {"refused"}
    assert all("not on my watch" in patch.reason for patch in patches)
    assert not list(run.folder.rglob("*-p*.yaml")), "a refused patch left a run"


async def test_silence_is_a_no(small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(tmp_path)
    await begin(small_config(small_data, settings, gates=policy(minutes=1)), settings)
    told: list[str] = []
    monkeypatch.setattr(waiting, "tell_on_stderr", told.append)
    hurried = GateStore.get

    async def an_hour_later(self: GateStore, gate_id: str) -> Any:
        self._clock = _Later()  # type: ignore[assignment] # the waiting side's own clock, moved
        return await hurried(self, gate_id)

    monkeypatch.setattr(GateStore, "get", an_hour_later)
    run = await resume_campaign(CAMPAIGN, settings, lambda progress: None, 1)
    decided = bodies(journal_of(run.folder), GateDecided)
    assert decided
    assert {one.answer for one in decided} == {"expired"}
    assert {one.by for one in decided} == {()}
    assert "waiting at gate" in told[0]
    assert {patch.status for patch in bodies(journal_of(run.folder), PatchApplied)} == {"refused"}


class _Later:
    def now_ms(self) -> int:
        return SystemClock().now_ms() + 3_600_000

    def monotonic(self) -> float:
        return 0.0


async def test_forged_replayed_and_late_votes_change_nothing(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    refused: list[str] = []
    past: list[GateVote] = []

    async def attack(gates: GateStore, request: GateRequest) -> None:
        forged = vote(request, True, bound_to="0" * 64)
        stranger = vote(request, True, who="discord:stranger")
        replayed = [one.model_copy(update={"gate_id": request.gate_id}) for one in past[:1]]
        for attempt in (forged, stranger, *replayed):
            with pytest.raises(GateRefused) as why:
                await gates.vote(attempt)
            refused.append(str(why.value))
        assert (await gates.get(request.gate_id)).state == "pending"
        past.append(vote(request, False))
        await gates.vote(past[-1])
        for late in (vote(request, True), past[-1]):
            with pytest.raises(GateRefused, match="rejected already"):
                await gates.vote(late)

    run, seen = await attended(small_config(small_data, settings, gates=policy()), settings, attack)
    assert len(seen) >= 2
    assert len(refused) >= 2 * len(seen)
    decided = bodies(journal_of(run.folder), GateDecided)
    assert {one.answer for one in decided} == {"rejected"}
    assert {patch.status for patch in bodies(journal_of(run.folder), PatchApplied)} == {"refused"}


async def test_two_people_must_agree_where_the_policy_says_two(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)

    async def both(gates: GateStore, request: GateRequest) -> None:
        assert await gates.vote(vote(request, True, who="ann")) is None
        assert (await gates.get(request.gate_id)).state == "pending"
        await gates.vote(vote(request, True, who="ben"))

    config = small_config(small_data, settings, gates=policy(needs=2, may_decide=("ann", "ben", "cem")))
    run, _ = await attended(config, settings, both)
    assert {one.by for one in bodies(journal_of(run.folder), GateDecided)} == {("ann", "ben")}


async def test_a_campaign_left_at_its_gate_goes_on_where_it_was(
    small_data: Path, tmp_path: Path, undisturbed: CampaignRun
) -> None:
    """Left three times while it waits, answered while nobody runs it, resumed: one question, one answer, same end."""
    settings = settings_in(tmp_path)
    await begin(small_config(small_data, settings, gates=policy()), settings)
    for _ in range(3):
        leaving = asyncio.create_task(resume_campaign(CAMPAIGN, settings, lambda progress: None, 1))
        async with people(settings) as gates:
            while not (pending := await gates.pending()):
                assert not leaving.done()
                await asyncio.sleep(0.01)
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
    async with people(settings) as gates:
        assert [state.request for state in await gates.pending()] == [pending[0].request]
        await yes(gates, pending[0].request)
    run, _ = await gone_on_with(CAMPAIGN, settings, yes)
    journal = journal_of(run.folder)
    assert len(bodies(journal, GateRequest)) == len(bodies(journal, GateDecided))
    names = differing(contents(undisturbed.folder), contents(run.folder))
    assert not [name for name in names if "scores" in name or "trades" in name]


@pytest.mark.parametrize("answer", [yes, no])
async def test_small_patches_add_up_until_a_person_is_asked(answer: Any, tmp_path: Path) -> None:
    """Patches that are all kept, each of them under the line: the one that would cross it in sum waits at a gate."""
    settings = settings_in(tmp_path)
    line = PatchRisk(parameters=("hard_tp_usd",), over=0.1, risk="high")
    asking = policy().model_copy(update={"patches": (line,)})
    config = small_config(small_file(tmp_path, "mean_reverting", days=75), settings, gates=asking, tests=150)
    keep_all = config.policies.measure.model_copy(update={"p_max": 1.0, "min_windows": 2})
    eager = config.policies.model_copy(update={"measure": keep_all, "max_patches_per_segment": 20})
    run, seen = await attended(config.model_copy(update={"policies": eager}), settings, answer)
    journal = journal_of(run.folder)
    patches = [patch for patch in bodies(journal, PatchApplied) if patch.action == "apply"]
    creeping = [p for p in patches if p.patch.parameter == "hard_tp_usd" and p.applied_to.startswith("seg2")]
    assert [patch.patch.new_value for patch in creeping[:3]] == [1000.0, 1200.0, 1400.0]
    assert [patch.status for patch in creeping[:2]] == ["applied", "applied"]
    assert creeping[2].status == ("applied" if answer is yes else "refused")
    asked = bodies(journal, GateRequest)
    assert [one.gate_id for one in asked] == seen
    first = creeping[2].patch
    shown = f"hard_tp_usd {first.old_value} -> {first.new_value} (approved was "
    assert asked[0].action.startswith("patch seg2-p")
    assert shown in asked[0].action

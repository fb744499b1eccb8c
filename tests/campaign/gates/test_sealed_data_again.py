"""Sealed data are opened a second time only behind a gate, journalled first, and every look is one more trial."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from campaign_support import conduct, settings_in, small_config
from gate_support import people, vote

from maestro.settings import Settings
from maestro.wiring.holdout_reopen import reopen_campaign
from maestro.wiring.replays import read_journal, replay_campaign
from maestro_protocol.errors import GateRefused, UsageError
from maestro_protocol.messages.campaign import CampaignFinished, HoldoutOpened, TrialRecorded, Verdict
from maestro_protocol.messages.gate import GateDecided


async def looked_again(settings: Settings, campaign: str, approve: bool) -> Verdict:
    """A second look at ``seg1_test001``, with somebody at another terminal who answers its gate."""

    async def answer() -> None:
        async with people(settings) as gates:
            while not (waiting := await gates.pending()):  # noqa: ASYNC110 - it appears in a table, nobody calls
                await asyncio.sleep(0.01)
            await gates.vote(vote(waiting[0].request, approve))

    there = asyncio.create_task(answer())
    try:
        return await reopen_campaign(campaign, ["seg1_test001"], settings, jobs=1)
    finally:
        there.cancel()  # nothing to answer where it was refused before its gate
        with suppress(asyncio.CancelledError):
            await there


async def test_a_second_look_is_asked_for_told_and_counted(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    run = await conduct(small_config(small_data, settings), settings)
    before = read_journal(run.folder)
    verdict = await looked_again(settings, run.campaign, approve=True)
    later = read_journal(run.folder)[len(before) :]
    kinds = [type(envelope.body) for envelope in later]
    assert kinds.index(GateDecided) < kinds.index(HoldoutOpened) < kinds.index(Verdict)
    assert [e.body.opening for e in later if isinstance(e.body, HoldoutOpened)] == [2]
    assert sum(isinstance(e.body, TrialRecorded) for e in later) == 1
    proposed = sum(isinstance(e.body, TrialRecorded) for e in before)
    assert verdict.trials == proposed + 1
    assert (await replay_campaign(run.folder, settings, lambda progress: None, 1)).same


async def test_a_no_leaves_the_data_sealed(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    run = await conduct(small_config(small_data, settings), settings)
    before = read_journal(run.folder)
    with pytest.raises(GateRefused, match="rejected"):
        await looked_again(settings, run.campaign, approve=False)
    assert isinstance(before[-1].body, CampaignFinished)
    assert read_journal(run.folder) == before


async def test_a_run_that_is_not_there_is_no_reason_to_open_anything(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    run = await conduct(small_config(small_data, settings), settings)
    with pytest.raises(UsageError, match="seg9"):
        await reopen_campaign(run.campaign, ["seg9"], settings, jobs=1)


async def test_a_yes_to_one_run_opens_nothing_for_another(small_data: Path, tmp_path: Path) -> None:
    """Asked for one run, left, answered while nobody waits: that yes is for that run, whoever is asked for next."""
    settings = settings_in(tmp_path)
    run = await conduct(small_config(small_data, settings), settings)
    leaving = asyncio.create_task(reopen_campaign(run.campaign, ["seg1_test001"], settings, jobs=1))
    async with people(settings) as gates:
        while not (waiting := await gates.pending()):
            assert not leaving.done()
            await asyncio.sleep(0.01)
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        await gates.vote(vote(waiting[0].request, True))
    other = asyncio.create_task(reopen_campaign(run.campaign, ["seg3_test001"], settings, jobs=1))
    async with people(settings) as gates:
        while not (asked := await gates.pending()):
            assert not other.done(), "it was opened by the answer to another question"
            await asyncio.sleep(0.01)
        assert "for seg3_test001" in asked[0].request.action
        await gates.vote(vote(asked[0].request, False))
    with pytest.raises(GateRefused, match="rejected"):
        await other


async def test_who_said_no_can_be_asked_again(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    run = await conduct(small_config(small_data, settings), settings)
    for _ in range(2):
        with pytest.raises(GateRefused, match="rejected"):
            await looked_again(settings, run.campaign, approve=False)
    verdict = await looked_again(settings, run.campaign, approve=True)
    openings = [e.body.opening for e in read_journal(run.folder) if isinstance(e.body, HoldoutOpened)]
    assert openings == [1, 2]
    assert verdict.trials > 0

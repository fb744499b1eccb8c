"""holdout_reopen owns the second look at sealed data: behind a gate, journalled first, one more trial."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from maestro.clock import SystemClock
from maestro.control import gatekeeping
from maestro.control.durable_run import Steps
from maestro.control.openings import SealedPart, look_of
from maestro.control.record.campaign_folder import CampaignFolder
from maestro.control.record.ledger import Ledger, distinct
from maestro.control.record.lineage import read_run
from maestro.control.record.manifest import renew_from
from maestro.report.pages import write_report
from maestro.settings import Settings
from maestro.wiring import gates, markets, workspace
from maestro.wiring.campaigns import config_of
from maestro_protocol.bus import LocalBus
from maestro_protocol.config import RunConfig
from maestro_protocol.errors import GateRefused, UsageError
from maestro_protocol.messages.campaign import (
    CampaignConfig,
    CampaignFinished,
    HoldoutOpened,
    TrialRecorded,
    Verdict,
)
from maestro_protocol.messages.gate import GateDecided
from maestro_protocol.schema import canonical


async def reopen_campaign(
    campaign: str, runs: Sequence[str], settings: Settings, jobs: int, data: Path | None = None
) -> Verdict:
    """Open the sealed part of a finished campaign again, for *runs*. Waits at a gate; raises GateRefused on a no."""
    from maestro.store.gates import GateStore

    store = await workspace.open_workspace_store(settings)
    clock = SystemClock()
    try:
        config = await config_of(campaign, store)
        folder = CampaignFolder(settings.runs / campaign)
        finalists = [read_run(folder.path, run).model_copy(update={"window": None}) for run in runs]
        bars = markets.bars_again(config, data or workspace.known_data(settings, config.data.digest))
        market = markets.market_of(config, bars, jobs)
        if market.judge is None or not market.judge.sealed[1]:
            raise UsageError(f"{campaign}: no part of its data is sealed; there is nothing to open")
        policy = config.openings or workspace.read_openings(settings)
        gate = gates.StoreGate(GateStore(store, clock, workspace.owner()), campaign, gates.tell_on_stderr)
        async with store.lease(campaign):
            steps = Steps(campaign, store, LocalBus(), market.runner, clock, gate)
            await steps.open()
            steps.go_on_after_the_end()
            await _permission(steps, config, finalists)
            stored = await store.results(campaign, await store.finished(campaign))
            opening = _openings(steps) + 1
            look = f"{look_of(config, finalists)}.{campaign}.{opening}"  # asked for again, it is another look
            part = SealedPart(steps, store.openings, policy, market.judge, finalists, look, opening)
            verdict = await _rule(part, config, distinct(item.config for item in stored))
            folder.journal(steps.lines(folder.exported))
            folder.seal()
            renew_from(folder.path, await asyncio.to_thread(write_report, folder.path))
            return verdict
    finally:
        await store.close()


async def _permission(steps: Steps, config: CampaignConfig, finalists: Sequence[RunConfig]) -> None:
    opening = _openings(steps) + 1
    names = ", ".join(run.run_id for run in finalists)
    bound = b"".join(canonical(run) for run in finalists)
    asked = 2 + sum(".holdout" in said.gate_id for said in _decisions(steps))
    request = gatekeeping.request(
        gatekeeping.gate_id(
            config.campaign, f"holdout{asked}.{gatekeeping.short(bound)}"
        ),  # other runs, another gate
        f"opening number {opening} of the sealed data, for {names}"[:300],
        "Every look at sealed data makes it a little less sealed: the finalists of this one count as further trials.",
        bound,
        config.gates.holdout_again,
        config.gates,
        steps.now_ms(),
    )
    decided = await steps.gate(request)
    if decided.answer != "approved":
        raise GateRefused(f"opening the sealed data again was {decided.answer}: {decided.reason}")


async def _rule(part: SealedPart, config: CampaignConfig, trials: Sequence[RunConfig]) -> Verdict:
    """Count the finalists as trials, weigh, journal the opening, open."""
    steps, judge, finalists = part.steps, part.judge, part.finalists
    ledger = Ledger()
    counted = len(steps.past(TrialRecorded)) + len(finalists)
    for run in finalists:
        record = ledger.count(run, config.segments, "control", "run", "looked at sealed data again")
        if record is not None:
            steps.say(record)
    evidence = await asyncio.to_thread(judge.assess, trials, finalists, counted)
    looks, _ = await part.open(None)
    verdict, _ = await asyncio.to_thread(judge.open_and_rule, evidence, part.opening, looks)
    steps.say(verdict)
    await steps.flush()
    return verdict


def _decisions(steps: Steps) -> list[GateDecided]:
    return [e.body for e in steps.past(GateDecided) if isinstance(e.body, GateDecided)]


def _openings(steps: Steps) -> int:
    if not steps.past(CampaignFinished):
        raise UsageError("the campaign has not finished; its sealed data are opened at its end")
    return len(steps.past(HoldoutOpened))

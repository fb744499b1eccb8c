"""lineage owns the commands that read what was said: the journal, the reason behind a parameter, the costs."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maestro.cli.output import table
from maestro.lines import emit, emit_json, say

if TYPE_CHECKING:
    from maestro.control.record.lineage import Lineage
    from maestro.store.calls import UnsettledUsage
    from maestro.store.repository import SqlStore

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Out = Annotated[Path | None, typer.Option("--out", help="Where campaigns are kept.  [default: runs]")]
FOLLOW_SECONDS = 0.5


def journal(
    campaign: Annotated[str, typer.Argument(help="Id of the campaign, or last.")],
    follow: Annotated[bool, typer.Option("--follow", help="Go on as it grows, until it is finished.")] = False,
    after: Annotated[int, typer.Option(min=0, help="Begin after this sequence number.")] = 0,
    out: Out = None,
) -> None:
    """Print a campaign's journal from the store: one JSON envelope a line."""
    from maestro.cli.campaign import campaign_id, settings_with
    from maestro.wiring.workspace import open_workspace_store

    settings = settings_with(out)
    campaign = campaign_id(settings, campaign)

    async def run() -> None:
        store = await open_workspace_store(settings)
        try:
            await _print(store, campaign, after, follow)
        finally:
            await store.close()

    asyncio.run(run())


async def _print(store: SqlStore, campaign: str, after: int, follow: bool) -> None:
    from maestro.wiring.campaigns import config_of

    await config_of(campaign, store)
    while True:
        records = await store.records(campaign, after=after)
        for record in records:
            emit_json(record.json)
            after = record.seq
        if not follow or any(record.type == "CampaignFinished" for record in records):
            return
        sys.stdout.flush()
        await asyncio.sleep(FOLLOW_SECONDS)


def why(
    run: Annotated[str, typer.Argument(help="A run, like seg1_test051 or seg2-p1; last is the last test's.")],
    parameter: Annotated[str, typer.Argument(help="One of its parameters.")],
    campaign: Annotated[str | None, typer.Option(help="Its campaign; the newest without.")] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Print who set a parameter: which role said what, on which evidence, approved by whom."""
    from maestro.cli.campaign import campaign_folder, settings_with
    from maestro.control.record.lineage import explain
    from maestro.wiring.live.rounds import planned_as
    from maestro.wiring.replays import last_test, read_journal

    settings = settings_with(out)
    planned = planned_as(settings, run) if campaign is None else None
    if planned is not None:
        campaign, run = planned
    folder = campaign_folder(settings, campaign or "last")
    journal = read_journal(folder)
    chain = explain(folder, journal, last_test(journal) if run == "last" else run, parameter)
    if as_json:
        emit({"campaign": folder.name, **asdict(chain)})
    else:
        say(*in_prose(chain))


def in_prose(chain: Lineage) -> list[str]:
    """The chain as a person reads it, newest first, in lines of which each has one piece of others' words at most."""
    lines = [f"{chain.parameter} of {chain.run} is {chain.value}"]
    if chain.converted:
        lines.append(f"  {chain.converted}")
    for link in chain.links:
        lines.append("")
        lines.append(f"{link.run} (from {link.parent}): {link.old} -> {link.new}")
        if not link.said:
            lines.append("  nobody's words are recorded for it")
        for said in link.said:
            lines.append(f"  {said.sender}, {said.type} {said.id}: {said.words}")
            if said.evidence:
                lines.append(f"    evidence: {said.evidence}")
        lines.extend(f"  approved by {who}" for who in link.approved_by)
    if chain.links:
        return [*lines, "", "before that: the default that its method declares"]
    return [*lines, "it is the declared default"]


def costs(
    campaign: Annotated[str | None, typer.Option(help="Only this campaign; last is the newest.")] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Show what models have cost, by campaign, role and model."""
    from maestro.cli.campaign import campaign_id, settings_with, unknown_campaign
    from maestro.wiring.workspace import open_workspace_store

    settings = settings_with(out)
    campaign = None if campaign is None else campaign_id(settings, campaign)

    async def gather() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        store = await open_workspace_store(settings)
        try:
            names = await store.campaigns()
            if campaign is not None and campaign not in names:
                raise unknown_campaign(campaign, names, store.database.place)
            names = names if campaign is None else [campaign]
            paid = [
                {"campaign": name, "kind": "paid", **spent._asdict(), "cost_usd": _usd(spent.cost_micros)}
                for name in names
                for spent in await store.calls.costs(name)
            ]
            return paid, [_unpaid(name, counted) for name in names for counted in await store.calls.counted(name)]
        finally:
            await store.close()

    paid, unpaid = asyncio.run(gather())
    if as_json:
        emit([*paid, *unpaid])
        return
    if paid:
        columns = ["campaign", "role", "model", "calls", "input_tokens", "output_tokens", "cost_usd"]
        table("Paid, as vendors counted", columns, paid)
    if unpaid:
        table("Besides", ["campaign", "role", "kind", "calls", "at_most_tokens", "at_most_usd"], unpaid)
        for kind in sorted({row["kind"] for row in unpaid}):
            say(f"{kind}: {_KINDS[kind]}")
        say("As long as nobody knows what they took, budgets count the most that it may have been.")
    elif not paid:
        say("No model was asked; offline rules cost nothing.")


_KINDS = {
    "failed": "requests without a usable answer; those that were refused before it began cost nothing",
    "set aside": "requests in flight, or lost when their process was stopped",
    "unknown": "answers whose tokens their server did not count, or not as numbers that can be counts",
}


def _unpaid(campaign: str, counted: UnsettledUsage) -> dict[str, Any]:
    return {
        "campaign": campaign,
        "kind": counted.kind,
        "role": counted.role,
        "model": None,
        "calls": counted.requests,
        "at_most_tokens": counted.tokens,
        "at_most_usd": _usd(counted.usd_micros),
    }


def _usd(micros: int | None) -> str | None:
    return None if micros is None else f"{micros / 1e6:.6f}"

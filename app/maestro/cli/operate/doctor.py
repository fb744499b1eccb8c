"""doctor owns the commands that tell whether this installation is well, and that clear away leftovers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maestro.cli.output import table
from maestro.lines import emit, say

if TYPE_CHECKING:
    from maestro.wiring.maintenance.findings import Checked

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Out = Annotated[Path | None, typer.Option("--out", help="Where campaigns are kept.  [default: runs]")]
Bus = Annotated[
    str | None,
    typer.Option("--bus", help="redis://HOST:PORT/DB; MAESTRO_BUS_URL, which may hold a password, without."),
]


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended.")] = False,
    bus: Bus = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Look at everything Maestro stands on. Exit code 1 when something failed; keys are never shown."""
    from maestro.cli.campaign import settings_with
    from maestro.clock import SystemClock
    from maestro.wiring.maintenance.doctor import examine

    told = asyncio.run(examine(settings_with(out, bus), SystemClock(), fix))
    well = all(checked.outcome != "failed" for checked in told)
    if as_json:
        emit({"well": well, "checks": [checked._asdict() for checked in told]})
    else:
        _show(told)
    if not well:
        raise typer.Exit(1)


def _show(told: list[Checked]) -> None:
    rows = [{"check": c.name, "is": c.outcome, "detail": _told(c)} for c in told]
    table("Doctor", ["check", "is", "detail"], rows)
    failed = sum(c.outcome == "failed" for c in told)
    warned = sum(c.outcome == "warning" for c in told)
    say(f"{failed} failed, {warned} to know about, {len(told) - failed - warned} well")


def _told(checked: Checked) -> str:
    if checked.mended:
        return f"{checked.detail} (mended)"
    return f"{checked.detail}. --fix would {checked.fix}" if checked.fix else checked.detail


def clean(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing, only list it.")] = False,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Remove what interrupted work left behind: half-written files, scratch folders. Never a campaign."""
    from maestro.cli.campaign import settings_with
    from maestro.clock import SystemClock
    from maestro.wiring.maintenance.leftovers import clean as clear_away

    cleaned = asyncio.run(clear_away(settings_with(out), SystemClock(), dry_run))
    if as_json:
        kept = [{**leftover._asdict(), "reason": reason} for leftover, reason in cleaned.kept]
        emit({"dry_run": dry_run, "removed": [leftover._asdict() for leftover in cleaned.removed], "kept": kept})
        return
    verb = "would remove" if dry_run else "removed"
    for leftover in cleaned.removed:
        say(f"{verb} {leftover.path} ({leftover.what}, {leftover.size:,} bytes)")
    for leftover, reason in cleaned.kept:
        say(f"kept {leftover.path}: {reason}")
    if not cleaned.removed and not cleaned.kept:
        say("Nothing is left over.")

"""data owns the commands that look at market data."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maestro.cli.show import cell, emit, table
from maestro_protocol.errors import DataError

if TYPE_CHECKING:
    from maestro_engine.market.checks import DataReport

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at market data.")


@app.callback()
def _data() -> None:
    """Look at market data."""


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV file of bars.")],
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Check a file of bars: gaps, duplicates, order, prices, volumes. Exit code 1 when it cannot be used."""
    from maestro_engine.market.readers import check_file

    report = check_file(file, apart=True)
    room = None if report.fatal else _room(report)
    if as_json:
        emit(asdict(report) | {"campaign": room})
    else:
        _show(report, room)
    if report.fatal:
        raise typer.Exit(1)


def _room(report: DataReport) -> dict[str, object]:
    """What a campaign with the usual windows makes of these bars, or why they are too few for one."""
    from maestro_engine.market.timeframes import DAY_MS, step_of
    from maestro_engine.market.windows import rolling_windows
    from maestro_protocol.messages.campaign import WindowPlan

    step = step_of(report.timeframe or "")
    try:
        windows, sealed = rolling_windows(report.bars or 0, step, **WindowPlan().model_dump())
    except DataError as error:
        return {"windows": 0, "sealed_days": None, "reason": str(error)}
    return {"windows": len(windows), "sealed_days": round(len(sealed) * step / DAY_MS, 1), "reason": None}


def _show(report: DataReport, room: dict[str, object] | None) -> None:
    sys.stdout.write(
        f"{report.source}: {report.symbol} {report.timeframe or 'irregular'}, {report.rows:,} rows, "
        f"{report.first} to {report.last} UTC\n"
        f"taker volume: {cell(report.has_taker)}, funding: {cell(report.has_funding)}, digest {cell(report.digest)}\n"
    )
    if report.findings:
        rows = [asdict(finding) for finding in report.findings]
        table("Findings", ["outcome", "kind", "count", "row", "time", "text"], rows)
    if room is None:
        sys.stdout.write("cannot be used as it is\n")
    elif room["reason"]:
        sys.stdout.write(f"usable: {report.bars:,} bars, too few for a campaign: {room['reason']}\n")
    else:
        sys.stdout.write(
            f"usable: {report.bars:,} bars; a campaign has {cell(room['windows'])} windows and "
            f"{cell(room['sealed_days'])} sealed days\n"
        )

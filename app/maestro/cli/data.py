"""data owns the commands that look at market data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maestro.cli.output import cell, table
from maestro.lines import emit, say
from maestro_protocol.errors import DataError, UsageError

if TYPE_CHECKING:
    from maestro_engine.data.findings import DataFinding, DataReport

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at market data.")


Symbol = Annotated[str | None, typer.Option(help="Symbol of the data, where neither file nor name says.")]
TimeZone = Annotated[
    str | None, typer.Option(help="Zone of times that name none, like America/New_York.  [default: UTC]")
]
FUNDING_UNITS = ("rate", "percent", "bps")
FundingUnit = Annotated[
    str | None, typer.Option(help="What the funding column counts: rate, percent or bps.  [default: rate]")
]
CHANGES_SHOWN = 20


def reading_of(time_zone: str | None, funding_unit: str | None) -> dict[str, str] | None:
    """How a file is to be read, as somebody said it; None where nobody did. Raises UsageError."""
    from pydantic import ValidationError

    from maestro_protocol.config import DataReading

    if funding_unit is not None and funding_unit not in FUNDING_UNITS:
        known = ", ".join(FUNDING_UNITS)
        raise UsageError(f"--funding-unit {funding_unit[:40]!r} is not known; choose one of: {known}")
    said = {"time_zone": time_zone, "funding_unit": funding_unit}
    reading = {name: value for name, value in said.items() if value is not None}
    try:
        DataReading.model_validate(reading)
    except ValidationError:
        raise UsageError(f"--time-zone {str(time_zone)[:40]!r}: give a name like Europe/Berlin, or UTC") from None
    return reading or None


@app.callback()
def _data() -> None:
    """Look at market data."""


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV file of bars.")],
    symbol: Symbol = None,
    time_zone: TimeZone = None,
    funding_unit: FundingUnit = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Check a file of bars: gaps, duplicates, order, prices, volumes, funding. Exit code 1: no campaign can run.

    What was repaired is listed place by place.
    """
    from maestro_engine.data.findings import CheckPolicy
    from maestro_engine.data.loading import check_file
    from maestro_protocol.config import DataReading

    reading = DataReading.model_validate(reading_of(time_zone, funding_unit) or {})
    report = check_file(file, symbol=symbol, policy=CheckPolicy(**reading.model_dump()), apart=True)
    room = None if report.fatal else _room(report)
    if as_json:
        emit(asdict(report) | {"campaign": room})
    else:
        _show(report, room)
    if room is None or room["reason"]:
        raise typer.Exit(1)


def _room(report: DataReport) -> dict[str, object]:
    """What a campaign with the usual windows makes of these bars, or why they are too few for one."""
    from maestro_engine.data.timeframes import DAY_MS, step_of
    from maestro_engine.data.windows import rolling_windows
    from maestro_protocol.messages.campaign import WindowPlan

    step = step_of(report.timeframe or "")
    try:
        windows, sealed = rolling_windows(report.bars or 0, step, WindowPlan())
    except DataError as error:
        return {"windows": 0, "sealed_days": None, "reason": str(error)}
    return {"windows": len(windows), "sealed_days": round(len(sealed) * step / DAY_MS, 1), "reason": None}


def _show(report: DataReport, room: dict[str, object] | None) -> None:
    say(
        f"{report.source}: {report.symbol} {report.timeframe or 'irregular'}, {report.rows:,} rows, "
        f"{report.first} to {report.last} UTC",
        f"taker volume: {cell(report.has_taker)}, funding: {cell(report.has_funding)}, digest {cell(report.digest)}",
    )
    from maestro_engine.data.bars import UNKNOWN_SYMBOL

    if report.findings:
        rows = [asdict(finding) for finding in report.findings]
        table("Findings", ["outcome", "kind", "count", "row", "time", "text"], rows)
    for finding in report.findings:
        _list(finding)
    if report.symbol == UNKNOWN_SYMBOL:
        say("neither file nor name says the symbol: give it with --symbol")
    if room is None:
        say("cannot be used as it is")
    elif room["reason"]:
        say(f"usable: {report.bars:,} bars, too few for a campaign: {room['reason']}")
    else:
        say(
            f"usable: {report.bars:,} bars; a campaign has {cell(room['windows'])} windows and "
            f"{room['sealed_days']} sealed days"
        )


def _list(finding: DataFinding) -> None:
    """What a repair changed, a line for each place."""
    from maestro_engine.data.findings import CHANGES_KEPT

    for change in finding.changes[:CHANGES_SHOWN]:
        say(f"{finding.kind}: {change.line}")
    more = finding.count - CHANGES_SHOWN if len(finding.changes) > CHANGES_SHOWN else 0
    if more > 0:
        say(f"{finding.kind}: {more:,} more; --json lists up to {CHANGES_KEPT:,}")

"""data owns the commands that look at market data."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maestro.cli.show import cell, emit, table

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
    if as_json:
        emit(asdict(report))
    else:
        _show(report)
    if report.fatal:
        raise typer.Exit(1)


def _show(report: DataReport) -> None:
    sys.stdout.write(
        f"{report.source}: {report.symbol} {report.timeframe or 'irregular'}, {report.rows:,} rows, "
        f"{report.first} to {report.last} UTC\n"
        f"taker volume: {cell(report.has_taker)}, funding: {cell(report.has_funding)}, digest {cell(report.digest)}\n"
    )
    if report.findings:
        rows = [asdict(finding) for finding in report.findings]
        table("Findings", ["outcome", "kind", "count", "row", "time", "text"], rows)
    sys.stdout.write("cannot be used as it is\n" if report.fatal else f"usable: {report.bars:,} bars\n")

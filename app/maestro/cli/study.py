"""study owns the commands that put the product itself to the test."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from maestro.cli import model_options, study_search
from maestro.cli.data import FundingUnit, TimeZone, reading_of
from maestro.cli.output import table
from maestro.cli.progress import counting
from maestro.lines import emit, say, warn

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Put the product itself to the test.")
app.command("search")(study_search.search)

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Jobs = Annotated[int, typer.Option(min=1, max=64, help="Processes.")]


@app.command("calibration")
def calibration(
    market: Annotated[
        str | None,
        typer.Option(help="One kind alone, such as noise or planted.  [default: the whole table]"),
    ] = None,
    campaigns: Annotated[int, typer.Option(min=1, max=100_000, help="Seeded campaigns of each kind.")] = 40,
    tests: Annotated[int, typer.Option(min=5, max=100_000, help="Tests of each campaign.")] = 500,
    edge: Annotated[
        float | None, typer.Option(help="Planted edge: expected log return per trade of the rewarded rule.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="File of bars to be shuffled: a market without memory.")] = None,
    jobs: Jobs = 2,
    as_json: Json = False,
) -> None:
    """Count the verdicts of many seeded campaigns: on noise, shuffled bars and planted edges of four sizes.

    On markets without an edge at most 5 % may say SURVIVES.
    """
    from maestro.wiring.studies import Cell, calibrate, whole_table

    cells = whole_table(data) if market is None else [Cell(market, edge, data if market == "shuffled" else None)]
    rows: list[dict[str, object]] = []
    for cell in cells:
        name = cell.market if cell.edge is None else f"{cell.market} {cell.edge:g}"
        last = None
        with counting(campaigns, f"campaigns on {name}", quiet=as_json) as count:
            for last in calibrate(cell, campaigns, tests, jobs):
                told = last.survives.count, last.not_enough.count, last.does_not.count
                count(last.campaigns, "{} survive, {} not enough evidence, {} do not".format(*told))
        assert last is not None
        rows.append(asdict(last))
    if as_json:
        emit(rows)
        return
    answers = ("survives", "not_enough", "does_not")
    shown = [row | {answer: in_interval(row[answer]) for answer in answers} for row in rows]
    columns = ["market", "edge", "campaigns", *answers]
    table("Campaigns that gave each answer, with the 95 % interval of the share", columns, shown)


def in_interval(rate: object) -> str:
    """``3 (0.03 to 0.20)``: a count, and the interval of its share."""
    assert isinstance(rate, dict)
    return f"{rate['count']} ({rate['low']:.2f} to {rate['high']:.2f})"


@app.command("ablation")
def ablation(
    data: Annotated[Path | None, typer.Option(help="File of bars; a simulated market without.")] = None,
    market: Annotated[str, typer.Option(help="Simulated market, where there is no file.")] = "mixed",
    tests: Annotated[int, typer.Option(min=5, max=100_000, help="Tests of each arm.")] = 500,
    symbol: Annotated[str | None, typer.Option(help="Symbol of the data, where its file name does not say.")] = None,
    time_zone: TimeZone = None,
    funding_unit: FundingUnit = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 7,
    brain: model_options.Brains = None,
    budget: model_options.Budget = None,
    price: model_options.Prices = None,
    jobs: Jobs = 2,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where arms with models are kept.  [default: runs]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the same campaign with the debate off and with random proposals: do the agents add anything?

    With --brain every arm asks models where it still has the role, within the --budget, which is of each arm.
    """
    from maestro.cli.campaign import settings_with
    from maestro.wiring.campaigns import CampaignRequest
    from maestro.wiring.studies import ablate
    from maestro_protocol.config import DataReading

    request = CampaignRequest(
        data=data,
        symbol=symbol,
        reading=DataReading.model_validate(reading_of(time_zone, funding_unit) or {}),
        market=market,
        tests=tests,
        seed=seed,
        brains=model_options.parse_brains(brain or ()),
        budget=model_options.parse_budget(budget or (), prices=price or ()),
    )
    arms = ablate(request, settings_with(out), jobs, lambda text: None if as_json else print_progress(text))
    if as_json:
        emit([asdict(arm) for arm in arms])
        return
    rows = [asdict(arm) for arm in arms]
    columns = ["name", "verdict", "validation_per_day", "difference", "p_value"]
    table("What the last segment earned on what came after, USD a day", columns, rows)
    for arm in arms[1:]:
        say(f"{in_words(arm.name, arm.difference, arm.p_value)}")


def in_words(name: str, difference: float | None, p_value: float | None) -> str:
    """What an arm of the ablation says, in a sentence."""
    if difference is None or p_value is None:
        return f"{name}: it ended on the same windows with the same results; the agents add nothing that can be seen"
    earned = f"the full campaign earns {difference:,.2f} USD a day more (p = {p_value:.3f})"
    if p_value <= 0.05:
        return f"{name}: {earned}: the agents add something"
    return f"{name}: {earned}: it is not shown that the agents add anything"


def print_progress(text: str) -> None:
    warn(f"{text}")

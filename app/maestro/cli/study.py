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
    market: Annotated[str, typer.Option(help="noise shows the error rate, planted the power.")] = "noise",
    campaigns: Annotated[int, typer.Option(min=1, max=100_000, help="Seeded campaigns.")] = 200,
    tests: Annotated[int, typer.Option(min=5, max=100_000, help="Tests of each campaign.")] = 500,
    edge: Annotated[
        float | None, typer.Option(help="Planted edge: expected log return per trade of the rewarded rule.")
    ] = None,
    jobs: Jobs = 2,
    as_json: Json = False,
) -> None:
    """Run many seeded campaigns and count the answers: on noise, at most 5 % may say SURVIVES."""
    from maestro.wiring.studies import calibrate

    last = None
    with counting(campaigns, f"campaigns on {market}", quiet=as_json) as count:
        for last in calibrate(market, campaigns, tests, jobs, edge):
            count(
                last.campaigns,
                f"{last.survives} survive, {last.not_enough} not enough evidence, {last.does_not} do not",
            )
    assert last is not None
    if as_json:
        emit(asdict(last) | {"share": last.share})
        return
    say(
        f"{last.survives} of {last.campaigns} campaigns on {market} say SURVIVES: {last.share:.1%} "
        f"(95 % interval {last.low:.1%} to {last.high:.1%})"
    )


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

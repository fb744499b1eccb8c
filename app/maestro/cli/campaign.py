"""campaign owns the commands that run a campaign and show what came of it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maestro.cli import model_options
from maestro.cli.data import FundingUnit, Symbol, TimeZone, reading_of
from maestro.cli.info import Methods, Metrics, named
from maestro.cli.output import table
from maestro.lines import emit, say, warn
from maestro_protocol.errors import GateRefused, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from maestro.control.context import Observer, Progress
    from maestro.settings import Settings
    from maestro.wiring.campaigns import CampaignRequest, CampaignRun

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run a campaign of micro-backtests, and read it.")

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Out = Annotated[Path | None, typer.Option("--out", help="Where campaigns are kept.  [default: runs]")]
Bus = Annotated[
    str | None,
    typer.Option("--bus", help="redis://HOST:PORT/DB#NAME; MAESTRO_BUS_URL, which may hold a password, without."),
]
Remote = Annotated[
    list[str] | None, typer.Option("--remote", help="ROLE that `maestro agent run ROLE` answers for; needs a bus.")
]
CampaignArg = Annotated[str, typer.Argument(help="Id of the campaign, as `maestro campaign list` shows it, or last.")]


Config = Annotated[
    Path | None,
    typer.Option(help="YAML of what to ask for, or an earlier campaign.yaml; the other options win over it."),
]
Data = Annotated[Path | None, typer.Option(help="Parquet or CSV file of bars; a simulated market without.")]
MARKETS = "mixed, noise, trending, mean_reverting, volatility_clusters, planted"
SimulatedMarket = Annotated[str | None, typer.Option(help=f"Simulated market: {MARKETS}.  [default: mixed]")]
Tests = Annotated[
    int | None, typer.Option(min=1, max=100_000, help="Micro-backtests in all; 10 is the pilot.  [default: 500]")
]
Segments = Annotated[
    int | None, typer.Option(min=1, max=100, help="Segments the tests are shared out to.  [default: 5]")
]
Seed = Annotated[
    int | None, typer.Option(min=0, max=2**32 - 1, help="Same seed, same data: same answer.  [default: 7]")
]
ENGINES, POLICIES = ("backtest", "session"), ("sequential", "streak")
EngineOption = Annotated[
    str | None, typer.Option(help="backtest, or session: with limits, margin, breakers.  [default: backtest]")
]
PolicyOption = Annotated[
    str | None, typer.Option(help="Trigger policy of the rules: sequential or streak.  [default: sequential]")
]
Notional = Annotated[
    float | None,
    typer.Option(min=1, max=200_000, help="Size of a position, USD.  [default: 100000, of sessions 5000]"),
]
Taker = Annotated[float | None, typer.Option(min=0, max=1000, help="Taker fee, bps a side.  [default: 5]")]
Maker = Annotated[float | None, typer.Option(min=0, max=1000, help="Maker fee, bps a side.  [default: 2]")]
Slippage = Annotated[float | None, typer.Option(min=0, max=1000, help="Slippage of a taker fill, bps.  [default: 1]")]


@app.command("run")
def run(
    config: Config = None,
    data: Data = None,
    symbol: Symbol = None,
    time_zone: TimeZone = None,
    funding_unit: FundingUnit = None,
    market: SimulatedMarket = None,
    tests: Tests = None,
    segments: Segments = None,
    segment: Annotated[int | None, typer.Option(min=1, help="Run this segment only.")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Threads; the answer does not depend on it.")] = 2,
    brain: model_options.Brains = None,
    seed: Seed = None,
    policy: PolicyOption = None,
    engine: EngineOption = None,
    method: Methods = None,
    metric: Metrics = None,
    notional: Notional = None,
    taker_bps: Taker = None,
    maker_bps: Maker = None,
    slippage_bps: Slippage = None,
    blind: Annotated[bool, typer.Option("--blind", help="Prompts without dates, symbols or prices.")] = False,
    budget: model_options.Budget = None,
    price: model_options.Prices = None,
    bus: Bus = None,
    remote: Remote = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="Say what models may cost, and run nothing.")] = False,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Run a campaign: 500 micro-backtests in 5 segments that learn while they run, and a verdict."""
    from maestro.wiring.request import request_of

    if data is not None and market is not None:
        raise UsageError("--market is a simulated market and --data a file: give one of the two")
    said = {
        "data": data,
        "symbol": symbol,
        "reading": reading_of(time_zone, funding_unit),
        "market": market,
        "tests": tests,
        "segments": segments,
        "only_segment": segment,
        "seed": seed,
        "policy": policy and _one_of("--policy", policy, POLICIES),
        "engine": engine and _one_of("--engine", engine, ENGINES),
        **named(methods=method, metrics=metric),
        "blind": blind or None,
        "brains": [choice.model_dump(exclude_unset=True) for choice in model_options.parse_brains(brain or ())],
        "costs": _given(taker_bps=taker_bps, maker_bps=maker_bps, slippage_bps=slippage_bps) or None,
        "sizing": None if notional is None else {"notional_usd": str(notional)},
    }
    settings = settings_with(out, bus)
    request = request_of(config, _given(**said), settings)
    _inside(request.only_segment, request.segments, request.tests)
    request = _within(request, budget, price)
    if estimate:
        _estimate(request, settings, as_json)
    else:
        _run(request, settings, jobs, as_json, remote)


def _within(request: CampaignRequest, budget: Sequence[str] | None, price: Sequence[str] | None) -> CampaignRequest:
    """*request* with the limits and prices that options give, over its own."""
    plan = model_options.parse_budget(budget or (), request.budget, price or ())
    return request.model_copy(update={"budget": plan})


def _estimate(request: CampaignRequest, settings: Settings, as_json: bool) -> None:
    from maestro.wiring.campaigns import estimate_campaign

    told = estimate_campaign(request, settings)
    if as_json:
        emit({"estimate": told})
    else:
        say(told)


def _given(**options: Any) -> dict[str, Any]:
    """The options that somebody gave."""
    return {name: value for name, value in options.items() if value is not None}


@app.command("resume")
def resume(
    campaign: CampaignArg,
    data: Annotated[Path | None, typer.Option(help="The data file, where it is no longer where it was.")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Threads.")] = 2,
    bus: Bus = None,
    remote: Remote = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Go on with a campaign that was stopped: no test runs twice, no model is asked twice."""
    from maestro.wiring.campaigns import resume_campaign

    settings, away = settings_with(out, bus), _roles(remote)
    campaign = campaign_id(settings, campaign)
    _conduct(lambda observer: resume_campaign(campaign, settings, observer, jobs, data, away), as_json)


def _run(
    request: CampaignRequest, settings: Settings, jobs: int, as_json: bool, remote: Sequence[str] | None = None
) -> None:
    from maestro.wiring.campaigns import run_campaign

    away = _roles(remote)
    _conduct(lambda observer: run_campaign(request, settings, observer, jobs, away), as_json)


def _conduct(start: Callable[[Observer], Coroutine[Any, Any, CampaignRun]], as_json: bool) -> None:
    """Run a campaign under a progress display; Ctrl-C stops it with everything kept and exit code 130."""
    from maestro.cli.progress import watching

    running: list[str] = []
    with watching(quiet=as_json) as show:

        def observe(progress: Progress) -> None:
            running[:] = [progress.campaign]
            show(progress)

        try:
            done = asyncio.run(start(observe))
        except KeyboardInterrupt:
            done = None
    if done is None:
        hint = f"; go on with: maestro campaign resume {running[0]}" if running else ""
        warn(f"maestro: stopped, what was finished is kept{hint}")
        raise typer.Exit(130)
    _show_end(done, as_json)


def _show_end(done: CampaignRun, as_json: bool) -> None:
    from maestro.cli.output import SUM_OF_TESTS, campaign_end

    if as_json:
        sealed = None if done.sealed is None else done.sealed.model_dump(mode="json")
        told = {"campaign": done.campaign, "folder": str(done.folder), "sealed": sealed}
        emit({**told, "notes": {"total_pnl": SUM_OF_TESTS}, **done.finished.model_dump(mode="json")})
    else:
        campaign_end(done.campaign, done.folder, done.finished)
    if done.finished.refused:
        raise GateRefused(done.finished.refused)


@app.command("replay")
def replay(
    campaign: Annotated[str, typer.Argument(help="Id of a campaign, last, or its folder, wherever it was carried.")],
    data: Annotated[Path | None, typer.Option(help="The data file, where it is not known here.")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Threads.")] = 2,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Run a finished campaign again from its recordings, at no cost; check its journal's hash, trades and scores."""
    from maestro.cli.output import replayed
    from maestro.cli.progress import watching
    from maestro.wiring.replays import replay_campaign

    settings = settings_with(out)
    with watching(quiet=as_json) as observer:
        found = asyncio.run(replay_campaign(_folder_or_id(settings, campaign), settings, observer, jobs, data))
    if as_json:
        emit({**asdict(found), "same": found.same, "intact": found.intact})
    else:
        replayed(found)
    if not found.intact:
        raise typer.Exit(1)


@app.command("reopen")
def reopen(
    campaign: CampaignArg,
    runs: Annotated[list[str], typer.Argument(help="Runs to look at, like seg2-p1 or seg5_test017, or last.")],
    data: Annotated[Path | None, typer.Option(help="The data file, where it is no longer where it was.")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Threads.")] = 2,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Open the sealed data of a finished campaign again: behind a gate, and each run counts as one more trial."""
    from maestro.cli.output import verdict_table
    from maestro.wiring.holdout_reopen import reopen_campaign
    from maestro.wiring.replays import last_test, read_journal

    settings = settings_with(out)
    name = campaign_id(settings, campaign)
    if "last" in runs:
        newest = last_test(read_journal(campaign_folder(settings, name)))
        runs = [newest if run == "last" else run for run in runs]
    verdict = asyncio.run(reopen_campaign(name, runs, settings, jobs, data))
    if as_json:
        emit(verdict.model_dump(mode="json"))
        return
    say(f"{verdict.word}. {verdict.sentence}")
    verdict_table(verdict)


@app.command("hash")
def hash_(
    campaign: Annotated[str, typer.Argument(help="Id of a campaign, last, or its folder.")],
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Print the hash of a campaign's journal: all that was said, the wall clock left out."""
    from maestro.wiring.replays import hash_of

    found = hash_of(_folder_or_id(settings_with(out), campaign))
    if as_json:
        emit({"campaign": campaign, "hash": found})
    else:
        say(f"{found}")


@app.command("list")
def list_(out: Out = None, as_json: Json = False) -> None:
    """List the campaigns kept here, oldest first."""
    from maestro.cli.output import campaigns_in

    rows = campaigns_in(settings_with(out).runs)
    if as_json:
        emit(rows)
    elif rows:
        table("Campaigns", ["campaign", "status", "tests", ("total_pnl", "tests' PnL added up"), "verdict"], rows)
    else:
        say("No campaigns yet. Start one with: maestro campaign run")


@app.command("show")
def show(campaign: CampaignArg, out: Out = None, as_json: Json = False) -> None:
    """Show one campaign: its verdict, its segments and the best of its leaderboard."""
    from maestro.cli.output import campaign_page

    campaign_page(campaign_folder(settings_with(out), campaign), as_json)


@app.command("report")
def report(campaign: CampaignArg, out: Out = None, as_json: Json = False) -> None:
    """Write a campaign's summary.md and summary.html anew, and say where they are."""
    from maestro.control.record.manifest import altered, renew_from
    from maestro.report.pages import write_report

    folder = campaign_folder(settings_with(out), campaign)
    found = list(altered(folder))
    written = write_report(folder)
    warn(*(line for line in found if not line.startswith("summary.")))
    renew_from(folder, written)
    paths = [str(path) for path in written]
    if as_json:
        emit({"campaign": campaign, "files": paths})
    else:
        say(*paths)


def settings_with(out: Path | None, bus: str | None = None) -> Settings:
    """The environment's settings, with ``--out`` in place of the runs folder and ``--bus`` of the bus's URL."""
    from pydantic import SecretStr

    from maestro.settings import Settings

    if bus is not None and "@" in bus:
        raise UsageError(
            "--bus: a user or password in it is shown to every user of this machine; "
            "set MAESTRO_BUS_URL instead, and leave --bus out"
        )
    given = {"runs": out, "bus_url": None if bus is None else SecretStr(bus)}
    return Settings().model_copy(update={name: value for name, value in given.items() if value is not None})


def campaign_id(settings: Settings, campaign: str) -> str:
    """*campaign*, or the newest that is kept where it is ``last``. Raises UsageError where none is."""
    from maestro.cli.output import campaigns_in

    if campaign != "last":
        return campaign
    known = campaigns_in(settings.runs)
    if not known:
        raise UsageError(f"last: no campaign is kept in {settings.runs}; start one with: maestro campaign run")
    return str(known[-1]["campaign"])


def campaign_folder(settings: Settings, campaign: str) -> Path:
    """The folder of a campaign that exists. Raises UsageError naming the nearest one."""
    from maestro.cli.output import campaigns_in

    campaign = campaign_id(settings, campaign)
    known = [str(row["campaign"]) for row in campaigns_in(settings.runs)]
    if campaign not in known:
        raise unknown_campaign(campaign, known, str(settings.runs))
    return settings.runs / campaign


def unknown_campaign(campaign: str, known: Sequence[str], place: str) -> UsageError:
    """The error that names the campaign of *known* that is nearest to *campaign*, which is none of them."""
    import difflib

    near = difflib.get_close_matches(campaign, known, n=1, cutoff=0.3)
    hint = f"did you mean {near[0]}?" if near else f"{len(known)} are kept in {place}"
    return UsageError(f"campaign {campaign[:80]!r} is not known; {hint}")


def _folder_or_id(settings: Settings, campaign: str) -> Path:
    folder = Path(campaign)
    return folder if (folder / "journal.jsonl").is_file() else campaign_folder(settings, campaign)


def _roles(names: Sequence[str] | None) -> frozenset[str]:
    """The roles behind ``--remote``. Raises UsageError."""
    from maestro.wiring.brains import role_names

    return frozenset(_one_of("--remote", name, role_names()) for name in names or ())


def _one_of(option: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise UsageError(f"{option} {value[:40]!r} is not known; choose one of: {', '.join(known)}")
    return value


def _inside(segment: int | None, segments: int, tests: int) -> None:
    if segment is not None and segment > segments:
        raise UsageError(f"--segment {segment}: --segments is {segments}")
    if segment is not None and segment > tests:
        raise UsageError(f"--segment {segment}: {tests} tests leave none for it; give more --tests")

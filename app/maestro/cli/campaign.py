"""campaign owns the commands that run a campaign and show what came of it."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maestro.cli.show import emit, table
from maestro_protocol.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from maestro.control.desk import Observer, Progress
    from maestro.settings import Settings
    from maestro.wiring.campaigns import CampaignRequest, CampaignRun
    from maestro_protocol.messages.campaign import BrainChoice, BudgetPlan

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run a campaign of micro-backtests, and read it.")

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Out = Annotated[Path | None, typer.Option("--out", help="Where campaigns are kept.  [default: runs]")]
Bus = Annotated[
    str | None,
    typer.Option("--bus", help="redis://HOST:PORT/DB#NAME; without, MAESTRO_BUS_URL, or none: all in this process."),
]
Remote = Annotated[
    list[str] | None, typer.Option("--remote", help="ROLE that `maestro agent run ROLE` answers for; needs a bus.")
]
ROLES = ("maestro", "strategist", "critic", "implementer")
CampaignArg = Annotated[str, typer.Argument(help="Id of the campaign, as `maestro campaign list` shows it.")]


BUDGET_HELP = (
    "The most models may cost: usd=5, tokens=…, requests=…, seconds=…, or none; when_exhausted=ask or offline."
)


@app.command("run")
def run(
    data: Annotated[
        Path | None, typer.Option(help="Parquet or CSV file of bars; a simulated market without.")
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Symbol of the data, where its file name does not say.")] = None,
    market: Annotated[
        str,
        typer.Option(help="Simulated market: mixed, noise, trending, mean_reverting, volatility_clusters, planted."),
    ] = "mixed",
    tests: Annotated[int, typer.Option(min=1, max=100_000, help="Micro-backtests in all; 10 is the pilot.")] = 500,
    segments: Annotated[int, typer.Option(min=1, max=100, help="Segments the tests are shared out to.")] = 5,
    segment: Annotated[int | None, typer.Option(min=1, help="Run this segment only.")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Threads; the answer does not depend on it.")] = 2,
    brain: Annotated[
        list[str] | None,
        typer.Option(help="ROLE=BRAIN[:MODEL], e.g. critic=openai:gpt-6-sol. Brains: offline, anthropic, openai."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Same seed, same data: same answer.")] = 7,
    policy: Annotated[str, typer.Option(help="Trigger policy of the rules: sequential or streak.")] = "sequential",
    notional: Annotated[float, typer.Option(min=1, max=200_000, help="Size of a position, USD.")] = 100_000,
    taker_bps: Annotated[float, typer.Option(min=0, max=1000, help="Taker fee, bps a side.")] = 5.0,
    maker_bps: Annotated[float, typer.Option(min=0, max=1000, help="Maker fee, bps a side.")] = 2.0,
    slippage_bps: Annotated[float, typer.Option(min=0, max=1000, help="Slippage of a taker fill, bps.")] = 1.0,
    blind: Annotated[bool, typer.Option("--blind", help="Prompts without dates, symbols or prices.")] = False,
    budget: Annotated[list[str] | None, typer.Option(help=BUDGET_HELP)] = None,
    bus: Bus = None,
    remote: Remote = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Run a campaign: 500 micro-backtests in 5 segments that learn while they run, and a verdict."""
    from maestro.wiring.campaigns import CampaignRequest
    from maestro_protocol.config import Costs, Sizing

    _of_data(data, symbol, market)
    request = CampaignRequest.model_validate(
        {
            "data": data,
            "symbol": symbol,
            "market": market,
            "tests": tests,
            "segments": segments,
            "only_segment": _inside(segment, segments, tests),
            "seed": seed,
            "policy": _one_of("--policy", policy, ("sequential", "streak")),
            "blind": blind,
            "brains": _brains(brain or ()),
            "costs": Costs(maker_bps=maker_bps, taker_bps=taker_bps, slippage_bps=slippage_bps),
            "sizing": Sizing.model_validate({"notional_usd": str(notional)}),
            "budget": parse_budget(budget or ()),
        }
    )
    _run(request, settings_with(out, bus), jobs, as_json, remote)


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
        sys.stderr.write(f"maestro: stopped, what was finished is kept{hint}\n")
        raise typer.Exit(130)
    _show_end(done, as_json)


def _show_end(done: CampaignRun, as_json: bool) -> None:
    from maestro.cli.show import campaign_end

    if as_json:
        emit({"campaign": done.campaign, "folder": str(done.folder), **done.finished.model_dump(mode="json")})
    else:
        campaign_end(done.campaign, done.folder, done.finished)


@app.command("replay")
def replay(
    campaign: Annotated[str, typer.Argument(help="Id of a campaign, or its folder, wherever it was carried.")],
    data: Annotated[Path | None, typer.Option(help="The data file, where it is not known here.")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Threads.")] = 2,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Run a finished campaign again from its recordings, at no cost, and check its journal's hash."""
    from maestro.cli.progress import watching
    from maestro.wiring.replays import replay_campaign

    settings = settings_with(out)
    with watching(quiet=as_json) as observer:
        found = asyncio.run(replay_campaign(_folder_or_id(settings, campaign), settings, observer, jobs, data))
    if as_json:
        emit({**asdict(found), "same": found.same})
    else:
        sys.stdout.write(f"recorded {found.recorded}\nreplayed {found.replayed}\n")
        sys.stdout.write("the same, word for word\n" if found.same else f"different: {found.difference}\n")
    if not found.same:
        raise typer.Exit(1)


@app.command("reopen")
def reopen(
    campaign: CampaignArg,
    runs: Annotated[list[str], typer.Argument(help="Runs to look at, like seg2-p1 or seg5_test017.")],
    data: Annotated[Path | None, typer.Option(help="The data file, where it is no longer where it was.")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Threads.")] = 2,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Open the sealed data of a finished campaign again: behind a gate, and each run counts as one more trial."""
    from maestro.cli.show import verdict_table
    from maestro.wiring.reopening import reopen_campaign

    verdict = asyncio.run(reopen_campaign(campaign, runs, settings_with(out), jobs, data))
    if as_json:
        emit(verdict.model_dump(mode="json"))
        return
    sys.stdout.write(f"{verdict.word}. {verdict.sentence}\n")
    verdict_table(verdict)


@app.command("hash")
def hash_(campaign: Annotated[str, typer.Argument(help="Id of a campaign, or its folder.")], out: Out = None) -> None:
    """Print the hash of a campaign's journal: all that was said, the wall clock left out."""
    from maestro.control.record.hashing import journal_hash
    from maestro.wiring.replays import read_journal

    sys.stdout.write(journal_hash(read_journal(_folder_or_id(settings_with(out), campaign))) + "\n")


@app.command("list")
def list_(out: Out = None, as_json: Json = False) -> None:
    """List the campaigns kept here, oldest first."""
    from maestro.cli.show import campaigns_in

    rows = campaigns_in(settings_with(out).runs)
    if as_json:
        emit(rows)
    elif rows:
        table("Campaigns", ["campaign", "status", "tests", "total_pnl", "verdict"], rows)
    else:
        sys.stdout.write("No campaigns yet. Start one with: maestro campaign run\n")


@app.command("show")
def show(campaign: CampaignArg, out: Out = None, as_json: Json = False) -> None:
    """Show one campaign: its verdict, its segments and the best of its leaderboard."""
    from maestro.cli.show import campaign_page

    campaign_page(campaign_folder(settings_with(out), campaign), as_json)


@app.command("report")
def report(campaign: CampaignArg, out: Out = None, as_json: Json = False) -> None:
    """Write a campaign's summary.md and summary.html anew, and say where they are."""
    from maestro.report.pages import write_report

    folder = campaign_folder(settings_with(out), campaign)
    paths = [str(path) for path in write_report(folder)]
    if as_json:
        emit({"campaign": campaign, "files": paths})
    else:
        sys.stdout.write("".join(f"{path}\n" for path in paths))


def settings_with(out: Path | None, bus: str | None = None) -> Settings:
    """The environment's settings, with ``--out`` in place of the runs folder and ``--bus`` of the bus's URL."""
    from pydantic import SecretStr

    from maestro.settings import Settings

    given = {"runs": out, "bus_url": None if bus is None else SecretStr(bus)}
    return Settings().model_copy(update={name: value for name, value in given.items() if value is not None})


def campaign_folder(settings: Settings, campaign: str) -> Path:
    """The folder of a campaign that exists. Raises UsageError naming the nearest one."""
    from maestro.cli.show import campaigns_in

    known = [str(row["campaign"]) for row in campaigns_in(settings.runs)]
    if campaign not in known:
        import difflib

        near = difflib.get_close_matches(campaign, known, n=1, cutoff=0.3)
        hint = f"did you mean {near[0]}?" if near else f"{len(known)} are kept in {settings.runs}"
        raise UsageError(f"campaign {campaign[:80]!r} is not known; {hint}")
    return settings.runs / campaign


def _folder_or_id(settings: Settings, campaign: str) -> Path:
    folder = Path(campaign)
    return folder if (folder / "journal.jsonl").is_file() else campaign_folder(settings, campaign)


def parse_budget(texts: Sequence[str]) -> BudgetPlan:
    """``usd=5``, ``tokens=200000``, ``when_exhausted=offline`` and the like as a budget. Raises UsageError."""
    from pydantic import ValidationError

    from maestro_protocol.errors import UnknownKey
    from maestro_protocol.messages.campaign import BudgetPlan

    given: dict[str, str | None] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name in given:
            raise UsageError(f"--budget {text[:80]!r}: write NAME=VALUE, each name once")
        if name not in BudgetPlan.model_fields:
            raise UnknownKey("--budget", name[:40], BudgetPlan.model_fields)
        given[name] = None if value == "none" else value
    try:
        return BudgetPlan.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"--budget {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def parse_brain(text: str) -> BrainChoice:
    """``ROLE=BRAIN[:MODEL]``. Raises UsageError."""
    from pydantic import ValidationError

    from maestro_protocol.messages.campaign import BrainChoice

    role, equals, brain = text.partition("=")
    name, _, model = brain.partition(":")
    if not equals or name not in ("offline", "anthropic", "openai"):
        raise UsageError(f"--brain {text[:80]!r}: write ROLE=BRAIN[:MODEL] with offline, anthropic or openai")
    if role not in ROLES:
        raise UsageError(f"--brain {text[:80]!r}: unknown role; known: {', '.join(ROLES)}")
    try:
        return BrainChoice.model_validate({"role": role, "brain": name, "model": model or None})
    except ValidationError:
        raise UsageError(f"--brain {text[:80]!r}: no model has such a name") from None


def _roles(names: Sequence[str] | None) -> frozenset[str]:
    """The roles behind ``--remote``. Raises UsageError."""
    from maestro.wiring.brains import ROLES

    return frozenset(_one_of("--remote", name, ROLES) for name in names or ())


def _brains(texts: Sequence[str]) -> tuple[BrainChoice, ...]:
    """One brain a role. Raises UsageError."""
    chosen = tuple(parse_brain(text) for text in texts)
    roles = [choice.role for choice in chosen]
    for role in roles:
        if roles.count(role) > 1:
            raise UsageError(f"--brain {role} is given twice; a role has one brain")
    return chosen


def _one_of(option: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise UsageError(f"{option} {value[:40]!r} is not known; choose one of: {', '.join(known)}")
    return value


def _inside(segment: int | None, segments: int, tests: int) -> int | None:
    if segment is not None and segment > segments:
        raise UsageError(f"--segment {segment}: --segments is {segments}")
    if segment is not None and segment > tests:
        raise UsageError(f"--segment {segment}: {tests} tests leave none for it; give more --tests")
    return segment


def _of_data(data: Path | None, symbol: str | None, market: str) -> None:
    """Refuse what would have no effect."""
    if data is None and symbol is not None:
        raise UsageError("--symbol names the symbol of a file: give --data too")
    if data is not None and market != "mixed":
        raise UsageError("--market is a simulated market and --data a file: give one of the two")

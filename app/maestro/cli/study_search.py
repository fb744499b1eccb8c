"""study_search owns the command that measures searches against each other by what their picks truly earn."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maestro.cli.output import table
from maestro.cli.progress import counting
from maestro.lines import emit, say

if TYPE_CHECKING:
    from maestro.wiring.yardstick.cells import Study
    from maestro.wiring.yardstick.comparison import ArmRow, Interval

QUICK = {"seeds": 4, "fresh": 100_000, "pool": 300}
QUICK_FAMILIES = ("trend", "cycle", "noise")
QUICK_ARMS = ("wide", "no allocation", "race")
BASE = "race"


def search(
    family: Annotated[
        list[str] | None, typer.Option(help="Family of markets; may be repeated.  [default: all]")
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option(help="none, small, medium or large.  [default: all but none]")
    ] = None,
    data: Annotated[list[Path] | None, typer.Option(help="File of bars; its sealed share is the truth.")] = None,
    arm: Annotated[list[str] | None, typer.Option(help="Search to run; may be repeated.  [default: all]")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Method to search with.  [default: all]")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, max=10_000, help="Markets of each cell.  [default: 24]")] = None,
    first_seed: Annotated[int, typer.Option(min=1, max=1_000_000, help="The first of the seeds.")] = 1,
    tests: Annotated[int, typer.Option(min=50, max=100_000, help="One-window backtests of each search.")] = 500,
    quick: Annotated[bool, typer.Option("--quick", help="Three families, four seeds, the fast searches.")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 2,
    out: Annotated[Path, typer.Option("--out", help="Where results are kept; the same again goes on.")] = Path(
        "runs/study-search"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Measure searches with as many backtests each: what their picks truly earn on bars that none of them saw."""
    from maestro.wiring.yardstick.cells import cells_of, limits_in, results_in, run_study
    from maestro.wiring.yardstick.comparison import compare, overall
    from maestro.wiring.yardstick.page import write_study

    study = _asked(family or (), size or (), data or (), arm or (), method or (), seeds, tests, quick)
    study = replace(study, first_seed=first_seed)
    total = len(cells_of(study)) * len(study.arms)
    with counting(total, "searches", quiet=as_json) as count:
        for done in run_study(study, out, jobs):
            count(done, f"{done:,} of {total:,}")
    results, limits = results_in(out), limits_in(out)
    rows = compare([r for r in results if r.arm in study.arms], limits, BASE)
    sums = overall(rows)
    page = write_study(out, study, rows, sums, BASE)
    if as_json:
        emit({"study": asdict(study), "rows": [asdict(row) for row in rows], "overall": [asdict(s) for s in sums]})
        return
    columns = ["market", "arm", "edge", "percent", "over", "aside"]
    table("True edge of the pick, USD a day after costs", columns, [_shown(row) for row in rows])
    table("Over all markets", ["arm", "percent", "traded_percent", "nothing"], [asdict(s) for s in sums])
    say(f"percent is of the best in hindsight; over is the difference to {BASE}, 95 % intervals")
    say(f"Look at {page}")


def _asked(
    family: list[str] | tuple[()],
    size: list[str] | tuple[()],
    data: list[Path] | tuple[()],
    arm: list[str] | tuple[()],
    method: list[str] | tuple[()],
    seeds: int | None,
    tests: int,
    quick: bool,
) -> Study:
    from maestro.wiring.yardstick.arms import ARMS
    from maestro.wiring.yardstick.cells import Study
    from maestro_engine.data.simulators.families import SIZES
    from maestro_protocol.errors import UnknownKey
    from maestro_protocol.messages.campaign import DEFAULT_METHODS

    known = [each.name for each in ARMS]
    for name in arm:
        if name not in known:
            raise UnknownKey("arms", name, known)
    families = tuple(family) or (() if data else QUICK_FAMILIES if quick else tuple(SIZES))
    return Study(
        families=families,
        sizes=tuple(size) or (("medium",) if quick else ("small", "medium", "large")),
        files=tuple(map(str, data)),
        seeds=seeds or (QUICK["seeds"] if quick else 24),
        arms=tuple(arm) or (QUICK_ARMS if quick else tuple(known)),
        methods=tuple(method) or DEFAULT_METHODS,
        tests=tests,
        fresh=QUICK["fresh"] if quick else 500_000,
        pool=QUICK["pool"] if quick else 1_500,
    )


def _shown(row: ArmRow) -> dict[str, object]:
    spans = {"edge": _span(row.edge), "traded": _span(row.traded), "over": _span(row.over)}
    return {**asdict(row), **spans, "market": f"{row.market} {row.size}", "aside": f"{row.aside:.0%}"}


def _span(interval: Interval | None) -> str | None:
    return None if interval is None else f"{interval.mean:,.0f} ({interval.low:,.0f} to {interval.high:,.0f})"

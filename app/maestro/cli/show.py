"""show owns how things look on a terminal: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from maestro_protocol.errors import StoreError
from maestro_protocol.printing import printable

if TYPE_CHECKING:
    from pydantic import BaseModel

    from maestro_protocol.messages.campaign import CampaignFinished, Verdict
    from maestro_protocol.messages.report import SegmentFinished

M = TypeVar("M", bound="BaseModel")


def emit(value: object) -> None:
    """*value* as JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")


def cell(value: object) -> str:
    """A value in a table: unknown is a dash."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.4g}" if isinstance(value, float) else plain(str(value))


def table(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print *rows*; text from files and models is shown as it is, never as markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=Text(title), title_justify="left")
    for place, column in enumerate(columns):
        drawn.add_column(Text(column), overflow="fold", no_wrap=place == 0)  # the first is what one copies
    for row in rows:
        drawn.add_row(*(Text(cell(row.get(column))) for column in columns))
    Console().print(drawn)


def plain(text: str) -> str:
    """*text* in one line, without what commands a terminal: what a model said must not redraw the screen."""
    return printable(text).replace("\n", "\N{REPLACEMENT CHARACTER}").replace("\t", " ")


def load(path: Path, kind: type[M]) -> M:
    """A file of the campaign's own. Raises StoreError where it is not there or not what it should be."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        raise StoreError(f"{path}: is missing or damaged; has the campaign finished?") from None


def campaigns_in(runs: Path) -> list[dict[str, object]]:
    """A row for each campaign folder in *runs*, oldest first."""
    folders = [f for f in runs.iterdir() if (f / "campaign.yaml").is_file()] if runs.is_dir() else []
    return [
        _summary(folder) for folder in sorted(folders, key=lambda f: ((f / "campaign.yaml").stat().st_mtime, f.name))
    ]


def _summary(folder: Path) -> dict[str, object]:
    row: dict[str, object] = {"campaign": folder.name, "tests": None, "total_pnl": None, "verdict": None}
    try:
        metrics: Any = json.loads((folder / "metrics_global.json").read_text(encoding="utf-8"))
        told = {name: metrics[name] for name in ("status", "tests", "total_pnl")}
        verdict = metrics["verdict"]
        return {**row, **told, "verdict": None if verdict is None else verdict["word"]}
    except OSError:
        return {**row, "status": "unfinished"}
    except (ValueError, TypeError, KeyError):
        return {**row, "status": "damaged"}


def campaign_end(campaign: str, folder: Path, finished: CampaignFinished) -> None:
    """What a person sees when a campaign is done: the verdict first."""
    from maestro.report.headline import who_thought

    write = sys.stdout.write
    if finished.verdict is not None:
        write(f"{finished.verdict.word}. {finished.verdict.sentence}\n\n")
        verdict_table(finished.verdict)
    if finished.thinking:
        write(f"{plain(who_thought(finished.thinking))}\n")
    write(
        f"{finished.tests:,} {'test' if finished.tests == 1 else 'tests'}, {finished.trades:,} trades, "
        f"total PnL {finished.total_pnl:,.2f} USD after costs\n"
    )
    write(f"Campaign {campaign} is kept in {folder}\n")
    summary = folder / "summary.html"
    if summary.is_file():
        write(f"Look at {summary}\n")


def verdict_table(verdict: Verdict) -> None:
    """The figures behind a verdict."""
    rows = [{"figure": f.name, "value": f.value, "wanted": f.threshold, "passes": f.passes} for f in verdict.figures]
    if rows:
        table("Behind the verdict", ["figure", "value", "wanted", "passes"], rows)


def campaign_page(folder: Path, as_json: bool) -> None:
    """One finished campaign: verdict, segments, the head of the leaderboard."""
    from maestro_protocol.messages.campaign import CampaignFinished
    from maestro_protocol.messages.report import SegmentFinished

    finished = load(folder / "metrics_global.json", CampaignFinished)
    segments = sorted(folder.glob("segment_*/segment_results.json"), key=lambda path: (len(str(path)), path))
    rows = [_segment_row(load(path, SegmentFinished)) for path in segments]
    head = _leaderboard(folder / "leaderboard.csv")
    if as_json:
        told = finished.model_dump(mode="json")
        emit({"campaign": folder.name, "finished": told, "segments": rows, "leaderboard": head})
        return
    campaign_end(folder.name, folder, finished)
    table("Segments", ["segment", "goal", "tests", "total_pnl", "hit", "payoff", "score", "patches"], rows)
    columns = ["rank", "test_id", "methods", "total_pnl", "validation_pnl", "hit", "payoff", "sharpe", "score"]
    table("Leaderboard, by validation Sharpe", columns, head)


def _leaderboard(path: Path) -> list[dict[str, str]]:
    import csv

    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [row for row, _ in zip(csv.DictReader(file), range(10), strict=False)]
    except (OSError, ValueError, csv.Error):
        raise StoreError(f"{path}: is missing or damaged; has the campaign finished?") from None


def _segment_row(segment: SegmentFinished) -> dict[str, object]:
    whole = segment.whole
    return {
        "segment": segment.segment,
        "goal": segment.goal,
        "tests": segment.tests,
        "total_pnl": float(whole.total_pnl),
        "hit": whole.hit,
        "payoff": whole.payoff,
        "score": whole.score,
        "patches": f"{segment.patches_applied} applied, {segment.patches_refused} refused",
    }

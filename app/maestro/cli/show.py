"""show owns how things look on a terminal: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from maestro_protocol.errors import UsageError

if TYPE_CHECKING:
    from maestro_protocol.messages.campaign import CampaignFinished, Verdict


def emit(value: object) -> None:
    """*value* as JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")


def cell(value: object) -> str:
    """A value in a table: unknown is a dash."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


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


def load_json(path: Path) -> object:
    """A JSON file of the campaign's own. Raises UsageError where it is not there or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError(f"{path}: is missing or not JSON; the campaign may not have finished") from None


def campaigns_in(runs: Path) -> list[dict[str, object]]:
    """A row for each campaign folder in *runs*, oldest first."""
    folders = [f for f in runs.iterdir() if (f / "campaign.yaml").is_file()] if runs.is_dir() else []
    return [
        _summary(folder) for folder in sorted(folders, key=lambda f: ((f / "campaign.yaml").stat().st_mtime, f.name))
    ]


def _summary(folder: Path) -> dict[str, object]:
    metrics: dict[str, Any]
    verdict: dict[str, Any]
    try:
        metrics = json.loads((folder / "metrics_global.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"campaign": folder.name, "status": "unfinished", "tests": None, "total_pnl": None, "verdict": None}
    verdict = metrics.get("verdict") or {}
    return {
        "campaign": folder.name,
        "status": metrics.get("status"),
        "tests": metrics.get("tests"),
        "total_pnl": metrics.get("total_pnl"),
        "verdict": verdict.get("word"),
    }


def campaign_end(campaign: str, folder: Path, finished: CampaignFinished) -> None:
    """What a person sees when a campaign is done: the verdict first."""
    write = sys.stdout.write
    if finished.verdict is not None:
        write(f"{finished.verdict.word}. {finished.verdict.sentence}\n\n")
        verdict_table(finished.verdict)
    write(
        f"{finished.tests} tests, {finished.trades:,} trades, total PnL {finished.total_pnl:,.2f} USD after costs\n"
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
    import csv

    from maestro_protocol.messages.campaign import CampaignFinished

    raw = load_json(folder / "metrics_global.json")
    finished = CampaignFinished.model_validate(raw)
    segments = [load_json(path) for path in sorted(folder.glob("segment_*/segment_results.json"))]
    with (folder / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        head = [row for row, _ in zip(csv.DictReader(file), range(10), strict=False)]
    rows = [_segment_row(cast("dict[str, Any]", segment)) for segment in segments]
    if as_json:
        emit({"campaign": folder.name, "finished": raw, "segments": rows, "leaderboard": head})
        return
    campaign_end(folder.name, folder, finished)
    table("Segments", ["segment", "goal", "tests", "total_pnl", "hit", "payoff", "score", "patches"], rows)
    columns = ["rank", "test_id", "methods", "total_pnl", "validation_pnl", "hit", "payoff", "sharpe", "score"]
    table("Leaderboard, by validation Sharpe", columns, head)


def _segment_row(segment: Mapping[str, Any]) -> dict[str, object]:
    whole = segment["whole"]
    return {
        "segment": segment["segment"],
        "goal": segment["goal"],
        "tests": segment["tests"],
        "total_pnl": whole["total_pnl"],
        "hit": whole["hit"],
        "payoff": whole["payoff"],
        "score": whole["score"],
        "patches": f"{segment['patches_applied']} applied, {segment['patches_refused']} refused",
    }

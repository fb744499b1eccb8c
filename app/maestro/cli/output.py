"""output owns how things look on a terminal: tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from maestro.lines import emit, say
from maestro_protocol.errors import StoreError, UnknownVersion
from maestro_protocol.sanitize import one_line

if TYPE_CHECKING:
    from pydantic import BaseModel

    from maestro.wiring.replays import Replayed
    from maestro_protocol.messages.campaign import CampaignFinished, Verdict
    from maestro_protocol.messages.report import SegmentFinished

M = TypeVar("M", bound="BaseModel")


ALTERED_SHOWN = 20
SUM_OF_TESTS = "sum over all tests, whose windows overlap: nobody earned it"
"""What the ``total_pnl`` of many tests is."""
_DECIMAL = re.compile(r"-?\d+\.\d+(E[+-]?\d+)?", re.IGNORECASE)
LONGEST_WORD = 16
Column = str | tuple[str, str]
"""A key of the rows, or a key and what stands above its values."""


def cell(value: object) -> str:
    """A value in a table: unknown is a dash, a number has its thousands apart and no more digits than it needs."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    found = _number(value)
    return one_line(str(value)) if found is None else _digits(found, found)


def _number(value: object) -> int | Decimal | None:
    """*value* as a number where it is one, or text that holds nothing but a decimal number."""
    if isinstance(value, int):
        return None if isinstance(value, bool) else value
    if isinstance(value, float | Decimal) or (isinstance(value, str) and _DECIMAL.fullmatch(value)):
        found = Decimal(str(value))
        return found if found.is_finite() else None
    return None


def _digits(value: int | Decimal, largest: int | Decimal) -> str:
    """*value* with the decimals that suit its column, whose *largest* number is of that size."""
    if isinstance(value, int) or value == value.to_integral_value():
        return f"{int(value):,}"
    size = abs(value)
    if size >= 1:
        return f"{value:,.0f}" if abs(largest) >= 1_000 else f"{value:,.2f}"
    if size < Decimal("0.0000001"):
        return f"{value:.1e}"
    return f"{value:.{2 - value.adjusted()}f}".rstrip("0")  # three digits that say something


def table(title: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print *rows*; text from files and models is shown as it is, never as markup.

    Numbers stand to the right. Where there is no room, sentences are wrapped; numbers, names and the first column,
    which is what one copies, are whole.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    drawn.pad_edge = drawn.show_edge = False
    console = Console()
    found = [_column(column, rows, place == 0) for place, column in enumerate(columns)]
    spare = console.width - sum(column.least + 2 for column in found)
    for column in found:
        more = min(max(spare, 0), column.most - column.least)
        spare -= more
        justify = "right" if column.numbers else "left"
        drawn.add_column(Text(column.heading), overflow="fold", justify=justify, width=column.least + more)
    for row in zip(*(column.cells for column in found), strict=True):
        drawn.add_row(*map(Text, row))
    console.width = max(console.width, console.width - spare)  # a line too long is better than a column left out
    console.print(drawn)


class _Column(NamedTuple):
    heading: str
    cells: list[str]
    numbers: bool
    least: int
    """Characters without which a word would be broken."""
    most: int


def _column(column: Column, rows: Sequence[Mapping[str, Any]], whole: bool) -> _Column:
    key, heading = (column, column.replace("_", " ")) if isinstance(column, str) else column
    known = [value for row in rows if (value := row.get(key)) is not None and value != ""]
    numbers = [number for value in known if (number := _number(value)) is not None]
    right = bool(numbers) and len(numbers) == len(known)
    cells = [_cell_of(row.get(key), max(map(abs, numbers)) if right else None) for row in rows]
    parts = cells if right or whole else [word for text in cells for word in _words(text)]
    least = max(map(len, [*heading.split(), *parts]))
    return _Column(heading, cells, right, least, max([least, *([] if right else [len(heading)]), *map(len, cells)]))


def _cell_of(value: object, largest: int | Decimal | None) -> str:
    found = _number(value)
    return cell(value) if found is None or largest is None else _digits(found, largest)


def _words(text: str) -> list[str]:
    """The words of a cell that should not be broken: names are short."""
    return [word for word in text.split() if len(word) <= LONGEST_WORD]


def load(path: Path, kind: type[M]) -> M:
    """A file of the campaign's own. Raises StoreError where it is not there or not what it should be."""
    from maestro_protocol.messages.versions import unknown_word, written_elsewhere

    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        word = unknown_word(error)
        if word is not None:
            raise UnknownVersion(f"{path}: {written_elsewhere(None, word)}") from None
        raise StoreError(f"{path}: is missing or damaged; has the campaign finished?") from None


LISTED = ("metrics_global.json", "summary.html", "summary.md", "campaign.yaml", "leaderboard.csv", "journal.jsonl")
"""Files of a campaign that a list of many looks at; `campaign show` looks at all."""


def campaigns_in(runs: Path) -> list[dict[str, object]]:
    """A row for each campaign folder in *runs*, oldest first."""
    folders = [f for f in runs.iterdir() if (f / "campaign.yaml").is_file()] if runs.is_dir() else []
    return [
        _summary(folder) for folder in sorted(folders, key=lambda f: ((f / "campaign.yaml").stat().st_mtime, f.name))
    ]


def _summary(folder: Path) -> dict[str, object]:
    from maestro.control.record.manifest import altered

    row: dict[str, object] = {"campaign": folder.name, "tests": None, "total_pnl": None, "verdict": None}
    try:
        metrics: Any = json.loads((folder / "metrics_global.json").read_text(encoding="utf-8"))
        told = {name: metrics[name] for name in ("status", "tests", "total_pnl")}
        verdict = metrics["verdict"]
        if any(altered(folder, LISTED)):
            told["status"] = "altered"
        return {**row, **told, "verdict": None if verdict is None else verdict["word"]}
    except OSError:
        return {**row, "status": "unfinished"}
    except (ValueError, TypeError, KeyError):
        return {**row, "status": "damaged"}


def campaign_end(campaign: str, folder: Path, finished: CampaignFinished) -> None:
    """What a person sees when a campaign is done: the verdict first."""
    from maestro.report.headline import who_thought

    if finished.verdict is not None:
        say(f"{finished.verdict.word}. {finished.verdict.sentence}", "")
        verdict_table(finished.verdict)
    if finished.thinking:
        say(who_thought(finished.thinking))
    say(
        f"{finished.tests:,} {'test' if finished.tests == 1 else 'tests'}, {finished.trades:,} trades, "
        f"{finished.total_pnl:,.0f} USD after costs ({SUM_OF_TESTS})"
    )
    asked = () if finished.whole is None else finished.whole.extra.items()
    say(*(f"{name} {'unknown' if value is None else f'{value:.2f}'}, the mean of all tests" for name, value in asked))
    say(f"Campaign {campaign} is kept in {folder}")
    summary = folder / "summary.html"
    if summary.is_file():
        say(f"Look at {summary}")


def replayed(found: Replayed) -> None:
    """What a replay found: the same, where it differs, or what holds of another Maestro's record and what is open."""
    from maestro_protocol.messages.versions import this_version

    say(f"recorded {found.recorded}", f"replayed {found.replayed}")
    if found.writer is not None:
        say(
            f"written by {found.writer}, whose rules are not those of this one ({this_version()})",
            f"told again, it parts at {found.difference}",
            f"run again from their run.yaml, {found.tests_rerun} tests leave the same trades and scores",
            *(f"different: {line}" for line in found.files),
        )
        if found.intact:
            say(f"whole: the {found.entries} entries of its journal follow one another, its digests hold")
        say("not checked: that its roles would decide so again, its summary and its tables; only that Maestro can")
        return
    wrong = [found.difference, *found.files] if found.difference else found.files
    said = [f"different: {line}" for line in wrong] or ["the same, word for word, with the same trades and scores"]
    say(*said)


def verdict_table(verdict: Verdict) -> None:
    """The figures behind a verdict."""
    rows = [{"figure": f.name, "value": f.value, "wanted": f.threshold, "passes": f.passes} for f in verdict.figures]
    if rows:
        table("Behind the verdict", ["figure", "value", "wanted", "passes"], rows)
        say("")


def _lines_altered(folder: Path) -> list[str]:
    """The batches whose tests' trades or scores in *folder* are not those that its journal has the digest of."""
    from maestro.control.record.replay_diff import against_digests
    from maestro.wiring.replays import read_journal
    from maestro_protocol.errors import DataError, UsageError

    try:
        return list(against_digests(folder, read_journal(folder)))
    except (UsageError, DataError) as error:
        return [str(error)]


def campaign_page(folder: Path, as_json: bool) -> None:
    """One finished campaign: verdict, segments, the head of the leaderboard."""
    from maestro.control.record.manifest import altered
    from maestro_protocol.messages.campaign import CampaignFinished
    from maestro_protocol.messages.report import SegmentFinished

    wrong = [*altered(folder), *_lines_altered(folder)]
    finished = load(folder / "metrics_global.json", CampaignFinished)
    segments = sorted(folder.glob("segment_*/segment_results.json"), key=lambda path: (len(str(path)), path))
    rows = [_segment_row(load(path, SegmentFinished)) for path in segments]
    head = _leaderboard(folder / "leaderboard.csv")
    if as_json:
        told = finished.model_dump(mode="json")
        note = {"total_pnl": SUM_OF_TESTS, "altered": wrong}
        emit({"campaign": folder.name, "notes": note, "finished": told, "segments": rows, "leaderboard": head})
        return
    say(*(f"ALTERED SINCE: {line}" for line in wrong[:ALTERED_SHOWN]))
    campaign_end(folder.name, folder, finished)
    added: Column = ("total_pnl", "tests' PnL added up")
    patches: list[Column] = [("patches_applied", "patches"), ("patches_refused", "refused")]
    table("Segments", ["segment", "goal", "tests", added, "hit", "payoff", "score", *patches], rows)
    say("")
    columns: list[Column] = [
        "rank",
        ("test_id", "test"),
        "methods",
        ("validation_sharpe", "Sharpe there"),
        ("validation_pnl", "PnL there"),
        ("total_pnl", "PnL of all"),
        "hit",
        "payoff",
        "score",
    ]
    head = [row | {"methods": (row.get("methods") or "").replace("+", " + ")} for row in head]
    table("Leaderboard, by Sharpe on validation", columns, head)


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
        "patches_applied": segment.patches_applied,
        "patches_refused": segment.patches_refused,
        "patches": f"{segment.patches_applied} applied, {segment.patches_refused} refused",
    }

"""campaign_data owns the reading of a campaign's folder: everything the report says, and what is missing from it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from maestro.report.journal import JournalFacts, first_line, read_journal
from maestro.yaml_reader import parse, read_bytes
from maestro_protocol.base import Frozen
from maestro_protocol.errors import ConfigError, DataError, UnknownVersion
from maestro_protocol.messages.campaign import CampaignConfig, CampaignFinished, Exhibits, Verdict
from maestro_protocol.messages.report import SegmentFinished, TestReport
from maestro_protocol.messages.tearsheet import TearSheets
from maestro_protocol.messages.versions import unknown_word, writer_of, written_elsewhere
from maestro_protocol.space import Value

HEAD = 10
"""Rows of the leaderboard that are shown."""
Model = TypeVar("Model", bound=Frozen)


@dataclass(frozen=True, slots=True)
class Beside:
    """A file or folder beside the report: its path from there, and what it holds."""

    path: str
    holds: str


BESIDE = (
    Beside("leaderboard.csv", "every test with its figures, best first"),
    Beside("metrics_global.json", "totals, verdict and finalists"),
    Beside("exhibits.json", "what the pictures are drawn from"),
    Beside("campaign.yaml", "what was asked for, complete"),
    Beside("journal.jsonl", "everything that was said, a message a line"),
    Beside("recordings.jsonl", "the answers of models, from which it can be replayed"),
)


@dataclass(frozen=True)
class Facts:
    """One campaign, as far as its folder tells."""

    config: CampaignConfig
    finished: CampaignFinished | None
    exhibits: Exhibits | None
    segments: tuple[SegmentFinished, ...]
    told: JournalFacts | None
    leaderboard: tuple[dict[str, str], ...]
    missing: tuple[str, ...]
    """What the folder does not have and what that means, a sentence each."""
    files: tuple[Beside, ...] = ()
    """What lies beside the report."""

    @property
    def verdict(self) -> Verdict | None:
        return self.finished.verdict if self.finished else None

    @property
    def sheets(self) -> TearSheets | None:
        """How the finalists' results came about."""
        return self.exhibits.tear_sheets if self.exhibits else None

    @property
    def simulated(self) -> bool:
        return self.config.data.simulated

    @cached_property
    def tests(self) -> tuple[TestReport, ...]:
        """All tests of the finished segments, in the order they ran."""
        return tuple(test for segment in self.segments for test in segment.results)

    @cached_property
    def place(self) -> dict[str, int]:
        """How many tests ran up to each one, itself included."""
        return {test.test_id: number for number, test in enumerate(self.tests, start=1)}

    @cached_property
    def repeated(self) -> int:
        """Tests that ran as another had before: the same methods and parameters in the same window."""
        return len(self.tests) - len({(test.methods, test.params, test.window) for test in self.tests})

    @cached_property
    def values(self) -> dict[str, dict[str, Value]]:
        """Parameter values by name, of every test."""
        return {test.test_id: {item.name: item.value for item in test.params} for test in self.tests}


def gather(folder: Path) -> Facts:
    """Everything in *folder* that the report needs. Raises DataError where a file is there and cannot be read."""
    config = _config(folder / "campaign.yaml")
    segments = tuple(
        sorted(
            (_model(SegmentFinished, path) for path in folder.glob("segment_*/segment_results.json")),
            key=lambda segment: segment.segment,
        )
    )
    finished = _optional(CampaignFinished, folder / "metrics_global.json")
    exhibits = _optional(Exhibits, folder / "exhibits.json")
    journal = folder / "journal.jsonl"
    board = folder / "leaderboard.csv"
    return Facts(
        config=config,
        finished=finished,
        exhibits=exhibits,
        segments=segments,
        told=read_journal(journal) if journal.is_file() else None,
        leaderboard=_head(board) if board.is_file() else (),
        missing=tuple(_missing(folder, config, finished, segments)),
        files=tuple(_beside(folder, segments)),
    )


def _beside(folder: Path, segments: Sequence[SegmentFinished]) -> Iterator[Beside]:
    yield from (file for file in BESIDE if (folder / file.path).is_file())
    for segment in segments:
        what = "trades.jsonl, scores.jsonl and run.yaml of each test, and segment_results.json"
        yield Beside(f"segment_{segment.segment}/", what)


def _missing(
    folder: Path, config: CampaignConfig, finished: CampaignFinished | None, segments: tuple[SegmentFinished, ...]
) -> list[str]:
    said: list[str] = []
    if finished is None:
        said.append(
            "The campaign has not come to its end: there is no metrics_global.json, so no totals and no verdict."
        )
    if not (folder / "exhibits.json").is_file():
        said.append("There is no exhibits.json: equity, luck and overfitting cannot be drawn.")
    if not (folder / "journal.jsonl").is_file():
        said.append("There is no journal.jsonl: trials, patches and plans cannot be told.")
    if not (folder / "leaderboard.csv").is_file():
        said.append("There is no leaderboard.csv: tests are not ranked.")
    done = {segment.segment for segment in segments}
    for number in range(1, min(config.segments, config.tests) + 1):
        if number not in done and (folder / f"segment_{number}").is_dir():
            tests = sum(1 for _ in (folder / f"segment_{number}").glob("test_*/run.yaml"))
            said.append(f"Segment {number} was not finished: {tests} of its tests are kept but not summed up here.")
    return said


def _config(path: Path) -> CampaignConfig:
    if not path.is_file():
        raise DataError(f"{path}: is not there; is this a campaign's folder?")
    try:
        data = parse(read_bytes(path), path.name)
    except ConfigError as error:
        raise DataError(f"{path.parent}/{error}") from None  # which begins with the file's name
    try:
        return CampaignConfig.model_validate(data)
    except ValidationError as error:
        if (word := unknown_word(error)) is not None:
            raise UnknownVersion(f"{path}: {written_elsewhere(writer_of(data), word)}") from None
        raise DataError(f"{path}: is not a campaign's configuration ({first_line(error)})") from None


def _optional(kind: type[Model], path: Path) -> Model | None:
    return _model(kind, path) if path.is_file() else None


def _model(kind: type[Model], path: Path) -> Model:
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        if (word := unknown_word(error)) is not None:
            raise UnknownVersion(f"{path}: {written_elsewhere(None, word)}") from None
        raise DataError(f"{path}: is not a {kind.__name__} ({first_line(error)})") from None


def _head(path: Path) -> tuple[dict[str, str], ...]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return tuple(islice(csv.DictReader(file), HEAD))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({first_line(error)})") from None

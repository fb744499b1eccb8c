"""replay_diff owns the question whether a campaign's folder still holds the trades and scores that its tests left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from maestro.control.record.journal_hash import first_difference, without_clock
from maestro.yaml_reader import parse
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import ConfigError
from maestro_protocol.messages.campaign import CampaignFinished, HoldoutOpened, LooksCounted, TrialRecorded, Verdict
from maestro_protocol.messages.events import BatchFinished
from maestro_protocol.messages.gate import GateDecided, GateRequest

LINES = ("trades.jsonl", "scores.jsonl")


def against_digests(folder: Path, journal: Iterable[Envelope]) -> Iterator[str]:
    """The batches whose tests' lines in *folder* are not those that the journal has the digest of."""
    for envelope in journal:
        batch = envelope.body
        if not isinstance(batch, BatchFinished):
            continue
        digest = hashlib.sha256()
        for run in batch.tests:
            for name in LINES:
                digest.update(
                    read_or_empty(folder / f"segment_{batch.segment}" / f"test_{run.rpartition('_test')[2]}" / name)
                )
        if digest.hexdigest() != batch.digest:
            yield (
                f"segment {batch.segment}, {batch.tests[0]} to {batch.tests[-1]}: the lines in their files have not "
                f"the digest that the journal has ({envelope.id})"
            )


def against_lines(folder: Path, told: Path) -> Iterator[str]:
    """The tests whose lines in *folder* differ from those in *told*, another folder of the same campaign."""
    tests = {test.relative_to(root) for root in (folder, told) for test in root.glob("segment_*/test_*")}
    for test in sorted(tests):
        for name in LINES:
            here, there = read_or_empty(folder / test / name), read_or_empty(told / test / name)
            if here != there:
                run = f"{test.parts[0].replace('segment_', 'seg')}_{test.parts[1].replace('test_', 'test')}"
                yield f"{run}, {name}{difference_of(here, there)}"


RETOLD = ("campaign.yaml", "root.yaml", "leaderboard.csv", "metrics_global.json", "exhibits.json")
"""Files of a campaign's own folder that a replay writes again."""
_IN_SEGMENTS = ("*.json", "lineage/*.yaml", "test_*/run.yaml")


def against_files(folder: Path, told: Path) -> Iterator[str]:
    """The files that people read in *folder* and that differ from those in *told*, the wall clock left out."""
    patterns = [f"segment_*/{pattern}" for pattern in _IN_SEGMENTS]
    found = {path.relative_to(told) for pattern in patterns for path in told.glob(pattern)}
    for name in [*map(Path, RETOLD), *sorted(found)]:
        here, there = read_or_empty(folder / name), read_or_empty(told / name)
        if here != there and _plain(name, here) != _plain(name, there):
            yield f"{name.as_posix()}: {_difference(name, here, there)}"


def _plain(name: Path, content: bytes) -> object:
    """What a file says without the wall clock; its bytes where it is no file of data."""
    try:
        if name.suffix == ".json":
            return without_clock(json.loads(content))
        return without_clock(parse(content, name.name)) if name.suffix == ".yaml" else content
    except (ValueError, RecursionError, ConfigError):
        return content


def _difference(name: Path, here: bytes, there: bytes) -> str:
    if not here or not there:
        return "is not in the folder, or empty" if not here else "the replay leaves no such file"
    left, right = _plain(name, here), _plain(name, there)
    if isinstance(left, bytes) or isinstance(right, bytes):
        return "is not what the replay writes"
    return first_difference(left, right)


LATER = (GateRequest, GateDecided, TrialRecorded, LooksCounted, HoldoutOpened, Verdict)
"""What may be said of a campaign after its end: that its sealed data was opened again."""


def after_the_end(journal: Sequence[Envelope]) -> Iterator[str]:
    """What a journal says after the campaign's end and no reopening says there, or out of order."""
    ended = False
    for place, envelope in enumerate(journal, start=1):
        if envelope.seq != place:
            yield f"journal.jsonl, line {place}: is number {envelope.seq}"
            return
        if ended and not isinstance(envelope.body, LATER):
            yield f"journal.jsonl, line {place}: a {envelope.body.type} after the campaign's end"
        ended = ended or isinstance(envelope.body, CampaignFinished)


def difference_of(here: bytes, there: bytes) -> str:
    """Where the lines *here*, recorded, part first from those *there*, replayed; with what to say before it."""
    if not here or not there:
        return ": is not in the folder, or empty" if not here else ": the replay leaves no such line"
    left, right = here.split(b"\n"), there.split(b"\n")
    line = next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    if line >= len(left) - 1 or line >= len(right) - 1:
        return f": has {len(left) - 1} lines, the replay {len(right) - 1}"
    try:
        recorded, replayed = json.loads(left[line]), json.loads(right[line])
        if recorded == replayed:
            return f", line {line + 1}: says the same in other bytes"
        return f", line {line + 1}: {first_difference(recorded, replayed)}"
    except (ValueError, RecursionError):
        return f", line {line + 1}: is no line of the replay"


def read_or_empty(path: Path) -> bytes:
    """What is in a file; nothing where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""

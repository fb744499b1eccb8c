"""replay_diff owns the question whether a campaign's folder still holds the trades and scores that its tests left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from maestro.control.record.journal_hash import first_difference
from maestro_protocol.envelope import Envelope
from maestro_protocol.messages.events import BatchFinished

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
                    _read(folder / f"segment_{batch.segment}" / f"test_{run.rpartition('_test')[2]}" / name)
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
            here, there = _read(folder / test / name), _read(told / test / name)
            if here != there:
                run = f"{test.parts[0].replace('segment_', 'seg')}_{test.parts[1].replace('test_', 'test')}"
                yield f"{run}, {name}{_where(here, there)}"


def _where(here: bytes, there: bytes) -> str:
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


def _read(path: Path) -> bytes:
    """What is in a file; nothing where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""

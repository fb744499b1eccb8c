"""verify owns the ten-point checklist: whether the evidence of a session shows that it behaved."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TextIO, cast

import msgspec
from msgspec import Struct, field

from maestro_engine.session.evidence.report import ARTIFACTS, FinalReport, read_report
from maestro_engine.session.safety.state import StateFile
from maestro_engine.session.trail.parts import (
    DAMAGED,
    Part,
    TrailChain,
    chain_of,
    exists,
    find_part,
    reading,
    sealed_parts,
)
from maestro_engine.session.trail.retention import BEAT, DROPPABLE, HeartbeatGaps
from maestro_engine.session.trail.scrub import Scrubber
from maestro_engine.trading.risk.guard import CLEARABLE
from maestro_engine.trading.venue.money import exact
from maestro_protocol.errors import DataError

LONGEST_GAP_S = 5.0
MOST_ERRORS = 5
MOST_RSS_MB = 500.0
TIMER_SLACK = 0.999


class Check(Struct, frozen=True):
    """One point: what was asked, whether it holds, and what shows it."""

    number: int
    name: str
    passed: bool
    evidence: str


class _Line(Struct):
    """What the checks read of a line; the rest is skipped."""

    seq: int
    event: str
    elapsed: float | None = None
    seconds: float | None = None
    down_ms: int | None = None
    reason: str | None = None
    exit_code: int | None = None
    qty: Decimal | None = None
    price: Decimal | None = None
    side: str | None = None
    fees: Decimal | None = None
    received: Decimal | None = None
    who: str = ""
    why: str = ""


class _Guard(Struct):
    trips: dict[str, object] = {}


class _Trail(Struct):
    """What the trail adds up to, in one pass."""

    lines: int = 0
    holes: int = 0
    heartbeats: int = 0
    gaps: HeartbeatGaps = field(default_factory=HeartbeatGaps)
    parts: int = 1
    thinned: int = 0
    shutdown: str | None = None
    cash: Decimal = Decimal(0)
    """What fills, fees and funding brought in all."""
    fees: Decimal = Decimal(0)
    damage: str = ""
    tripped: set[str] = field(default_factory=set[str])
    """Breakers that only a person clears, and nobody has."""
    cleared: list[str] = field(default_factory=list[str])


def verify(folder: Path, secrets: Sequence[str] = ()) -> list[Check]:
    """The checklist for the run in *folder*. *secrets* must be in none of its files.

    Raises :class:`DataError` where there is no run at all.
    """
    if not exists(folder / "events.jsonl"):
        raise DataError(f"{folder}: no events.jsonl, so no session ran here")
    report, trail = read_report(folder), _read_trail(folder / "events.jsonl")
    asked: list[tuple[str, Callable[[], tuple[bool, str]]]] = [
        ("ran the full duration", lambda: _duration(report)),
        ("exit code 0", lambda: _exit_code(report)),
        (f"at most {MOST_ERRORS} errors", lambda: _errors(report)),
        (f"no heartbeat gap over {LONGEST_GAP_S:g} s", lambda: _heartbeats(trail)),
        ("state persisted", lambda: _state(folder, trail)),
        ("graceful shutdown logged", lambda: _shutdown(trail)),
        (f"peak memory under {MOST_RSS_MB:g} MB", lambda: _memory(report)),
        ("artifacts present", lambda: _artifacts(folder)),
        ("PnL integrity", lambda: _pnl(report, trail)),
        ("no secret in any file", lambda: _secrets(folder, secrets)),
    ]
    return [Check(number, name, *look()) for number, (name, look) in enumerate(asked, 1)]


_NO_REPORT = (False, "final_report.json is missing or cannot be read")


def _duration(report: FinalReport | None) -> tuple[bool, str]:
    if report is None:
        return _NO_REPORT
    ran, planned = report.duration_seconds, report.planned_seconds
    return ran >= planned * TIMER_SLACK, f"{ran:g} of {planned:g} s, ended by {report.reason}"


def _exit_code(report: FinalReport | None) -> tuple[bool, str]:
    return (report.exit_code == 0, f"exit code {report.exit_code}") if report is not None else _NO_REPORT


def _errors(report: FinalReport | None) -> tuple[bool, str]:
    return (report.error_count <= MOST_ERRORS, f"{report.error_count} errors") if report is not None else _NO_REPORT


def _heartbeats(trail: _Trail) -> tuple[bool, str]:
    away_s, longest_s = trail.gaps.away_s, trail.gaps.longest_s
    away = f" besides a pause of the process of {away_s:.1f} s" if away_s else ""
    told = f"{trail.heartbeats} heartbeats, longest gap {longest_s:.2f} s{away}"
    return trail.heartbeats > 0 and longest_s <= LONGEST_GAP_S, told


def _state(folder: Path, trail: _Trail) -> tuple[bool, str]:
    try:
        loaded = StateFile(folder).load()
    except DataError as error:
        return False, str(error)
    if loaded is None:
        return False, "no state was ever saved"
    if loaded.fell_back is not None:
        return False, f"only the backup is whole: {loaded.fell_back}"
    phase, seq = loaded.state.get("phase"), loaded.state.get("seq")
    known = isinstance(seq, int) and seq <= trail.lines
    guard = loaded.state.get("guard")
    stands = msgspec.convert(guard, _Guard).trips if isinstance(guard, dict) else {}
    gone = sorted(trail.tripped - stands.keys())
    if gone:
        return False, f"{', '.join(gone)}: tripped, and gone from the state though nobody cleared it"
    cleared = "".join(f"; {each}" for each in trail.cleared)
    return phase == "done" and known, f"phase {phase}, saved at line {seq} of {trail.lines}, backup whole{cleared}"


def _shutdown(trail: _Trail) -> tuple[bool, str]:
    if trail.damage or trail.holes:
        return False, trail.damage or f"{trail.holes} lines are missing from the trail"
    if trail.shutdown is None:
        return False, "the trail ends without SYSTEM_SHUTDOWN"
    sealed = f"; {trail.parts} parts, {trail.thinned} of them thinned, as they were sealed" if trail.parts > 1 else ""
    return True, f"{trail.shutdown}{sealed}"


def _memory(report: FinalReport | None) -> tuple[bool, str]:
    if report is None:
        return _NO_REPORT
    return 0 < report.rss_mb_peak < MOST_RSS_MB, f"{report.rss_mb_peak:g} MB at most"


def _artifacts(folder: Path) -> tuple[bool, str]:
    missing = [name for name in ARTIFACTS if not (folder / name).is_file() or not (folder / name).stat().st_size]
    return not missing, f"missing or empty: {', '.join(missing)}" if missing else f"all {len(ARTIFACTS)} there"


def _pnl(report: FinalReport | None, trail: _Trail) -> tuple[bool, str]:
    """The report against itself, and against the sum of every fill, fee and funding in the trail."""
    if report is None:
        return _NO_REPORT
    with exact():
        difference = report.ending_equity - report.starting_equity
    if report.net_pnl != difference:
        return False, f"net_pnl {report.net_pnl} is not ending minus starting, {difference}"
    if report.position:
        return False, f"a position of {report.position} was left: there was no live market to close it in"
    if report.assumed_price is not None:
        return (
            False,
            f"a position was assumed closed at {report.assumed_price}: there was no live market to close it in",
        )
    if trail.cash != report.net_pnl or trail.fees != report.fees_total:
        return (
            False,
            f"the trail adds up to {trail.cash} (fees {trail.fees}), the report says {report.net_pnl}",
        )
    return True, f"net {report.net_pnl}: ending minus starting, and the sum of {report.fills} fills, exactly"


def _secrets(folder: Path, secrets: Sequence[str]) -> tuple[bool, str]:
    scrub = Scrubber(secrets)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        with _text_of(path) as lines, contextlib.suppress(*DAMAGED):
            for number, line in enumerate(lines, 1):
                if scrub.finds(line):
                    return False, f"{path.name}, line {number} looks like a secret"
    return True, f"{len(files)} files searched"


def _text_of(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return cast("TextIO", gzip.open(path, "rt", encoding="utf-8", errors="replace"))
    return path.open(encoding="utf-8", errors="replace")


def _read_trail(path: Path) -> _Trail:
    trail = _Trail()
    chain, sealed = chain_of(path), sealed_parts(path)
    last = max([*sealed, *chain.seals], default=0) + 1
    try:
        missing = [str(number) for number in range(1, last) if number not in sealed]
        if missing:
            raise DataError(f"{path.name}: missing of its sealed parts: {', '.join(missing)}")
        for number in range(1, last + 1):
            found = find_part(path, number)
            if found is None:
                raise DataError(f"{path.name}: the last part of the trail is missing")
            part, file = found
            with file, reading(part):
                _read_part(trail, part, file, chain)
    except msgspec.DecodeError as error:
        trail.damage = f"line {trail.lines + 1} of the trail is damaged: {error}"
    except DataError as error:
        trail.damage = str(error)
    trail.parts = last
    trail.gaps.end()
    return trail


def _read_part(trail: _Trail, part: Part, file: Iterable[bytes], chain: TrailChain) -> None:
    """Add one part up. Raises :class:`DataError` where it is not what was sealed, or not as it was thinned."""
    digest, counts, first = hashlib.sha256(), Counter[str](), True
    decode = msgspec.json.Decoder(_Line).decode
    for raw in file:
        digest.update(raw)
        line = decode(raw)
        counts[line.event] += 1
        if not part.thinned or line.seq <= trail.lines:
            trail.holes += line.seq - trail.lines - 1
        trail.lines = line.seq
        if line.event == BEAT and line.elapsed is not None:
            trail.heartbeats += 1
            trail.gaps.beat(line.elapsed, judged=first or not part.thinned)
            first = False
        else:
            _add(trail, line)
    if not part.live:
        _check_seal(trail, part, digest.hexdigest(), counts, chain)


def _check_seal(trail: _Trail, part: Part, sha256: str, counts: Counter[str], chain: TrailChain) -> None:
    seal, thinned = chain.seals.get(part.number), chain.thinned.get(part.number)
    if seal is None:
        raise DataError(f"{part.path.name}: no later part of the trail tells its seal")
    told = Counter(seal.counts)
    if part.thinned:
        if thinned is None or not set(thinned.dropped) <= set(DROPPABLE):
            raise DataError(f"{part.path.name}: nothing in the trail says that, and of what, it was thinned")
        trail.thinned += 1
        trail.heartbeats += thinned.dropped.get(BEAT, 0)
        trail.gaps.known(thinned.longest_gap_s)
        told.subtract(thinned.dropped)
        trail.lines = max(trail.lines, seal.last_seq)  # its last line may be one of those that were dropped
    expected = thinned.sha256 if part.thinned and thinned is not None else seal.sha256
    if sha256 != expected or trail.lines != seal.last_seq or +told != counts:
        raise DataError(f"{part.path.name}: is not what was sealed: altered, or another part")


def _add(trail: _Trail, line: _Line) -> None:
    if line.event == "SYSTEM_STARTUP":
        trail.shutdown = None
        trail.gaps.known((line.down_ms or 0) / 1_000)
    elif line.event == "ProcessPaused":
        trail.gaps.paused(line.seconds or 0.0)
    elif line.event == "SYSTEM_SHUTDOWN":
        trail.shutdown = f"{line.reason}, exit code {line.exit_code}"
    elif line.event in ("CircuitBreakerTripped", "CircuitBreakerRestored") and line.reason in CLEARABLE:
        trail.tripped.add(line.reason)
    elif line.event == "CircuitBreakerCleared" and line.reason is not None:
        trail.tripped.discard(line.reason)
        trail.cleared.append(f"{line.reason} was cleared by {line.who}: {line.why}")
    elif line.event == "FundingPaid" and line.received is not None:
        trail.cash += line.received
    elif line.event == "ExecutionFill" and line.qty is not None and line.price is not None:
        fees = line.fees or Decimal(0)
        bought = line.qty if line.side == "buy" else -line.qty
        with exact():
            trail.fees += fees
            trail.cash -= bought * line.price + fees

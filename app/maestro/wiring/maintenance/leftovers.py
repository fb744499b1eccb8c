"""leftovers owns what interrupted work leaves behind: how it is told from what is kept, and its removal."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from maestro.settings import Settings
from maestro.wiring import workspace
from maestro_protocol.errors import ConfigError, StoreError
from maestro_protocol.ports import Clock

HALF_WRITTEN = re.compile(r"\.[^/]+\.new|[^/]+\.(?:json|jsonl|csv|html|md)\.new")
"""How files are called until they are whole; then they are renamed, in one step."""
SCRATCH = ("maestro-replay-", "maestro-session-")
"""How scratch folders of replays, and of sessions within tests, begin."""
STALE_MS = 3_600_000
"""Work writes to its scratch folder all the time; one untouched for so long has no process any more."""


class Leftover(NamedTuple):
    """Something that no one needs: what it is, where, how large in bytes."""

    path: Path
    what: str
    size: int


class Cleaned(NamedTuple):
    """What was removed (or would be), and what was kept with the reason."""

    removed: tuple[Leftover, ...]
    kept: tuple[tuple[Leftover, str], ...]


def find(settings: Settings, clock: Clock) -> list[Leftover]:
    """All leftovers, in use or not. Nothing of a campaign or session that is whole is ever one."""
    return [*_half_written(settings.runs), *_scratch(clock)]


def _half_written(runs: Path) -> Iterator[Leftover]:
    for folder, _, names in os.walk(runs):
        for name in sorted(names):
            path = Path(folder, name)
            if HALF_WRITTEN.fullmatch(name) and path.is_file() and not path.is_symlink():
                yield Leftover(path, "half-written file", path.stat().st_size)


def _scratch(clock: Clock) -> Iterator[Leftover]:
    there = Path(tempfile.gettempdir())
    for folder in sorted(path for begin in SCRATCH for path in there.glob(f"{begin}*")):
        if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != os.getuid():
            continue
        stats = [path.stat() for path in (folder, *folder.rglob("*")) if path.exists()]
        if clock.now_ms() - max(stat.st_mtime for stat in stats) * 1_000 > STALE_MS:
            yield Leftover(folder, "scratch folder", sum(stat.st_size for stat in stats))


async def clean(settings: Settings, clock: Clock, dry_run: bool = False) -> Cleaned:
    """Remove all leftovers but those of campaigns and sessions that are at work right now."""
    removed: list[Leftover] = []
    kept: list[tuple[Leftover, str]] = []
    for leftover in find(settings, clock):
        async with AsyncExitStack() as held:  # nobody begins to work there meanwhile
            reason = await _in_use(leftover.path, settings, held)
            if reason is None and not dry_run:
                reason = _remove(leftover.path)
        if reason is None:
            removed.append(leftover)
        else:
            kept.append((leftover, reason))
    return Cleaned(tuple(removed), tuple(kept))


async def _in_use(path: Path, settings: Settings, held: AsyncExitStack) -> str | None:
    """Why *path* may not go; null where its campaign's lease could be taken, or nobody can be at it."""
    if not path.is_relative_to(settings.runs):
        return None
    parts = path.relative_to(settings.runs).parts
    if len(parts) == 1:
        return None
    if parts[0] == "sessions":
        return _session_at(settings.runs / "sessions", parts[1])
    from maestro.store.opening import open_database

    try:
        database = open_database(workspace.store_url(settings), patience=2.0)
        held.push_async_callback(database.close)
        mine = await held.enter_async_context(database.hold(parts[0]))
    except (StoreError, ConfigError) as error:
        return f"whether its campaign is at work cannot be told ({error})"
    return None if mine else "its campaign is at work"


def _session_at(sessions: Path, environment: str) -> str | None:
    from maestro_engine.session.safety.lock import holder

    at_work = holder(sessions) or holder(sessions / environment)
    return None if at_work is None else f"session {at_work.run} is at work"


def _remove(path: Path) -> str | None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        return f"cannot be removed ({error.strerror})"
    return None

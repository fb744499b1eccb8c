"""machine owns the looks at what Maestro stands on: Python, packages, caches, clock, disk."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from maestro.settings import Settings
from maestro.wiring.maintenance.findings import DoctorCheck, Finding, aside, failed, ok, warning
from maestro_protocol.ports import Clock

MINIMUM_FREE = 1_000_000_000
"""Bytes. A campaign of 500 tests takes some 60 MB; below this the next few may not end."""
MINIMUM_FILES = 20_000
"""Files that can still be made: a campaign of 500 tests makes 1,600."""
CLOCK_SLACK_MS = 2_000
FUTURE_SLACK_MS = 60_000
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)[^;>]*(?:>=\s*([\d.]+))?[^;]*(?:;\s*(.*))?")
_EXTRA = re.compile(r"""extra\s*==\s*['"](\w+)['"]""")


def checks(settings: Settings, clock: Clock, minimum_free: int = MINIMUM_FREE) -> list[DoctorCheck]:
    """The looks at the machine. Time is measured from here on."""
    began = clock.now_ms(), clock.monotonic()
    return [
        DoctorCheck("python", aside(_look_at_python)),
        DoctorCheck("packages", aside(look_at_packages, settings)),
        DoctorCheck("kernels", aside(_look_at_kernels)),
        DoctorCheck("clock", aside(look_at_clock, settings, clock, began)),
        DoctorCheck("disk", aside(look_at_disk, settings, minimum_free)),
    ]


def _look_at_python() -> Finding:
    told = f"{platform.python_implementation()} {platform.python_version()}"
    wanted = str(metadata.metadata("maestro")["Requires-Python"])
    least = numbers(wanted.removeprefix(">="))
    if sys.version_info[: len(least)] < least:
        return failed(f"{told} is too old; Maestro needs {wanted}")
    return ok(f"{told} (wanted {wanted})")


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: ``2.1rc1`` is (2, 1)."""
    return tuple(int(found[0]) for part in version.split(".") if (found := re.match(r"\d+", part)))


def look_at_packages(settings: Settings) -> Finding:
    """Whether every package that is needed here has at least the version that Maestro was made with."""
    wanted = list(_needed(settings))
    problems = [problem for name, least in wanted if (problem := _problem(name, least))]
    if not problems:
        return ok(f"all {len(wanted)} are there, each at its minimum or newer")
    return failed(f"{'; '.join(problems)}; install Maestro again, or pip install --upgrade them")


def _needed(settings: Settings) -> Iterator[tuple[str, str]]:
    """Names and least versions: the plain ones, and those of the extras that the settings call for."""
    url = settings.database_url.get_secret_value() if settings.database_url is not None else ""
    extras = {"redis"} if settings.bus_url is not None else set[str]()
    extras |= {"postgres"} if url.startswith("postgres") else set()
    for line in metadata.requires("maestro") or ():
        found = _REQUIREMENT.fullmatch(line)
        extra = _EXTRA.search(line)
        if found is not None and (extra is None or extra[1] in extras):
            yield found[1], found[2] or "0"


def _problem(name: str, least: str) -> str | None:
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing (>= {least})"
    return f"{name} {found} is older than {least}" if numbers(found) < numbers(least) else None


def _look_at_kernels() -> Finding:
    """Where compiled kernels are kept: without a place, every process compiles them anew."""
    try:
        from maestro_engine.backtest.kernel import run_tests
    except RuntimeError as error:  # numba found no folder at all
        return failed(f"compiled kernels cannot be kept ({error}); set NUMBA_CACHE_DIR to a writable folder")
    place: str | None = getattr(getattr(run_tests, "stats", None), "cache_path", None)
    if place is None:
        return warning("compiled kernels are not kept; every process compiles them anew")
    if not _writable(Path(place)):
        return failed(f"{place}: compiled kernels cannot be written there; set NUMBA_CACHE_DIR to another folder")
    kept = sum(path.name.startswith("kernel.") for path in Path(place).glob("*.nbc"))
    return ok(f"{place}: {f'{kept} compiled' if kept else 'none yet, the first campaign compiles them'}")


def _writable(folder: Path) -> bool:
    """Whether a file can be made in *folder*, or in what is there of the way to it."""
    try:
        with tempfile.TemporaryFile(dir=there_of(folder)):
            return True
    except OSError:
        return False


def there_of(path: Path) -> Path:
    """*path*, or the nearest folder above it that exists."""
    path = path.resolve()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def look_at_clock(settings: Settings, clock: Clock, began: tuple[int, float]) -> Finding:
    """The wall clock against the monotonic one since *began*, against the file system's, and against known files."""
    with tempfile.TemporaryFile(dir=there_of(settings.runs)) as file:
        now = clock.now_ms()
        file.write(b"now")
        file.flush()
        written = int(os.fstat(file.fileno()).st_mtime * 1_000)
    told = datetime.fromtimestamp(now / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    jumped = (now - began[0]) - round((clock.monotonic() - began[1]) * 1_000)
    if abs(jumped) > CLOCK_SLACK_MS:
        return warning(f"{told}: the clock was set by {jumped / 1_000:+.1f} s while it was looked at")
    newest, path = max(_times(settings))
    if newest > now + FUTURE_SLACK_MS:
        return failed(f"{told} is behind: {path} was written {(newest - now) / 60_000:,.0f} min later; set the clock")
    if abs(written - now) > CLOCK_SLACK_MS:
        return warning(f"{told}: the file system of {settings.runs} is {(written - now) / 1_000:+.1f} s away from it")
    return ok(f"{told}, as files and the monotonic clock say; no time server is asked, so its offset is not known")


def _times(settings: Settings) -> Iterator[tuple[int, str]]:
    """When the program and what it wrote were last changed, UTC ms."""
    paths = [Path(__file__)]
    if settings.runs.is_dir():
        paths += [settings.runs / "maestro.db", *settings.runs.glob("*/*")]
    for path in paths:
        if path.exists():
            yield int(path.stat().st_mtime * 1_000), str(path)


def look_at_disk(settings: Settings, minimum_free: int) -> Finding:
    folder = there_of(settings.runs)
    free = shutil.disk_usage(folder).free
    told = f"{free / 1e9:,.1f} GB free for {settings.runs} (wanted {minimum_free / 1e9:,.1f} GB)"
    if free < minimum_free:
        return failed(f"{told}; free some space, or choose another disk with --out")
    files = os.statvfs(folder)
    if files.f_files and files.f_favail < MINIMUM_FILES:
        return failed(f"{told}, but only {files.f_favail:,} files can still be made; delete some")
    return warning(told) if free < 2 * minimum_free else ok(told)

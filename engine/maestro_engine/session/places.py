"""places owns where sessions lie: one workspace folder, one folder an environment, one a run, numbered."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from maestro_engine.feeds.sources import SOURCES
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.safety.state import StateFile
from maestro_engine.session.trail.parts import exists
from maestro_protocol.errors import DataError, UnknownVersion, UsageError
from maestro_protocol.messages.versions import unknown_word, written_elsewhere

_NAME = re.compile(r"s(\d{4,})-([a-z][a-z0-9_]*)-([a-z0-9._-]+)")


def carried(source: str) -> bool:
    """Whether the paper account of *source* goes on from session to session; else each is its own experiment.

    Raises UnknownKey for a source that is not here.
    """
    return SOURCES.get(source).persistent


@dataclass(frozen=True, slots=True)
class Run:
    """One session's folder. The name tells number, source and symbol."""

    folder: Path
    number: int
    source: str

    @property
    def name(self) -> str:
        return self.folder.name

    def config(self) -> SessionConfig:
        """What it was asked for. Raises :class:`DataError`."""
        path = self.folder / "config.json"
        try:
            return SessionConfig.model_validate_json(path.read_bytes())
        except (OSError, ValueError) as error:
            if (word := unknown_word(error)) is not None:
                raise UnknownVersion(f"{path}: {written_elsewhere(None, word)}") from None
            raise DataError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from None

    def phase(self) -> str | None:
        """``open`` or ``done`` as saved; None where no state ever was. Raises :class:`DataError`."""
        loaded = StateFile(self.folder).load()
        return None if loaded is None else str(loaded.state.get("phase"))

    def discard(self) -> None:
        """Take back a folder in which nothing has happened yet."""
        shutil.rmtree(self.folder)


def runs_in(workspace: Path, env: str) -> list[Run]:
    """All runs of an environment, oldest first."""
    folder = workspace / env
    found = [(path, _NAME.fullmatch(path.name)) for path in (folder.iterdir() if folder.is_dir() else ())]
    runs = [Run(path, int(match[1]), match[2]) for path, match in found if match is not None]
    return sorted(runs, key=lambda run: run.number)


def new_run(workspace: Path, config: SessionConfig) -> Run:
    """Make the folder of the next run and write down what it was asked for."""
    before = runs_in(workspace, config.env)
    number = before[-1].number + 1 if before else 1
    folder = workspace / config.env / f"s{number:04d}-{config.source}-{config.symbol.lower()}"
    folder.mkdir(parents=True)
    text = msgspec.json.format(config.model_dump_json().encode(), indent=1)
    (folder / "config.json").write_bytes(text + b"\n")
    return Run(folder, number, config.source)


def interrupted(workspace: Path, env: str) -> Run | None:
    """The newest run that saved a state, if it was not brought to its end: none starts after such a one.

    Raises :class:`DataError` where its state is damaged.
    """
    for run in reversed(runs_in(workspace, env)):
        phase = run.phase()
        if phase is not None:
            return run if phase == "open" else None
    return None


def predecessor(workspace: Path, run: Run, env: str) -> Run | None:
    """The run whose account and breakers *run* goes on with; None begins anew."""
    if not carried(run.source):
        return None
    earlier = [r for r in runs_in(workspace, env) if r.source == run.source and r.number < run.number]
    return next((r for r in reversed(earlier) if r.phase() == "done"), None)


def find_run(workspace: Path, name: str) -> Run:
    """The run called *name* (or its folder); ``last`` is the newest. Raises :class:`UsageError`."""
    runs = [run for env in ("paper", "live") for run in runs_in(workspace, env)]
    if name == "last" and runs:
        return runs[-1]
    for run in runs:
        if name in (run.name, str(run.folder)):
            return run
    folder = Path(name)
    if exists(folder / "events.jsonl"):
        return Run(folder, 0, "")
    raise UsageError(
        f"session {name[:80]!r} is not known in {workspace}; there are {len(runs)}: maestro session status"
    )

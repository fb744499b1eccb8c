"""killswitch owns whether trading was stopped from outside, by what, and when. Reading the sources is injected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from maestro_protocol.errors import GateRefused


class KillSource(StrEnum):
    ENV = "env"
    FILE = "file"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """Once on it stays on, through restarts, until somebody releases it.

    ``asserted`` are the sources that say kill right now, ``since`` the UTC milliseconds of the first.
    """

    since: int | None = None
    source: KillSource | None = None
    asserted: frozenset[KillSource] = field(default_factory=frozenset[KillSource])

    @property
    def on(self) -> bool:
        return self.since is not None

    def read(self, sources: Mapping[KillSource, bool], now: int) -> KillSwitch:
        """The switch after looking at *sources*; those not looked at stay as they were."""
        saying = frozenset(source for source, kill in sources.items() if kill)
        asserted = (self.asserted - sources.keys()) | saying
        if self.on or not asserted:
            return replace(self, asserted=asserted)
        return KillSwitch(now, min(asserted), asserted)

    def release(self) -> KillSwitch:
        """Allow trading again. Raises :class:`GateRefused` while a source still says kill."""
        if self.asserted:
            names = ", ".join(sorted(self.asserted))
            raise GateRefused(f"kill switch: still on in {names}; clear it there, then release")
        return KillSwitch()

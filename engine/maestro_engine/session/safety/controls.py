"""controls owns how people reach a running session: the kill file, the environment's word, and remote commands.

A command is a file dropped into the run's ``commands`` folder, whoever sends it (command line, Discord, dashboard,
webhook): it survives that the session is not there, and needs no port.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from maestro_engine.trading.risk.guard import CLEARABLE, RiskGuard, Trip
from maestro_engine.trading.risk.killswitch import KillSource
from maestro_protocol.errors import Refused, StoreError, UnknownKey, UsageError

KILL_FILE = "KILL"
COMMANDS = ("kill", "stop")
CLEAR = "clear-"
"""Begins the name of a file that asks to clear a breaker; its content is the :class:`Clearing`."""
LONGEST = 500
"""Characters of who asks, and of why."""


class Clearing(Struct, frozen=True, forbid_unknown_fields=True):
    """A person's word that a breaker be cleared: the very trip that he saw, and no later one.

    ``tripped_ms`` is the session's time, ``asked_ms`` that of who asks; UTC milliseconds.
    """

    breaker: str
    tripped_ms: int
    who: str
    why: str
    asked_ms: int

    def check(self) -> None:
        """Raise :class:`UsageError` where it does not say who and why."""
        for name, said in (("who", self.who), ("why", self.why)):
            if not said.strip() or len(said) > LONGEST:
                raise UsageError(f"{self.breaker}: is cleared by somebody who says {name}, in {LONGEST} characters")

    def apply(self, guard: RiskGuard) -> Trip:
        """Clear the trip; gives it. Raises as :meth:`~RiskGuard.reset`, and where it has tripped anew since."""
        trip = next((trip for trip in guard.trips if trip.breaker == self.breaker), None)
        if trip is not None and trip.at != self.tripped_ms:
            raise Refused(f"{self.breaker}: has tripped again since; look at it, then clear that")
        guard.reset(self.breaker)
        assert trip is not None, "what is not tripped is not reset"
        return trip


class Controls:
    """Looks at the sources of the kill switch. *env* says whether the environment wants everything stopped."""

    def __init__(self, workspace: Path, run: Path, env: Callable[[], bool]) -> None:
        self._kill_file = workspace / KILL_FILE
        inbox = run / "commands"
        inbox.mkdir(parents=True, exist_ok=True)
        # Looked for four times a second for a day: put together once.
        self._commands = {command: inbox / command for command in COMMANDS}
        self._clearings = [inbox / f"{CLEAR}{breaker}" for breaker in CLEARABLE]
        self._env = env

    def kill_sources(self) -> dict[KillSource, bool]:
        """Which sources say kill right now. A remote kill leaves the kill file, so that it outlives the session."""
        there, remote = self._kill_file.exists(), self.take("kill")
        if remote:
            with contextlib.suppress(OSError):  # where the disk is full this session ends all the same
                self._kill_file.touch()
        return {KillSource.ENV: self._env(), KillSource.FILE: there, KillSource.REMOTE: remote}

    def take(self, command: str) -> bool:
        """Whether *command* was sent since the last look; it is taken away."""
        sent = self._commands[command]
        if not sent.exists():
            return False
        sent.unlink(missing_ok=True)
        return True

    def clear(self, do: Callable[[Clearing], None]) -> None:
        """Have *do* done with what is asked to be cleared; only then is it taken away, so that no crash loses it."""
        for path in self._clearings:
            if path.exists():
                try:
                    asked = msgspec.json.decode(path.read_bytes(), type=Clearing)
                    asked.check()
                except (OSError, msgspec.DecodeError, UsageError):
                    pass  # no word of a person
                else:
                    do(asked)
                path.unlink(missing_ok=True)


def send(run: Path, command: str) -> None:
    """Send *command* to the session whose folder is *run*. Raises :class:`UnknownKey` and :class:`StoreError`."""
    if command not in COMMANDS:
        raise UnknownKey("session command", command, COMMANDS)
    try:
        (run / "commands").mkdir(exist_ok=True)
        (run / "commands" / command).touch()
    except OSError as error:
        raise StoreError(f"{run}: no command can be left there ({error.strerror})") from None


def send_clearing(run: Path, asked: Clearing) -> None:
    """Ask the session whose folder is *run* to clear a breaker.

    Raises :class:`UsageError`, :class:`UnknownKey`, :class:`StoreError`.
    """
    asked.check()
    if asked.breaker not in CLEARABLE:
        raise UnknownKey("breakers that a person clears", asked.breaker, CLEARABLE)
    path = run / "commands" / f"{CLEAR}{asked.breaker}"
    new = path.with_name(f"new-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(exist_ok=True)
        new.write_bytes(msgspec.json.encode(asked))
        new.replace(path)
    except OSError as error:
        raise StoreError(f"{run}: no command can be left there ({error.strerror})") from None

"""controls owns how people reach a running session: the kill file, the environment's word, and remote commands.

A command is a file dropped into the run's ``commands`` folder, whoever sends it (command line, Discord, dashboard,
webhook): it survives that the session is not there, and needs no port.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from maestro_engine.risk.killswitch import KillSource
from maestro_protocol.errors import StoreError, UnknownKey

KILL_FILE = "KILL"
COMMANDS = ("kill", "stop")


class Controls:
    """Looks at the sources of the kill switch. *env* says whether the environment wants everything stopped."""

    def __init__(self, workspace: Path, run: Path, env: Callable[[], bool]) -> None:
        self._kill_file = workspace / KILL_FILE
        self._inbox = run / "commands"
        self._inbox.mkdir(parents=True, exist_ok=True)
        self._env = env

    def kill_sources(self) -> dict[KillSource, bool]:
        """Which sources say kill right now. A remote kill leaves the kill file, so that it outlives the session."""
        there, remote = self._kill_file.exists(), self.take("kill")
        if remote:
            self._kill_file.touch()
        return {KillSource.ENV: self._env(), KillSource.FILE: there, KillSource.REMOTE: remote}

    def take(self, command: str) -> bool:
        """Whether *command* was sent since the last look; it is taken away."""
        sent = self._inbox / command
        if not sent.exists():
            return False
        sent.unlink(missing_ok=True)
        return True


def send(run: Path, command: str) -> None:
    """Send *command* to the session whose folder is *run*. Raises :class:`UnknownKey` and :class:`StoreError`."""
    if command not in COMMANDS:
        raise UnknownKey("session command", command, COMMANDS)
    try:
        (run / "commands").mkdir(exist_ok=True)
        (run / "commands" / command).touch()
    except OSError as error:
        raise StoreError(f"{run}: no command can be left there ({error.strerror})") from None

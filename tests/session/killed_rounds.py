"""Runs a chain of sessions that dies by SIGKILL at chosen points; run as a program, by a test.

    killed_rounds.py FOLDER WHAT:COUNT ...

A life for each point, in a fork, then one that nothing kills. WHAT is ``commit`` (before the *COUNT*-th),
``committed`` (after it), or the name of an event (its *COUNT*-th line). Prints a line per life: its exit status,
negative where it was killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path

from rounds_support import chain, settings_in

from maestro.store.repository import SqlStore
from maestro.wiring import sessions


class Fate:
    def __init__(self, what: str, count: int) -> None:
        self._what, self._left = what, count

    def point(self, what: str) -> None:
        self._left -= what == self._what
        if what == self._what and self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def live(folder: Path, what: str, count: int) -> None:
    fate, commit, run = Fate(what, count), SqlStore.commit, sessions.run_session

    async def committing(*args, **more):
        fate.point("commit")
        await commit(*args, **more)
        fate.point("committed")

    async def running(config, where, settings, told=None, beside=None):
        return await run(config, where, settings, lambda line: fate.point(json.loads(line)["event"]), beside)

    SqlStore.commit = committing
    sessions.run_session = running
    chain(settings_in(folder), 3)


def in_a_fork(folder: Path, what: str, count: int) -> int:
    child = os.fork()
    if child == 0:
        try:
            live(folder, what, count)
        except BaseException:  # noqa: BLE001 - told, and the fork ends with it
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    for point in [*sys.argv[2:], "nothing:0"]:
        what, _, count = point.partition(":")
        print(in_a_fork(Path(sys.argv[1]), what, int(count)), flush=True)

"""Runs a chain of sessions that dies by SIGKILL at one point; run as a program, by a test.

    killed_rounds.py FOLDER WHAT COUNT

WHAT is ``commit`` (before the *COUNT*-th), ``committed`` (after it), or the name of an event (its *COUNT*-th line).
COUNT 0 kills nothing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

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


def main(folder: Path, what: str, count: int) -> None:
    fate, commit, run = Fate(what, count), SqlStore.commit, sessions.run_session

    async def committing(*args, **more):
        fate.point("commit")
        await commit(*args, **more)
        fate.point("committed")

    async def running(config, where, settings, told=None, beside=None):
        return await run(config, where, settings, lambda line: fate.point(json.loads(line)["event"]), beside)

    SqlStore.commit = committing
    sessions.run_session = running
    done = chain(settings_in(folder), 3)
    print(done.name, done.sessions, done.finished)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

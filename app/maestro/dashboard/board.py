"""board owns what surfaces are shown of one session: made in its event loop, twice a second at most, read by threads.

Nothing is made while nobody looks, and nothing in the session ever waits for who looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from maestro.wiring.live import clearing
from maestro_engine.session.safety.controls import send, send_clearing
from maestro_engine.session.supervisor import Session
from maestro_engine.session.watching.history import History, Past
from maestro_engine.session.watching.standing import Standing
from maestro_protocol.errors import Refused

EVERY_S = 0.5
WANTED_S = 10.0
"""So long after the last question the board goes on being made."""


class View(Struct, frozen=True):
    """Everything a page shows. ``standing`` is None before the session trades."""

    run: str
    folder: str
    past: Past
    standing: Standing | None


class Board:
    """One session's. *monotonic* counts seconds of the real world."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._history = History()
        self._session: Session | None = None
        self._made = threading.Condition()
        self._body, self._version, self._made_s = b"", 0, monotonic()
        self._asked_s: float | None = None
        self._beat: int | None = None
        self._beat_s: float | None = None
        self._over = False

    # the session's side, in its event loop

    def told(self, line: bytes) -> None:
        """A line of the trail."""
        self._history.take(line)

    @asynccontextmanager
    async def beside(self, session: Session) -> AsyncGenerator[None]:
        """Stand beside *session* while it runs."""
        self._session = session
        keeping = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping
            self._over = True
            self._make()

    async def _keep(self) -> None:
        while True:
            asked_s = self._asked_s
            if asked_s is not None and self._monotonic() - asked_s < WANTED_S:
                self._make()
            await asyncio.sleep(EVERY_S)

    def _make(self) -> None:
        session = self._session
        assert session is not None
        folder, onlooker, past = session.run_folder, session.onlooker, self._history.past()
        if past.beat != self._beat:
            self._beat, self._beat_s = past.beat, self._monotonic()
        name, place = (folder.name, str(folder)) if folder is not None else ("", "")
        body = msgspec.json.encode(View(name, place, past, onlooker.look() if onlooker is not None else None))
        with self._made:
            self._body, self._version, self._made_s = body, self._version + 1, self._monotonic()
            self._made.notify_all()

    # the surfaces' side, in any thread

    def state(self, after: int, patience_s: float) -> bytes:
        """The newest board as JSON, as soon as it is newer than *after*; after *patience_s* what there is.

        ``beat_s`` are the seconds since the last heartbeat was seen, ``age_s`` those since the board was made.
        """
        self._asked_s = self._monotonic()
        with self._made:
            self._made.wait_for(lambda: self._version > after or self._over, patience_s)
            body, version, made_s = self._body, self._version, self._made_s
        now_s, beat_s = self._monotonic(), self._beat_s
        head: dict[str, object] = {
            "version": version,
            "age_s": round(now_s - made_s, 3),
            "beat_s": None if beat_s is None else round(now_s - beat_s, 3),
        }
        said = msgspec.json.encode(head)
        return said if not body else said[:-1] + b"," + body[1:]

    def command(self, command: str) -> None:
        """Send ``stop`` or ``kill``, which needs no event loop that turns. Raises :class:`Refused`."""
        send(self._folder(command), command)

    def clear(self, breaker: str, tripped_ms: int, why: str) -> None:
        """Ask that the trip which was seen be cleared. Raises :class:`UsageError` and :class:`Refused`."""
        send_clearing(self._folder("clear"), clearing.word(breaker, tripped_ms, why, "dashboard"))

    def _folder(self, command: str) -> Path:
        folder = self._session.run_folder if self._session is not None else None
        if folder is None or self._over:
            raise Refused(f"{command}: no session is running here")
        return folder

"""board owns what surfaces are shown of a session, or of a chain of them, one after the other.

It is made in the session's event loop, twice a second at most, and read by threads.

Nothing is made while nobody looks, and nothing in the session ever waits for who looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from maestro.wiring.live import breaker_reset
from maestro.wiring.live.chain_history import ChainRound
from maestro_engine.session.safety.controls import KILL_FILE, send, send_clearing
from maestro_engine.session.supervisor import Session
from maestro_engine.session.watching.history import History, Past
from maestro_engine.session.watching.standing import Standing
from maestro_protocol.errors import Refused

EVERY_S = 0.5
WANTED_S = 10.0
"""So long after the last question the board goes on being made."""


class View(Struct, frozen=True):
    """Everything a page shows. ``standing`` is None before the session trades, ``rounds`` are those of its chain."""

    run: str
    folder: str
    past: Past
    standing: Standing | None
    rounds: tuple[ChainRound, ...]


class Board:
    """One session's, or, where *chain* tells the rounds of a chain by its name, that of one session after another.

    *monotonic* counts seconds of the real world.
    """

    def __init__(
        self, monotonic: Callable[[], float], chain: Callable[[str], Sequence[ChainRound]] | None = None
    ) -> None:
        self._monotonic, self._chain = monotonic, chain
        self._rounds: tuple[ChainRound, ...] = ()
        self._running = False
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
        if self._session is not None:
            self._history, self._beat, self._beat_s = History(), None, None
        self._session, self._running = session, True
        self._look_back(session)
        keeping = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping
            self._running, self._over = False, self._chain is None
            self._look_back(session)
            self._make()

    def end(self) -> None:
        """No further session will come."""
        with self._made:
            self._over = True
            self._made.notify_all()

    def _look_back(self, session: Session) -> None:
        if self._chain is not None and session.config.run is not None:
            self._rounds = tuple(self._chain(session.config.run.campaign))

    def _with_this(self, session: Session, name: str, standing: Standing | None) -> tuple[ChainRound, ...]:
        """The rounds with the one that runs now, as it stands."""
        run = session.config.run
        if self._chain is None or not self._running or run is None or run.window is None:
            return self._rounds
        number, others = run.window.index + 1, [r for r in self._rounds if r.run != name]
        changes = next((r.changes for r in self._rounds if r.run == name), ())
        if standing is None:
            return (*others, ChainRound(number, name, "open", "", None, None, None, changes))
        money = standing.money
        stands = (standing.trades, money.equity - money.starting, money.equity)
        return (*others, ChainRound(number, name, "open", "", *stands, changes))

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
        standing = onlooker.look() if onlooker is not None else None
        rounds = self._with_this(session, name, standing)
        body = msgspec.json.encode(View(name, place, past, standing, rounds))
        with self._made:
            self._body, self._version, self._made_s = body, self._version + 1, self._monotonic()
            self._made.notify_all()

    # the surfaces' side, in any thread

    def state(self, after: int, patience_s: float) -> bytes:
        """The newest board as JSON, as soon as it is newer than *after*; after *patience_s* what there is.

        ``beat_s`` are the seconds since the last heartbeat was seen, ``age_s`` those since the board was made;
        ``over``: no other session will follow.
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
            "over": self._over,
        }
        said = msgspec.json.encode(head)
        return said if not body else said[:-1] + b"," + body[1:]

    def command(self, command: str) -> None:
        """Send ``stop`` or ``kill``, which needs no event loop that turns. Raises :class:`Refused`.

        Between two sessions of a chain a kill keeps the next one from starting.
        """
        folder = self._session.run_folder if self._session is not None else None
        if command == "kill" and folder is not None and not self._running and not self._over:
            (folder.parents[1] / KILL_FILE).touch()
        else:
            send(self._folder(command), command)

    def clear(self, breaker: str, tripped_ms: int, why: str) -> None:
        """Ask that the trip which was seen be cleared. Raises :class:`UsageError` and :class:`Refused`."""
        send_clearing(self._folder("clear"), breaker_reset.word(breaker, tripped_ms, why, "dashboard"))

    def _folder(self, command: str) -> Path:
        folder = self._session.run_folder if self._session is not None else None
        if folder is None or not self._running:
            raise Refused(f"{command}: no session is running here")
        return folder

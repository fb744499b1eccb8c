"""sqlite owns the embedded database: one file, one connection, one piece of work at a time."""

from __future__ import annotations

import asyncio
import fcntl
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from maestro.store.database import Connection, Dialect, Values, Work
from maestro.store.faults import told
from maestro_protocol.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection as SqlAlchemy

T = TypeVar("T")

_PRAGMAS = (
    # WAL: readers never wait for the writer, and a commit is one append.
    "journal_mode = WAL",
    # NORMAL: a commit is in the system's hands when it returns, so it survives the death of this process by any
    # signal. A power cut may take the last commits with it, whole; FULL would buy those back for an fsync each.
    "synchronous = NORMAL",
    # The record of a batch is some 1.5 MB: copy the log back every 16 MB instead of every 4.
    "wal_autocheckpoint = 4000",
    "journal_size_limit = 33554432",
    "cache_size = -16000",
)


class SqliteConnection:
    """The :class:`~maestro.store.database.Connection` of a file, for one thread at a time."""

    dialect: Dialect = "sqlite"

    def __init__(self, path: str, patience: float) -> None:
        # isolation_level None: the driver begins nothing by itself
        self.raw = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
        self._patience_ms = int(patience * 1_000)
        try:
            for pragma in _PRAGMAS:
                self.raw.execute(f"PRAGMA {pragma}")
        except BaseException:
            self.raw.close()
            raise

    def run(self, statement: str, *rows: Values) -> int:
        if len(rows) > 1:
            return self.raw.executemany(statement, rows).rowcount
        return self.raw.execute(statement, *rows).rowcount

    def rows(self, query: str, values: Values | None = None) -> list[tuple[Any, ...]]:
        return self.raw.execute(query, values or {}).fetchall()

    def value(self, query: str, values: Values | None = None) -> Any:
        row = self.raw.execute(query, values or {}).fetchone()
        return None if row is None else row[0]

    def transaction(self, work: Work[T], mode: Literal["DEFERRED", "IMMEDIATE"]) -> T:
        # IMMEDIATE takes the write lock at once, within the patience; a transaction that starts by reading could not
        # wait for it later without losing its view.
        self.raw.execute(f"BEGIN {mode}")
        return self._done(work)

    def transaction_now(self, work: Work[T]) -> tuple[T] | None:
        """What *work* gives, in a transaction that writes; null, and nothing done, where it would have to wait."""
        self.raw.execute("PRAGMA busy_timeout = 0")
        try:
            self.raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return None
        finally:
            self.raw.execute(f"PRAGMA busy_timeout = {self._patience_ms}")
        return (self._done(work),)

    def _done(self, work: Work[T]) -> T:
        try:
            done = work(self)
            self.raw.execute("COMMIT")
        except BaseException:
            if self.raw.in_transaction:  # a full disk has rolled it back already
                self.raw.execute("ROLLBACK")
            raise
        return done


class SqliteDatabase:
    """One SQLite file. Its work is done by a thread of its own: a transaction is one hop, not one per statement.

    Small work need not even hop. It takes a tenth of a millisecond, which is what it takes to wake a thread and to be
    woken by it on an idle machine; so it is done at once where nobody would have to be waited for.
    """

    def __init__(self, path: str, patience: float) -> None:
        if not path or path == ":memory:":
            raise ConfigError("store: SQLite needs a file; write sqlite:////path/maestro.db")
        self._path = Path(path)
        self._patience = patience
        self._file: tuple[int, int] | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._working = threading.Lock()
        self._last: Future[Any] | None = None
        """The latest work that was given to the thread: what comes after it must not overtake it."""
        self._connection: SqliteConnection | None = None

    @property
    def place(self) -> str:
        return str(self._path)

    async def read(self, work: Work[T]) -> T:
        return await self._run(lambda: self._open().transaction(work, "DEFERRED"))

    async def write(self, work: Work[T], *, small: bool = False) -> T:
        done = self._at_once(work) if small else None
        return done[0] if done else await self._run(lambda: self._open().transaction(work, "IMMEDIATE"))

    def _at_once(self, work: Work[T]) -> tuple[T] | None:
        """What *work* gives; null, and nothing done, where the thread is at work or another process is."""
        idle = self._last is None or self._last.done()
        if not idle or self._closed or self._connection is None or not self._working.acquire(blocking=False):
            return None
        try:
            with told(self.place):
                return self._open().transaction_now(work)
        finally:
            self._working.release()

    async def alter(self, work: Callable[[SqlAlchemy], T]) -> T:
        def altered() -> T:
            from sqlalchemy import create_engine
            from sqlalchemy.exc import IntegrityError, SQLAlchemyError
            from sqlalchemy.pool import StaticPool

            raw = self._open().raw
            engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)  # never disposed of
            with told(self.place, (SQLAlchemyError,), (IntegrityError,)), engine.connect() as line, line.begin():
                line.exec_driver_sql("BEGIN IMMEDIATE")  # what SQLAlchemy leaves to the driver, and this one to us
                return work(line)

        return await self._run(altered)

    async def _run(self, work: Callable[[], T]) -> T:
        def told_work() -> T:
            with self._working, told(self.place):
                return work()

        if self._closed:
            raise StoreError(f"{self.place}: the store is closed")
        self._last = given = self._thread.submit(told_work)
        return await asyncio.wrap_future(given)

    def _open(self) -> SqliteConnection:
        if self._connection is None:
            self._connection = SqliteConnection(str(self._path), self._patience)
        self._same_file()
        return self._connection

    def _same_file(self) -> None:
        """A deleted file would take commits to the grave without a word from SQLite."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            raise StoreError(f"{self.place}: the database is gone; put it back, or start again") from None
        if self._file is None:
            self._file = (found.st_dev, found.st_ino)
        elif self._file != (found.st_dev, found.st_ino):
            raise StoreError(f"{self.place}: the database was replaced while in use; start again")

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncGenerator[bool]:
        folder = self._path.with_name(f"{self._path.name}-leases")
        with told(self.place):
            folder.mkdir(exist_ok=True)
            # The system drops the lock with its last holder's death: no stale file, no stale pid can hold it.
            lock = (folder / f"{name}.lock").open("ab")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    async def check(self) -> list[str]:
        def pages(connection: Connection) -> list[str]:
            found = [str(row[0]) for row in connection.rows("PRAGMA integrity_check")]
            return [] if found == ["ok"] else found

        return await self.read(pages)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
            self._thread.shutdown(wait=False)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.raw.close()

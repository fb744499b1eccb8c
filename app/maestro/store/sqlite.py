"""sqlite owns the embedded database: one file, one connection, one thread that does all its work."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import QueuePool

from maestro.store.database import Work
from maestro.store.faults import told
from maestro_protocol.errors import ConfigError, StoreError

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


class SqliteDatabase:
    """One SQLite file. Its own thread rather than a task per statement: a transaction is one hop, not five."""

    def __init__(self, path: str, patience: float) -> None:
        if not path or path == ":memory:":
            raise ConfigError("store: SQLite needs a file; write sqlite:////path/maestro.db")
        self._path = Path(path)
        self._file: tuple[int, int] | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._engine = create_engine(
            f"sqlite:///{path}",
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            connect_args={"check_same_thread": False, "isolation_level": None, "timeout": patience},
        )
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)

    @property
    def place(self) -> str:
        return str(self._path)

    async def read(self, work: Work[T]) -> T:
        return await self._run(work, "DEFERRED")

    async def write(self, work: Work[T]) -> T:
        return await self._run(work, "IMMEDIATE")

    async def _run(self, work: Work[T], mode: Literal["DEFERRED", "IMMEDIATE"]) -> T:
        def transaction() -> T:
            with told(self.place), self._engine.connect() as connection:
                self._same_file()
                with connection.execution_options(sqlite_begin=mode).begin():
                    return work(connection)

        if self._closed:
            raise StoreError(f"{self.place}: the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)

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
            found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
            return [] if found == ["ok"] else found

        return await self.read(pages)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
            self._thread.shutdown(wait=False)


def _prepare(connection: Any, _record: object) -> None:
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once, within the patience; a transaction that starts by reading could not
    # wait for it later without losing its view.
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options()['sqlite_begin']}")

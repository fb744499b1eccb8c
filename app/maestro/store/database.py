"""database owns the door to a database of either kind: one function at a time, in one transaction each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import ArgumentError

from maestro_protocol.errors import ConfigError

T = TypeVar("T")
Work = Callable[[Connection], T]
"""What is done with the database, written once for both kinds. It must not wait for anything else."""

PATIENCE = 10.0


class Database(Protocol):
    """Runs work. Every door raises :class:`StoreError` with one line when the database cannot."""

    @property
    def place(self) -> str:
        """Where it is, for people: without a password."""
        ...

    async def read(self, work: Work[T]) -> T:
        """Run *work* on one consistent view of the data."""
        ...

    async def write(self, work: Work[T]) -> T:
        """Run *work* in one transaction: durable when this returns, undone when it raises."""
        ...

    def hold(self, name: str) -> AbstractAsyncContextManager[bool]:
        """Hold the lock *name* while inside; false when somebody else does. It dies with its process."""
        ...

    async def check(self) -> list[str]:
        """What is wrong with the data as such; empty when it is sound."""
        ...

    async def close(self) -> None: ...


def open_database(url: str, patience: float = PATIENCE) -> Database:
    """The database at *url* (``sqlite:////path/maestro.db``, ``postgresql://user@host/name``), not yet touched.

    *patience* is how many seconds to wait for a lock or a connection. Raises :class:`ConfigError`.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError("store: not a database URL; write sqlite:////path/maestro.db or postgresql://...") from None
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        from maestro.store.sqlite import SqliteDatabase

        return SqliteDatabase(parsed.database or "", patience)
    if kind in ("postgresql", "postgres"):
        from maestro.store.postgres import PostgresDatabase

        return PostgresDatabase(parsed, patience)
    raise ConfigError(f"store: {kind!r} databases are not supported; use sqlite or postgresql")

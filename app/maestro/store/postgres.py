"""postgres owns the served database: PostgreSQL over asyncpg, for many machines or many writers."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlencode

from sqlalchemy import URL, func, make_url, select, text
from sqlalchemy import Connection as SqlAlchemy
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from maestro.store.database import Dialect, Values, Work
from maestro.store.faults import told
from maestro_protocol.errors import ConfigError, StoreError

T = TypeVar("T")
_FAULTS = (SQLAlchemyError,)
_TAKEN = (IntegrityError,)


class PostgresConnection:
    """The :class:`~maestro.store.database.Connection` of a server."""

    dialect: Dialect = "postgresql"

    def __init__(self, line: SqlAlchemy) -> None:
        self._line = line

    def run(self, statement: str, *rows: Values) -> int:
        if not rows:
            return self._line.exec_driver_sql(statement).rowcount
        one, *more = rows
        return self._line.execute(text(statement), [one, *more] if more else one).rowcount

    def rows(self, query: str, values: Values | None = None) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._line.execute(text(query), values or {})]

    def value(self, query: str, values: Values | None = None) -> Any:
        return self._line.scalar(text(query), values or {})


def _understood(url: str) -> URL:
    """*url* in its parts. Raises :class:`ConfigError`, which repeats nothing of it: any part may be a password's."""
    try:
        found = make_url(url)
    except ArgumentError:
        raise ConfigError("store: not a database URL; write postgresql://user:password@host/name") from None
    except ValueError:
        found = None
    authority = url.partition("://")[2].partition("/")[0]
    if found is None or "@" in (found.host or ""):
        if authority.count("@") > 1:
            raise ConfigError("store: a password in a database URL has its @ written as %40, its / as %2F")
        raise ConfigError("store: the port of the database URL is no number; write postgresql://user@host:5432/name")
    if found.port is not None and not 0 < found.port < 65_536:
        raise ConfigError("store: the port of the database URL is not within 1 to 65535")
    return found


class PostgresDatabase:
    """One PostgreSQL database; the server's default ``synchronous_commit`` makes commits survive a power cut."""

    def __init__(self, url: str, patience: float) -> None:
        """Raises :class:`ConfigError` for a URL that is none."""
        found = _understood(url)
        self._url = found.set(drivername="postgresql+asyncpg", query={})
        self._closed = False
        self._options: dict[str, Any] = {
            "timeout": patience,
            "server_settings": {"application_name": "maestro", "lock_timeout": str(int(patience * 1_000))},
        }
        if found.query:
            # What libpq knows (sslmode, sslrootcert, host) asyncpg knows in a DSN alone; arguments win over it.
            self._options["dsn"] = f"postgresql:///?{urlencode(dict(found.query), doseq=True)}"
        # pre_ping: a server that was restarted costs one new connection, not a failed commit.
        self._engine = create_async_engine(self._url, connect_args=self._options, pool_pre_ping=True)

    @property
    def place(self) -> str:
        return self._url.set(drivername="postgresql").render_as_string(hide_password=True)

    async def read(self, work: Work[T]) -> T:
        return await self.write(work)

    async def write(self, work: Work[T], *, small: bool = False) -> T:
        return await self.alter(lambda line: work(PostgresConnection(line)))

    async def alter(self, work: Callable[[SqlAlchemy], T]) -> T:
        if self._closed:
            raise StoreError(f"{self.place}: the store is closed")
        with told(self.place, _FAULTS, _TAKEN):
            async with self._engine.begin() as connection:
                return await connection.run_sync(work)

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncGenerator[bool]:
        key = int.from_bytes(hashlib.sha256(f"maestro/{name}".encode()).digest()[:8], "big", signed=True)
        # A connection of its own: the lock belongs to it, and goes when it or its process does.
        engine = create_async_engine(
            self._url, connect_args=self._options, poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        with told(self.place, _FAULTS, _TAKEN):
            connection = await engine.connect()
        try:
            with told(self.place, _FAULTS, _TAKEN):
                held = await connection.scalar(select(func.pg_try_advisory_lock(key)))
            yield bool(held)
        finally:
            await connection.close()

    async def check(self) -> list[str]:
        return []  # the server watches over its own pages

    async def close(self) -> None:
        self._closed = True
        await self._engine.dispose()

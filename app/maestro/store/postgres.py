"""postgres owns the served database: PostgreSQL over asyncpg, for many machines or many writers."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import URL, func, select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from maestro.store.database import Work
from maestro.store.faults import told
from maestro_protocol.errors import StoreError

T = TypeVar("T")


class PostgresDatabase:
    """One PostgreSQL database; the server's default ``synchronous_commit`` makes commits survive a power cut."""

    def __init__(self, url: URL, patience: float) -> None:
        self._url = url.set(drivername="postgresql+asyncpg")
        self._closed = False
        self._options = {
            "timeout": patience,
            "server_settings": {"application_name": "maestro", "lock_timeout": str(int(patience * 1_000))},
        }
        # pre_ping: a server that was restarted costs one new connection, not a failed commit.
        self._engine = create_async_engine(self._url, connect_args=self._options, pool_pre_ping=True)

    @property
    def place(self) -> str:
        return self._url.set(drivername="postgresql").render_as_string(hide_password=True)

    async def read(self, work: Work[T]) -> T:
        return await self.write(work)

    async def write(self, work: Work[T]) -> T:
        if self._closed:
            raise StoreError(f"{self.place}: the store is closed")
        with told(self.place):
            async with self._engine.begin() as connection:
                return await connection.run_sync(work)

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncGenerator[bool]:
        key = int.from_bytes(hashlib.sha256(f"maestro/{name}".encode()).digest()[:8], "big", signed=True)
        # A connection of its own: the lock belongs to it, and goes when it or its process does.
        engine = create_async_engine(
            self._url, connect_args=self._options, poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        with told(self.place):
            connection = await engine.connect()
        try:
            with told(self.place):
                held = await connection.scalar(select(func.pg_try_advisory_lock(key)))
            yield bool(held)
        finally:
            await connection.close()

    async def check(self) -> list[str]:
        return []  # the server watches over its own pages

    async def close(self) -> None:
        self._closed = True
        await self._engine.dispose()

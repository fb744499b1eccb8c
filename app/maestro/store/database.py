"""database owns the door to a database of either kind: one function at a time, in one transaction each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from sqlalchemy import Connection as SqlAlchemy

T = TypeVar("T")
Values = Mapping[str, object]
Dialect = Literal["sqlite", "postgresql"]

PATIENCE = 10.0
"""Seconds to wait for somebody else's lock, or for a connection."""


class Connection(Protocol):
    """What a transaction is done with: SQL that SQLite and PostgreSQL both take, with ``:named`` values.

    Plain SQL, because to import SQLAlchemy and to go through its layers was more than half of what the embedded store
    cost a campaign. It is there for PostgreSQL and for migrations.
    """

    @property
    def dialect(self) -> Dialect: ...

    def run(self, statement: str, *rows: Values) -> int:
        """Execute *statement*, once for each of *rows*; the number of rows that a single execution changed."""
        ...

    def rows(self, query: str, values: Values | None = None) -> list[tuple[Any, ...]]: ...

    def value(self, query: str, values: Values | None = None) -> Any:
        """The first column of the first row, or null."""
        ...


Work = Callable[[Connection], T]
"""What is done with the database, written once for both kinds. It must not wait for anything else."""


class Database(Protocol):
    """Runs work. Every door raises :class:`StoreError` with one line when the database cannot."""

    @property
    def place(self) -> str:
        """Where it is, for people: without a password."""
        ...

    async def read(self, work: Work[T]) -> T:
        """Run *work* on one consistent view of the data."""
        ...

    async def write(self, work: Work[T], *, small: bool = False) -> T:
        """Run *work* in one transaction: durable when this returns, undone when it raises.

        *small* work is a few rows of some KB: there is no need to do it aside, where the database can do it at once.
        """
        ...

    async def alter(self, work: Callable[[SqlAlchemy], T]) -> T:
        """As ``write``, for what changes the schema and needs SQLAlchemy, which is imported for it."""
        ...

    def hold(self, name: str) -> AbstractAsyncContextManager[bool]:
        """Hold the lock *name* while inside; false when somebody else does. It dies with its process."""
        ...

    async def check(self) -> list[str]:
        """What is wrong with the data as such; empty when it is sound."""
        ...

    async def close(self) -> None: ...


def inserting(table: str, columns: Sequence[str]) -> str:
    """The statement that inserts a row of *columns*."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES (:{', :'.join(columns)})"  # noqa: S608 - our own names


def among(values: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The right side of an ``IN``, and its values."""
    named = {f"among{place}": value for place, value in enumerate(values)}
    return f"(:{', :'.join(named)})", named

"""database owns the door to a database of either kind: one function at a time, in one transaction each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")
Work = Callable[[Connection], T]
"""What is done with the database, written once for both kinds. It must not wait for anything else."""

PATIENCE = 10.0
"""Seconds to wait for somebody else's lock, or for a connection."""


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

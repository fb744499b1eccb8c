"""faults owns how trouble with a database is told: one line with the place, what is wrong and what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from maestro_protocol.errors import StoreError

_HELD = "another program has held it for too long; nothing was written: close that program and try again"
_LOST = "the connection was lost; check the server, then resume: the journal tells what was kept"
_ADVICE = (
    ("database is locked", _HELD),
    ("lock timeout", _HELD),
    ("database or disk is full", "the disk is full; nothing was written: free some space and resume"),
    ("disk i/o error", "the disk cannot be written or read (full, over quota, or failing); mend it and resume"),
    ("no space left", "the server's disk is full; nothing was written: free some space and resume"),
    ("readonly database", "it may not be written; give this user write permission to the file and its folder"),
    ("unable to open database file", "it cannot be opened; check that its folder exists and may be written"),
    ("not a database", "the file is damaged or no SQLite database; move it away, or restore a copy"),
    ("malformed", "the file is damaged; move it away, or restore a copy"),
    ("no such table", "a table is missing; the file was changed by something else: restore a copy"),
    ("password authentication", "the server refuses this user or password; check the store's URL"),
    ("does not exist", "the server does not know what was asked for; check the database's name in the store's URL"),
    ("connection was", _LOST),
    ("connection is closed", _LOST),
    ("connect", "the server cannot be reached; check that it runs and the store's URL, then resume"),
)


Kinds = tuple[type[Exception], ...]


@contextmanager
def told(place: str, faults: Kinds = (sqlite3.Error,), taken: Kinds = (sqlite3.IntegrityError,)) -> Generator[None]:
    """Raise a :class:`StoreError` about *place* for any trouble that its driver reports inside.

    *faults* are the driver's own, *taken* those among them that say a row is there already.
    """
    try:
        yield
    except taken as error:
        raise StoreError(f"{place}: stored already, so nothing was written ({_first_line(error)})") from error
    except (*faults, OSError) as error:
        raise StoreError(f"{place}: {_advice(error)} ({_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0][:200]


def _advice(error: BaseException) -> str:
    text = f"{type(error).__name__} {_first_line(error)}".lower()
    return next((advice for sign, advice in _ADVICE if sign in text), "the database could not do it; see --debug")

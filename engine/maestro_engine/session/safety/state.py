"""state owns the saved state of a session: written whole or not at all, checked by a digest, kept twice.

Both copies hold the same state; the second is written once the first is safe. A process killed at any moment
leaves at least one of them whole, and what is damaged later is noticed and read from the other.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from maestro_engine.session.safety.reserve import Write, plainly
from maestro_engine.trading.venue.money import json_of
from maestro_protocol.errors import DataError, StoreError

VERSION = 1


class _Sealed(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    sha256: str
    state: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Loaded:
    """A state as it was saved; ``fell_back`` says why the first copy was not used."""

    state: dict[str, object]
    fell_back: str | None


class StateFile:
    """``state.json`` in *folder* with its ``.bak``."""

    def __init__(self, folder: Path, write: Write = plainly) -> None:
        """*write* does what writes, in room that was kept for it where the disk is full."""
        self._write = write
        self.path = folder / "state.json"
        self.backup = folder / "state.json.bak"

    def save(self, state: dict[str, object], *, durable: bool = True) -> None:
        """Replace what is saved. *durable*: it must survive a power cut too, not only the process's death.

        Raises :class:`StoreError`.
        """
        body = json_of(state)
        sealed = msgspec.json.encode(_Sealed(VERSION, hashlib.sha256(body).hexdigest(), msgspec.Raw(body)))

        def replace() -> None:
            _replace(self.path, sealed, durable)
            _replace(self.backup, sealed, False)

        try:
            self._write(replace)
        except OSError as error:
            raise StoreError(f"{self.path}: state cannot be saved ({error.strerror}); is the disk full?") from None

    def load(self) -> Loaded | None:
        """What was saved last; None where nothing ever was. Raises :class:`DataError` when both copies are bad."""
        if not self.path.exists() and not self.backup.exists():
            return None
        try:
            return Loaded(_read(self.path), None)
        except DataError as error:
            first = str(error)
        try:
            return Loaded(_read(self.backup), first)
        except DataError as error:
            raise DataError(
                f"{first}; and so is its backup ({error}). Nothing was started over: restore one of the two,"
                " or move the run's folder away to begin anew"
            ) from None


def _replace(path: Path, data: bytes, durable: bool) -> None:
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    new.replace(path)


def _read(path: Path) -> dict[str, object]:
    try:
        sealed = msgspec.json.decode(path.read_bytes(), type=_Sealed)
    except OSError as error:
        raise DataError(f"{path}: saved state cannot be read ({error.strerror})") from None
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: saved state is damaged ({error})") from None
    if sealed.version != VERSION:
        raise DataError(f"{path}: saved by version {sealed.version}; this program reads version {VERSION}")
    if hashlib.sha256(bytes(sealed.state)).hexdigest() != sealed.sha256:
        raise DataError(f"{path}: saved state is damaged (its digest does not fit)")
    return msgspec.json.decode(sealed.state, type=dict[str, object])

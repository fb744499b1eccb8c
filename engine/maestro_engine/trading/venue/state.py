"""state owns how the core is written to and read from a versioned plain dict (JSON types only)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from maestro_engine.trading.venue import events
from maestro_engine.trading.venue.events import OrderEvent
from maestro_protocol.errors import DataError

T = TypeVar("T")
Plain = dict[str, object]
"""A dict that ``json`` writes and reads back unchanged; decimals are strings."""

_EVENTS: Mapping[str, type[OrderEvent]] = {
    kind.__name__: kind
    for kind in (
        events.OrderSubmitted,
        events.CancelRequested,
        events.OrderAccepted,
        events.Fill,
        events.OrderRejected,
        events.OrderCancelled,
        events.OrderExpired,
    )
}


def dump(value: object) -> Plain:
    """A frozen record as a plain dict."""
    return msgspec.to_builtins(value, order="deterministic")  # sets in one order, always


def load(plain: object, kind: type[T], what: str) -> T:
    """The record of type *kind* that :func:`dump` wrote. Raises :class:`DataError` naming *what* and the field."""
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        raise DataError(f"saved {what} cannot be read: {error}") from error


def dump_event(event: OrderEvent) -> Plain:
    """The event with its type's name under ``event``."""
    return {"event": type(event).__name__, **dump(event)}


def load_event(plain: Mapping[str, object]) -> OrderEvent:
    """What :func:`dump_event` wrote. Raises :class:`DataError`."""
    kind = _EVENTS.get(str(plain.get("event")))
    if kind is None:
        raise DataError(f"saved event cannot be read: {plain.get('event')!r} is no event")
    return load(plain, kind, "event")


def check_version(plain: Mapping[str, object], version: int, what: str) -> None:
    """Raise :class:`DataError` unless *plain* was written in *version*."""
    found = plain.get("version")
    if found != version:
        raise DataError(f"saved {what} has version {found!r}; this program reads version {version}")

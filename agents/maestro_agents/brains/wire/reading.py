"""reading owns the way from a server's bytes to checked values: no shape is taken for granted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import cast

from maestro_protocol.sanitize import printable

MOST_TOKENS = 1_000_000_000
"""A larger count is no request's, whoever reports it."""
SHOWN = 120
"""Characters of an unreadable answer that its error quotes."""
_SURROGATES = re.compile("[\ud800-\udfff]")
_EVENT_FIELDS = ("data:", "event:", "id:", "retry:", ":")
END_OF_STREAM = "[DONE]"


class Malformed(Exception):
    """An answer that is not what its format says, or that tells of a failure: which part of it, in one line."""

    def __init__(self, found: str, *, retryable: bool = True) -> None:
        super().__init__(found)
        self.retryable = retryable


class Fields:
    """A JSON object of an answer, read by name and expected type; *at* is its place, for errors."""

    def __init__(self, data: dict[str, object], at: str) -> None:
        self._data = data
        self._at = at

    def __contains__(self, name: str) -> bool:
        """Whether *name* is there and not null."""
        return self._data.get(name) is not None

    def place(self, name: str) -> str:
        return f"{self._at}.{name}" if self._at else name

    def raw(self, name: str) -> object:
        return self._data.get(name)

    def text(self, name: str) -> str | None:
        """A string that can be stored and sent; null where it is none."""
        value = self._data.get(name)
        return storable(value) if isinstance(value, str) else None

    def count(self, name: str) -> int | None:
        """A whole number of tokens; null where none is told, or what is told cannot be one."""
        value = self._data.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
            return None
        return value

    def fields(self, name: str) -> Fields | None:
        """An object; null where it is none."""
        value = self._data.get(name)
        return Fields(cast("dict[str, object]", value), self.place(name)) if isinstance(value, dict) else None

    def wanted(self, name: str) -> Fields:
        """An object. Raises :class:`Malformed` where it is none."""
        return _object(self._data.get(name), self.place(name))

    def items(self, name: str) -> list[object]:
        """A list; empty where it is none."""
        value = self._data.get(name)
        return cast("list[object]", value) if isinstance(value, list) else []

    def first(self, name: str) -> Fields:
        """The first object of a list. Raises :class:`Malformed` where there is none."""
        listed = self.items(name)
        if not listed:
            raise Malformed(f"the answer's {self.place(name)} is {kind_of(self._data.get(name))}; a list is wanted")
        return _object(listed[0], f"{self.place(name)}[0]")


def whole_or_events(body: bytes) -> Fields | Iterator[Fields]:
    """An answer in one piece, or the events of a streamed one. Raises :class:`Malformed`, also while iterated."""
    text = body.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if text.startswith(_EVENT_FIELDS):
        return _events(text)
    return _object(_json(text), "")


def storable(text: str) -> str:
    """*text* without halves of surrogate pairs, which no encoding can write."""
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


def told(text: str, most: int = SHOWN) -> str:
    """A server's words as part of one line of an error."""
    return printable(" ".join(storable(text).split()))[:most]


def kind_of(value: object) -> str:
    """What *value* is in JSON's words."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    kinds = ((bool, "a boolean"), (int | float, "a number"), (str, "a string"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "an object")


def _object(value: object, at: str) -> Fields:
    if not isinstance(value, dict):
        whose = f"the answer's {at}" if at else "the answer"
        raise Malformed(f"{whose} is {kind_of(value)}; an object is wanted")
    return Fields(cast("dict[str, object]", value), at)


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except RecursionError:
        raise Malformed("the answer is nested too deeply to be read") from None
    except ValueError:
        raise Malformed(f"the answer is no JSON: {told(text)!r}") from None


def _events(text: str) -> Iterator[Fields]:
    """The objects of a stream of server-sent events, in order; what is no ``data`` says nothing that they do not."""
    data: list[str] = []
    for line in [*re.split(r"\r\n|\r|\n", text), ""]:
        if line:
            name, _, value = line.partition(":")
            if name == "data":
                data.append(value.removeprefix(" "))
        elif data:
            joined, data = "\n".join(data), []
            if joined.strip() != END_OF_STREAM:
                yield _object(_json(joined), "event")

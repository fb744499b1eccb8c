"""versions owns how a persisted text that another version of Maestro wrote is told from one that is damaged.

A persisted message only ever gains fields, and types of message only ever come: a text with a field, type or version
that nobody here knows was written by a later Maestro. Whatever else is wrong with a text is damage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

PRODUCT = "maestro"
"""The distribution's name, and what its version goes by in a campaign's ``versions``."""


def this_version() -> str:
    """The version of the Maestro that runs."""
    return version(PRODUCT)


def writer(versions: Iterable[object]) -> str | None:
    """The version of Maestro among a campaign's *versions* (``maestro 0.1.0``); null where none is named."""
    named = (str(each).partition(" ") for each in versions)
    return next((number for name, _, number in named if name == PRODUCT and number), None)


def writer_of(data: object) -> str | None:
    """The version of Maestro that *data*, a campaign's configuration as plain data, says it was written by."""
    versions = cast("Mapping[str, object]", data).get("versions") if isinstance(data, Mapping) else None
    return writer(cast("list[object]", versions)) if isinstance(versions, list) else None


def unknown_word(error: Exception) -> str | None:
    """What in a text only another version can have written; null where *error* says that it is damaged."""
    if not isinstance(error, ValidationError):
        return None
    words = [_unknown(problem) for problem in error.errors(include_url=False)]
    return words[0] if words and all(words) else None


def _unknown(problem: ErrorDetails) -> str | None:
    place = ".".join(str(part) for part in problem["loc"])[:120]
    last = problem["loc"][-1] if problem["loc"] else ""
    if problem["type"] == "extra_forbidden":
        return f"the field {place}"
    if problem["type"] == "union_tag_invalid":
        return f"the message type {str(problem.get('ctx', {}).get('tag'))[:60]!r}"
    if problem["type"] == "literal_error" and last == "version" and isinstance(problem["input"], int):
        return f"{place} {problem['input']}"
    return None


def written_elsewhere(by: str | None, word: str) -> str:
    """``was written by Maestro 0.3.0, which this one (0.2.0) does not know: it has the field body.mood; ...``."""
    who = "another Maestro" if by is None or by == this_version() else f"Maestro {by}"
    return f"was written by {who}, which this one ({this_version()}) does not know: it has {word}; read it there"

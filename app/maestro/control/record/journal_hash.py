"""journal_hash owns what makes two tellings of a campaign the same: every word but the wall clock."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, cast

from pydantic import BaseModel

from maestro_protocol.envelope import Envelope

WALL_CLOCK = frozenset({"time", "at", "applied_at", "asked_at", "expires_at", "recalled"})
"""Fields that tell when, or from where, something was said; a rerun differs in nothing else."""


def timeless(model: BaseModel) -> object:
    """*model* as plain data without the fields that the wall clock sets."""
    return without_clock(model.model_dump(mode="json"))


def without_clock(value: object) -> object:
    """Plain data without the fields that the wall clock sets."""
    if isinstance(value, dict):
        return {k: without_clock(v) for k, v in cast("dict[str, Any]", value).items() if k not in WALL_CLOCK}
    if isinstance(value, list):
        return [without_clock(item) for item in cast("list[Any]", value)]
    return value


def first_difference(recorded: object, told: object, place: str = "") -> str:
    """Where two pieces of plain data part first: ``body.params.atr_stop_mult: recorded 1.5, told 1.8``."""
    left, right = _parts(recorded), _parts(told)
    if left is None or right is None or isinstance(recorded, dict) != isinstance(told, dict):
        return f"{place}: recorded {_short(recorded)}, told {_short(told)}"
    for key in [*left, *(key for key in right if key not in left)]:
        if key not in left or key not in right or left[key] != right[key]:
            return first_difference(left.get(key), right.get(key), f"{place}.{key}".lstrip("."))
    return f"{place}: the same"


def _parts(value: object) -> dict[str, object] | None:
    """What *value* is made of, by name or number; null for what has no parts."""
    if isinstance(value, dict):
        return cast("dict[str, object]", value)
    if isinstance(value, list):
        return {str(number): item for number, item in enumerate(cast("list[object]", value))}
    return None


def _short(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:100]


def recorded_hash(lines: Iterable[bytes]) -> str:
    """As :func:`journal_hash`, of a journal's lines as they were written, whichever Maestro wrote them.

    A message that gained a field since has the hash that it had.
    """
    return _hash(without_clock(json.loads(line)) for line in lines)


def journal_hash(envelopes: Iterable[Envelope]) -> str:
    """SHA-256 over the journal's envelopes in order, each as canonical JSON without the wall clock."""
    return _hash(timeless(envelope) for envelope in envelopes)


def _hash(entries: Iterable[object]) -> str:
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(json.dumps(entry, sort_keys=True, separators=(",", ":")).encode())
        digest.update(b"\n")
    return digest.hexdigest()

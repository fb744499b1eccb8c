"""faults owns what can go wrong at an exchange, as data, and applying it to frames.

A plan is a list of faults, each due at a moment of the tape:
``[{"kind": "drop", "after_s": 30, "seconds": 5}, {"kind": "gap", "after_s": 60, "count": 20, "match": "depth"}]``
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct

from maestro_protocol.errors import ConfigError

Kind = Literal[
    "drop",
    "freeze",
    "gap",
    "duplicate",
    "reorder",
    "corrupt",
    "slow_consumer",
    "http_429",
    "http_5xx",
    "clock_skew",
]
_FRAME_KINDS = ("gap", "duplicate", "reorder", "corrupt")


class Fault(Struct, frozen=True, forbid_unknown_fields=True):
    """One fault.

    ``drop``: connections are cut and refused for *seconds*. ``freeze``: open connections get no frame any more,
    pings are answered (connections opened within *seconds* freeze too). ``gap``, ``duplicate``, ``reorder``,
    ``corrupt``: *count* frames are left out, sent twice, swapped with their successor, or mangled.
    ``slow_consumer``: for *seconds* nothing is written, frames pile up; over *count* of them the connection is
    closed (1008), else they come in one burst. ``http_429`` (Retry-After *seconds*), ``http_5xx``: the next
    *count* REST answers. ``clock_skew``: REST time is *ms* off, for *seconds* (0: for ever).
    """

    kind: Kind
    after_s: Annotated[float, Meta(ge=0)] = 0.0
    """Due so many seconds after the tape's start, in the tape's time."""
    count: Annotated[int, Meta(ge=1)] = 1
    seconds: Annotated[float, Meta(ge=0)] = 0.0
    ms: int = 0
    match: str = ""
    """Only streams (frame faults) or REST paths (http faults) whose name contains this."""


def read_plan(text: bytes | str) -> tuple[Fault, ...]:
    """Faults from JSON. Raises :class:`ConfigError` naming what is wrong."""
    try:
        return msgspec.json.decode(text, type=tuple[Fault, ...])
    except msgspec.DecodeError as error:
        raise ConfigError(f"fault plan: {error}") from error


class Faults:
    """The state of a plan while the tape runs; times are seconds since its start."""

    def __init__(self, plan: Sequence[Fault], rng: np.random.Generator) -> None:
        self._waiting = sorted(plan, key=lambda fault: fault.after_s)
        self._rng = rng
        self._frames: list[tuple[Fault, int]] = []
        self._http: list[tuple[Fault, int]] = []
        self._skews: list[Fault] = []
        self._held: dict[int, tuple[str, bytes]] = {}
        self.fired: dict[str, int] = {}

    def due(self, elapsed_s: float) -> list[Fault]:
        """Faults of connections that are due now; those of frames, REST and time are armed inside."""
        out: list[Fault] = []
        while self._waiting and self._waiting[0].after_s <= elapsed_s:
            fault = self._waiting.pop(0)
            if fault.kind in _FRAME_KINDS:
                self._frames.append((fault, fault.count))
            elif fault.kind in ("http_429", "http_5xx"):
                self._http.append((fault, fault.count))
            elif fault.kind == "clock_skew":
                self._skews.append(fault)
                self._count(fault)
            else:
                self._count(fault)
                out.append(fault)
        return out

    def frame(self, stream: str, raw: bytes) -> list[tuple[str, bytes]]:
        """What is sent instead of *raw*: frames, each with its stream."""
        out = [(stream, raw)]
        for index, (fault, left) in enumerate(self._frames):
            if fault.match in stream and index in self._held:
                out = [*out, self._held.pop(index)]
            elif fault.match in stream and left:
                self._frames[index] = (fault, left - 1)
                self._count(fault)
                out = self._spoiled(index, fault.kind, out)
        return out

    def http(self, path: str) -> Fault | None:
        """The fault that answers a REST request instead, if any."""
        for index, (fault, left) in enumerate(self._http):
            if left and fault.match in path:
                self._http[index] = (fault, left - 1)
                self._count(fault)
                return fault
        return None

    def skew_ms(self, elapsed_s: float) -> int:
        return sum(f.ms for f in self._skews if not f.seconds or f.after_s <= elapsed_s < f.after_s + f.seconds)

    def _spoiled(self, index: int, kind: Kind, frames: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        if kind == "gap":
            return []
        if kind == "duplicate":
            return [frame for frame in frames for _ in range(2)]
        if kind == "reorder":
            if frames:
                self._held[index] = frames[0]
            return frames[1:]
        return [(stream, self._mangled(raw)) for stream, raw in frames]

    def _mangled(self, raw: bytes) -> bytes:
        """Cut short, or with a character JSON allows nowhere: never a message that means something else."""
        at = int(self._rng.integers(1, len(raw)))
        if self._rng.random() < 0.5:
            return raw[:at]
        return raw[:at] + bytes([int(self._rng.integers(1, 9))]) + raw[at + 1 :]

    def _count(self, fault: Fault) -> None:
        self.fired[fault.kind] = self.fired.get(fault.kind, 0) + 1

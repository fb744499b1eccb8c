"""backoff owns the pacing of reconnects: exponential, jittered, and patient for at least ten minutes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maestro_protocol.errors import ParameterError

LEAST_PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class ReconnectPolicy:
    """Delays double from *first_s* to *longest_s*, each drawn between half and the whole of it.

    A connection must have lived and spoken for *stable_s* before the delays start over: a server that accepts
    and drops at once is paced like one that does not answer. All in seconds.
    Raises :class:`ParameterError` when *patience_s* is under 600.
    """

    first_s: float = 0.5
    longest_s: float = 30.0
    stable_s: float = 30.0
    patience_s: float = 3_600.0
    """An outage longer than this ends the feed."""

    def __post_init__(self) -> None:
        if self.patience_s < LEAST_PATIENCE_S:
            raise ParameterError(f"patience_s is {self.patience_s:g}; an outage of 600 s must be outlasted")


class Backoff:
    """The state of one connection's reconnecting; all times are monotonic nanoseconds."""

    def __init__(self, policy: ReconnectPolicy, rng: np.random.Generator, now_ns: int) -> None:
        self._policy, self._rng = policy, rng
        self._attempt = 0
        self._alive_ns = now_ns

    def heard(self, now_ns: int) -> None:
        """A frame has come."""
        self._alive_ns = now_ns

    def away(self, ns: int) -> None:
        """This process was away for *ns*: no outage of the exchange's."""
        self._alive_ns += ns

    def closed(self, opened_ns: int) -> None:
        """A connection opened at *opened_ns* is gone."""
        if self._alive_ns - opened_ns >= self._policy.stable_s * 1e9:
            self._attempt = 0

    def outage_s(self, now_ns: int) -> float:
        """Seconds since anything was heard."""
        return (now_ns - self._alive_ns) / 1e9

    def delay_s(self, now_ns: int) -> float | None:
        """Seconds to wait before the next attempt, or None when patience has run out."""
        if self.outage_s(now_ns) > self._policy.patience_s:
            return None
        whole = min(self._policy.first_s * 2.0 ** min(self._attempt, 30), self._policy.longest_s)
        self._attempt += 1
        return whole * float(self._rng.uniform(0.5, 1.0))

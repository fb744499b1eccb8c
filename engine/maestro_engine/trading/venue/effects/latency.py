"""latency owns how long messages travel: market data to us, orders to the venue, answers back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Latency(Protocol):
    """Each answer is a whole number of milliseconds >= 0, drawn with *rng* where it varies."""

    def feed_ms(self, rng: np.random.Generator) -> int:
        """From the venue's matching to our seeing it."""
        ...

    def entry_ms(self, rng: np.random.Generator) -> int:
        """From our sending an order or a cancel to the venue's acting on it."""
        ...

    def response_ms(self, rng: np.random.Generator) -> int:
        """From the venue's acting to our knowing."""
        ...


@dataclass(frozen=True, slots=True)
class ConstantLatency:
    """Always the same, in milliseconds."""

    feed: int = 0
    entry: int = 0
    response: int = 0

    def feed_ms(self, rng: np.random.Generator) -> int:
        return self.feed

    def entry_ms(self, rng: np.random.Generator) -> int:
        return self.entry

    def response_ms(self, rng: np.random.Generator) -> int:
        return self.response


@dataclass(frozen=True, slots=True)
class SampledLatency:
    """Drawn evenly from measured milliseconds: what was seen, tail included, and nothing else."""

    feed: Sequence[int]
    entry: Sequence[int]
    response: Sequence[int]

    def feed_ms(self, rng: np.random.Generator) -> int:
        return self.feed[int(rng.integers(len(self.feed)))]

    def entry_ms(self, rng: np.random.Generator) -> int:
        return self.entry[int(rng.integers(len(self.entry)))]

    def response_ms(self, rng: np.random.Generator) -> int:
        return self.response[int(rng.integers(len(self.response)))]

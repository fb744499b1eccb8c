"""chance owns numbers by lot that are the same wherever and whenever they are drawn: hashes of a seed and labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from statistics import NormalDist
from typing import TypeVar

T = TypeVar("T")

_NORMAL = NormalDist()
_WORDS = 8  # numbers of 64 bits in a hash


class Chance:
    """Uniform and normal numbers, determined by *seed* and *labels*: no state outside, no order between instances."""

    def __init__(self, seed: int, *labels: object) -> None:
        self._key = "\x1f".join(map(str, (seed, *labels))).encode()
        self._count = 0
        self._words: list[int] = []

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number in ``(low, high)``."""
        if not self._words:
            self._count += 1
            text = hashlib.blake2b(self._key + self._count.to_bytes(8, "big")).digest()
            self._words = [int.from_bytes(text[8 * w : 8 * w + 8], "big") for w in range(_WORDS)]
        return low + (high - low) * ((self._words.pop() >> 12) + 0.5) / 2**52

    def normal(self) -> float:
        """A number of mean 0 and variance 1."""
        return _NORMAL.inv_cdf(self.uniform())

    def one_of(self, choices: Sequence[T]) -> T:
        """One of *choices*, each as likely."""
        return choices[int(self.uniform() * len(choices))]

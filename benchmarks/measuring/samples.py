"""samples owns repeated timings: contestants take turns, so that a noisy moment hits all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple, TypeVar

Name = TypeVar("Name")


class Sample(NamedTuple):
    """One repetition, in seconds; CPU of the whole process, all its threads."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Samples:
    """All repetitions of one thing."""

    taken: Sequence[Sample]

    @property
    def wall(self) -> float:
        return median(sample.wall for sample in self.taken)

    @property
    def cpu(self) -> float:
        return median(sample.cpu for sample in self.taken)

    @property
    def span(self) -> tuple[float, float]:
        """The fastest and the slowest, wall seconds."""
        return min(sample.wall for sample in self.taken), max(sample.wall for sample in self.taken)

    def times(self, share: float) -> Samples:
        """Every repetition scaled by *share*: of a batch, to one of its members."""
        return Samples([Sample(sample.wall * share, sample.cpu * share) for sample in self.taken])


Taker = Callable[[], Sample]


def timed(work: Callable[[], object]) -> Taker:
    """*work*, to be timed in this process."""

    def take() -> Sample:
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        return Sample(time.perf_counter() - wall, time.process_time() - cpu)

    return take


def interleaved(contestants: Mapping[Name, Taker], rounds: int) -> dict[Name, Samples]:
    """*rounds* repetitions of each, in turn: a, b, c, a, b, c."""
    taken: dict[Name, list[Sample]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, take in contestants.items():
            taken[name].append(take())
    return {name: Samples(samples) for name, samples in taken.items()}

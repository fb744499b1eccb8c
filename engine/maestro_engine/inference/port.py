"""port owns the port by which control decides: the sequential test and the paired sign-flip test."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from maestro_engine.inference.statistics.sequential import Direction, SequentialTest
from maestro_engine.inference.statistics.signflip import sign_flip
from maestro_protocol.ports import Look, Sequential


class _Running:
    """A sequential test and where it stands."""

    def __init__(self, test: SequentialTest) -> None:
        self._test = test

    def update(self, value: float) -> Look:
        test = self._test
        test.update(value)
        mean, bound = test.mean, test.bound
        return Look(test.n, math.nan if mean is None else mean, math.nan if bound is None else bound, test.rejects)


class EngineStatistics:
    """The engine's statistics behind the protocol's port."""

    def sequential(self, target: float, *, below: bool, alpha: float, min_n: int) -> Sequential:
        direction = Direction.BELOW if below else Direction.ABOVE
        return _Running(SequentialTest(target=target, direction=direction, alpha=alpha, minimum=min_n))

    def sign_flip(self, differences: Sequence[float], groups: Sequence[int], seed: int) -> float | None:
        return sign_flip(np.array(differences), np.array(groups), seed=seed).p

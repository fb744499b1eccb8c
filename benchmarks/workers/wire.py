"""wire owns a worker's side of the talk: a task in a line of JSON, its answer in another.

An engine's adapter has ``load(columns)``, ``one(market, rules)`` and ``many(market, grid)``; the last two give trades
as the engine has them, and ``told(trades)`` counts and sums them off the clock. Tasks: ``load`` a file of columns
under a name, ``one`` and ``many``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import rules

Task = Callable[..., dict[str, Any]]


class Traded(NamedTuple):
    """What one run, or all of a grid, came to."""

    trades: int
    pnl: float


class Engine(Protocol):
    """What an adapter gives: *market* is whatever its engine likes its bars in."""

    def load(self, columns: dict[str, Any]) -> Any: ...

    def one(self, market: Any, asked: rules.Rules) -> Any: ...

    def many(self, market: Any, grid: Sequence[rules.Rules]) -> Any: ...

    def told(self, trades: Any) -> Traded: ...


def serve(tasks: dict[str, Task]) -> None:
    """Answer tasks until standard input ends. A failure is an answer too."""
    talk, sys.stdout = sys.stdout, sys.stderr  # an engine that prints must not break into the talk
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = tasks[asked.pop("task")](**asked)
        except Exception as error:  # noqa: BLE001 - told to whoever asked, who decides
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        talk.write(json.dumps(answer) + "\n")
        talk.flush()


def timed(work: Callable[[], Any], repeats: int = 1) -> tuple[dict[str, Any], Any]:
    """Mean seconds of *repeats* runs in a row, wall and CPU of all threads, and what the last one gave."""
    result = None
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(repeats):
        result = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"wall": wall / repeats, "cpu": cpu / repeats}, result


async def each(turn: Callable[[], Awaitable[Any]], count: int) -> dict[str, Any]:
    """Mean seconds of *count* turns, one after the other."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(count):
        await turn()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"wall": wall / count, "cpu": cpu / count}


def serve_engine(engine: Engine) -> None:
    """Answer as a backtesting engine."""
    markets: dict[str, Any] = {}

    def load(name: str, path: str) -> dict[str, Any]:
        with np.load(path) as file:
            markets[name] = engine.load(dict(file))
        return {}

    def one(name: str, repeats: int = 1) -> dict[str, Any]:
        spent, trades = timed(lambda: engine.one(markets[name], rules.REFERENCE), repeats)
        return {**spent, **engine.told(trades)._asdict()}

    def many(name: str) -> dict[str, Any]:
        spent, trades = timed(lambda: engine.many(markets[name], rules.GRID))
        return {**spent, **engine.told(trades)._asdict()}

    serve({"load": load, "one": one, "many": many})

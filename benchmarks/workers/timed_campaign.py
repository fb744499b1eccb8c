"""timed_campaign owns a campaign whose store is timed: what journal and database add to it, imports included."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from wire import serve

P = ParamSpec("P")
R = TypeVar("R")

OTHERS = (
    "maestro.settings",
    "maestro.control.campaign",
    "maestro.report.pages",
    "maestro_agents.api",
    "maestro_engine.api",
)
STORE = ("maestro.store.gates", "maestro.store.opening", "maestro.store.repository")


def imported(*names: str) -> float:
    """Seconds that it took to import *names*."""
    begun = time.perf_counter()
    for name in names:
        importlib.import_module(name)
    return time.perf_counter() - begun


class Spent:
    """Seconds inside the store's doors; a door inside another door counts once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.depth = 0

    def enter(self) -> None:
        if self.depth == 0:
            self.since = time.perf_counter()
        self.depth += 1

    def leave(self) -> None:
        self.depth -= 1
        if self.depth == 0:
            self.seconds += time.perf_counter() - self.since

    def waiting(self, door: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        @wraps(door)
        async def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            self.enter()
            try:
                return await door(*args, **kwargs)
            finally:
                self.leave()

        return timed

    def calling(self, door: Callable[P, R]) -> Callable[P, R]:
        @wraps(door)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            self.enter()
            try:
                return door(*args, **kwargs)
            finally:
                self.leave()

        return timed


def time_doors(spent: Spent) -> None:
    """Everything that reaches the database, and the two files that are exports of it."""
    from maestro.control.record.campaign_folder import CampaignFolder
    from maestro.store import opening
    from maestro.store.database import Database
    from maestro.store.repository import SqlStore

    for owner, name in ((Database, "write"), (Database, "read"), (SqlStore, "commit"), (opening, "open_store")):
        setattr(owner, name, spent.waiting(getattr(owner, name)))
    for name in ("journal", "recordings"):
        setattr(CampaignFolder, name, spent.calling(getattr(CampaignFolder, name)))


def run(runs: str, jobs: int = 2) -> dict[str, Any]:
    begun = time.perf_counter()
    imported(*OTHERS)
    importing = imported(*STORE)
    spent = Spent()
    time_doors(spent)
    from maestro.settings import Settings
    from maestro.wiring.campaigns import CampaignRequest, run_campaign

    request = CampaignRequest()
    done = asyncio.run(run_campaign(request, Settings(runs=Path(runs)), lambda _: None, jobs))
    assert done.finished.tests == request.tests, "tests are missing"
    return {"whole": time.perf_counter() - begun, "importing": importing, "doors": spent.seconds}


if __name__ == "__main__":
    serve({"run": run})

"""Kills campaigns with SIGKILL at chosen points and resumes them; run as a program, by a test.

    killed_campaigns.py PLAN FOLDER DATA [URL]

PLAN is ``transitions`` (one campaign, killed before and after every commit; ``transitions:after``: only after) or
``random:SEED:KILLS`` (campaigns killed at random points until they end, then the next). A point is a moment before or
after a commit, a batch of tests, a file put in its place, or a step of a call to a model. Prints a line per campaign:
kills, then what is wrong with its end; nothing is wrong where it is what an undisturbed campaign leaves, no kept test
ran again, and no answered call was asked again. Brains are offline, or vendors where they are named.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from campaign_support import (
    CAMPAIGN,
    begin,
    conducted,
    contents,
    differing,
    on_sessions,
    resumed,
    settings_in,
    small_config,
)

from maestro.report.plots import gallery  # noqa: F401 - slow to import: once, before the forks
from maestro.settings import Settings
from maestro.store.calls import SqlCallLog
from maestro.store.opening import open_store
from maestro.store.repository import SqlStore
from maestro.wiring import markets, workspace
from maestro_engine.runner import BacktestRunner
from maestro_engine.session.runs import SessionRunner
from maestro_protocol.messages.campaign import BrainChoice, CampaignConfig

Done = Callable[[str], None]
MIXED = (("maestro", "openai"), ("strategist", "anthropic"), ("critic", "openai"), ("implementer", "anthropic"))
MODELS = {"anthropic": "claude-sonnet-5-5", "openai": "gpt-6-sol"}


class Fate:
    """When a process dies: at its *at*-th point, or at its first new commit, before or after it."""

    def __init__(self, at: int | None = None, commit: str | None = None) -> None:
        self._at, self._commit, self.passed = at, commit, 0

    def point(self, name: str) -> None:
        self.passed += 1
        if self.passed == self._at or name == self._commit:
            os.kill(os.getpid(), signal.SIGKILL)


def hook(owner: Any, name: str, fate: Fate, label: str, told: Callable[[str, tuple[Any, ...]], None]) -> None:
    """Make *owner*'s *name* pass a point before and after it does its work."""
    work = getattr(owner, name)

    async def waits(*args: Any, **more: Any) -> Any:
        fate.point(f"before {label}")
        result = await work(*args, **more)
        told(label, args)
        fate.point(f"after {label}")
        return result

    def works(*args: Any, **more: Any) -> Any:
        fate.point(f"before {label}")
        result = work(*args, **more)
        told(label, args)
        fate.point(f"after {label}")
        return result

    setattr(owner, name, waits if asyncio.iscoroutinefunction(work) else works)


def watched(fate: Fate, log: Path) -> None:
    """Points wherever something becomes durable; the log tells which tests ran and which were kept."""

    def told(label: str, args: tuple[Any, ...]) -> None:
        ids: Sequence[str] = ()
        if label == "run":
            ids = [config.run_id for config in args[1]]
        elif label == "commit" and len(args) > 3:
            ids = [result.run_id for result in args[3]]
        write(log, {"run": "ran", "commit": "kept"}.get(label, ""), ids)

    hook(SqlStore, "commit", fate, "commit", told)
    hook(BacktestRunner, "run", fate, "run", told)
    hook(SessionRunner, "run", fate, "run", told)
    hook(SqlCallLog, "opened", fate, "opening of a call", told)
    hook(SqlCallLog, "answered", fate, "answer to a call", told)
    hook(Path, "replace", fate, "file", told)


def write(log: Path, what: str, ids: Sequence[str]) -> None:
    if what:
        with log.open("a") as file:
            file.write("".join(f"{what} {run}\n" for run in ids))


def in_a_fork(work: Callable[[], object]) -> int:
    """*work* in a process of its own; its exit status, negative where it was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told, and the fork ends with it
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def live(settings: Settings, config: CampaignConfig, log: Path, fate: Fate) -> None:
    """One life of the campaign: begun where nothing was kept of it, else resumed."""

    async def kept() -> list[str]:
        store = await workspace.open_workspace_store(settings)
        if config.campaign not in await store.campaigns():
            await begin(config, settings)
        runs = list(await store.finished(config.campaign))
        await store.close()
        return runs

    write(log, "kept", asyncio.run(kept()))
    watched(fate, log)
    resumed(config.campaign, settings)


def once(fates: Callable[[], Fate], folder: Path, data: Path, url: str | None, wanted: dict[str, Any]) -> str:
    """One campaign through its deaths to its end: how many there were, and what is wrong."""
    settings = settings_of(folder, url)
    config = config_of(data, settings)
    log, kills = folder / "runs.log", 0
    while True:
        fate = fates()  # drawn here: what a fork draws, nobody remembers
        status = in_a_fork(lambda: live(settings, config, log, fate))  # noqa: B023 - it is over before the next
        if status == 0:
            break
        if status != -signal.SIGKILL:
            return f"{kills} it ended with {status} after {kills} kills"
        kills += 1
    found = end_state(settings.runs / CAMPAIGN)
    wrong = [f"differs: {', '.join(names)}"] if (names := differing(wanted, found)) else []
    again = ran_again(log)
    wrong += [f"ran again though kept: {', '.join(again)}"] if again else []
    if in_a_fork(lambda: asyncio.run(paid_once(settings))):
        wrong.append("an answered call was asked again")
    return f"{kills} {'; '.join(wrong)}"


def end_state(folder: Path) -> dict[str, Any]:
    """What a campaign leaves, without the requests that were in flight when it was killed: those are extra."""
    found = contents(folder)
    found["recordings.jsonl"] = [row for row in found["recordings.jsonl"] if row["state"] == "answered"]
    for row in found["recordings.jsonl"]:
        row["reply"] = row["reply"].split('"at":')[0]
    return found


def ran_again(log: Path) -> list[str]:
    """Tests that ran after they had been kept."""
    kept: set[str] = set()
    again: list[str] = []
    for what, run in (line.split() for line in log.read_text().splitlines()):
        if what == "kept":
            kept.add(run)
        elif run in kept:
            again.append(run)
    return again


async def paid_once(settings: Settings) -> None:
    """Raise where a call that was answered was opened again, or one in flight was not settled as unknown."""
    store = await workspace.open_workspace_store(settings)
    exchanges = await store.calls.exchanges(CAMPAIGN)
    await store.close()
    answered: set[str] = set()
    for exchange in exchanges:
        assert exchange.key not in answered, f"{exchange.role} was asked again what it had answered"
        assert exchange.state in ("answered", "unknown"), exchange.state
        if exchange.state == "answered":
            answered.add(exchange.key)
    assert {exchange.key for exchange in exchanges} == answered, "a call was never answered"


async def emptied(url: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url, timeout=10)
    await connection.execute("DROP SCHEMA public CASCADE")
    await connection.execute("CREATE SCHEMA public")
    await connection.close()
    await (await open_store(url)).close()


def settings_of(folder: Path, url: str | None) -> Settings:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("anthropic_api_key", "anthropic_base_url", "openai_api_key", "openai_base_url")
    vendors = {
        name: os.environ[f"MAESTRO_{name.upper()}"] for name in names if f"MAESTRO_{name.upper()}" in os.environ
    }
    return settings_in(folder, database_url=url, **vendors)


def config_of(data: Path, settings: Settings) -> CampaignConfig:
    config = small_config(data, settings)
    if os.environ.get("MAESTRO_TEST_ENGINE") == "session":
        return on_sessions(config.model_copy(update={"tests": 8, "segments": 2}))
    if settings.of_vendor("ANTHROPIC_BASE_URL") is None:
        return config
    brains: Any = tuple(BrainChoice.model_validate({"role": r, "brain": b, "model": MODELS[b]}) for r, b in MIXED)
    return config.model_copy(update={"brains": brains})


def main(plan: str, folder: Path, data: Path, url: str | None) -> None:
    settings = settings_of(folder / "undisturbed", None)
    markets.read_bars = functools.cache(markets.read_bars)  # another process reads a file: once, not in every life
    wanted = end_state(conducted(config_of(data, settings), settings).folder)  # warms the kernels for every fork
    if url is not None:
        asyncio.run(emptied(url))  # so that no fork imports what only this store needs
    if plan.startswith("transitions"):
        moments = itertools.cycle(("after commit",) if plan.endswith(":after") else ("before commit", "after commit"))
        print(once(lambda: Fate(commit=next(moments)), folder / "transitions", data, url, wanted), flush=True)
        return
    _, seed, wanted_kills = plan.split(":")
    dice, kills, number = random.Random(int(seed)), 0, 0
    points = points_of(settings_of(folder / "counted", None), data, folder / "points")
    reach = itertools.cycle((points // 5, points // 5, points))  # early deaths are cheap; some must come near the end
    while kills < int(wanted_kills):
        number += 1
        line = once(lambda: Fate(at=dice.randint(1, next(reach))), folder / f"random{number}", data, url, wanted)
        kills += int(line.split()[0])
        print(line, flush=True)


def points_of(settings: Settings, data: Path, told: Path) -> int:
    """How many points an undisturbed life passes."""
    fate = Fate()

    def count() -> None:
        live(settings, config_of(data, settings), told.with_suffix(".log"), fate)
        told.write_text(str(fate.passed))

    assert in_a_fork(count) == 0
    return int(told.read_text())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None)

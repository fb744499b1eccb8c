"""backtest_against_peers owns the comparison of one strategy on several engines: the same bars, the same trades."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from math import isclose
from typing import Any

from measuring.bench import Bench
from measuring.market import MEGA, MICRO
from measuring.results import Row, Target, duration, faster, least, missing
from measuring.samples import Samples, interleaved
from measuring.workers import Worker, WorkerFailed

TITLE = "Reference strategy: the same trades on other engines"

OURS = "maestro"
EXPECTED = (215, -4322.02)
"""Trades and PnL of one backtest on the small set, as several engines found them."""


@dataclass(frozen=True)
class Peer:
    """Another engine. *exact*: it must make the very same trades. *target*: the promise for a single backtest."""

    name: str
    script: str
    packages: tuple[str, ...]
    exact: bool
    target: Target
    note: str = ""


PEERS = (
    Peer("vectorbt, exact route", "vectorbt_exact.py", ("vectorbt",), True, least(150)),
    Peer("backtesting", "backtesting_event.py", ("backtesting",), True, least(2_000)),
    Peer(
        "vectorbt-rust, bare kernel",
        "vectorbt_rust_kernel.py",
        ("vectorbt", "vectorbt-rust"),
        False,
        least(5),
        "signals, stops and exits by age are handed to it ready made",
    ),
    Peer(
        "raptorbt, bare kernel",
        "raptorbt_kernel.py",
        ("vectorbt", "raptorbt"),
        False,
        least(5),
        "signals and exits by age are handed to it ready made",
    ),
)


@dataclass(frozen=True)
class Task:
    """What all are asked to do."""

    what: str
    bars: str
    ask: str
    rounds: int
    repeats: Mapping[str, int]
    """Runs in a row in one repetition, by engine, where one alone is too short to time."""

    def arguments(self, name: str) -> dict[str, object]:
        asked: dict[str, object] = {"name": self.bars}
        return asked | {"repeats": self.repeats.get(name, 1)} if self.ask == "one" else asked


SINGLE = {OURS: 200, "vectorbt-rust, bare kernel": 50, "raptorbt, bare kernel": 10, "vectorbt, exact route": 3}
TASKS = (
    Task("one backtest, 4,320 bars", MICRO, "one", 15, SINGLE),
    Task("100 parameter sets, 4,320 bars", MICRO, "many", 3, {}),
    Task("one backtest, 1,000,000 bars", MEGA, "one", 3, {}),
)


def measure(bench: Bench) -> Iterator[Row]:
    with ExitStack() as stack:
        workers = {OURS: stack.enter_context(bench.our_worker("maestro_reference.py"))}
        peers: list[Peer] = []
        for peer in PEERS:
            reason = bench.peers.why_not(*peer.packages)
            if reason is None:
                workers[peer.name] = stack.enter_context(bench.peer_worker(peer.script))
                peers.append(peer)
            else:
                yield missing(peer.name, reason)
        for task in TASKS[:1] if bench.quick else TASKS:
            bench.tell(f"  {task.what}")
            yield from _compare(bench, task, workers, peers)


def _compare(bench: Bench, task: Task, workers: Mapping[str, Worker], peers: list[Peer]) -> Iterator[Row]:
    """Everyone once, to look at the trades; then everyone in turn, for the time."""
    path = str(bench.bars(task.bars))
    for worker in workers.values():
        worker.ask("load", name=task.bars, path=path)
    ours = _first(workers[OURS], task)
    if task == TASKS[0]:
        assert (ours["trades"], round(ours["pnl"], 2)) == EXPECTED, f"the reference trades have changed: {ours}"
    able: dict[str, dict[str, Any]] = {}
    for peer in peers:
        try:
            able[peer.name] = _first(workers[peer.name], task)
        except WorkerFailed as error:
            yield missing(f"{task.what}: {peer.name}", str(error))
            continue
        _check(peer, able[peer.name], ours)
    takers = {name: workers[name].timed(task.ask, **task.arguments(name)) for name in (OURS, *able)}
    samples = interleaved(takers, bench.rounds(task.rounds))
    yield duration(f"{task.what}: {OURS}", samples[OURS], note=f"{ours['trades']:,} trades")
    for peer in peers:
        if peer.name in able:
            yield _row(task, peer, samples, able[peer.name], ours)


def _first(worker: Worker, task: Task) -> dict[str, Any]:
    return worker.ask(task.ask, name=task.bars)


def _check(peer: Peer, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    if peer.exact:
        same = theirs["trades"] == ours["trades"] and isclose(theirs["pnl"], ours["pnl"], rel_tol=1e-6)
        assert same, f"{peer.name} trades differently: {theirs} against {ours}"


def _row(task: Task, peer: Peer, samples: Mapping[str, Samples], theirs: dict[str, Any], ours: dict[str, Any]) -> Row:
    same = "same trades" if peer.exact else f"{theirs['trades']:,} of {ours['trades']:,} trades; {peer.note}"
    target = peer.target if task == TASKS[0] else None
    return faster(f"{task.what}: against {peer.name}", samples[OURS], samples[peer.name], target, same)

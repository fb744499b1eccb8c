"""Kills writers of a store at seeded random moments and looks what they left; run as a program, by a test.

    doomed_writer.py URL ROUNDS SEED

Each round forks a writer that commits for ever and tells each commit it saw return, kills it with SIGKILL, and forks
a reader that opens the store and looks. Prints a line per round: how many commits were told and how many are there.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time

from maestro.store.opening import look, open_store
from maestro.store.repository import SqlStore
from maestro_protocol.envelope import Envelope
from maestro_protocol.messages.plan import RoleFellBack

CAMPAIGN = "doomed"


def entry(seq: int, commit: int, of: int) -> Envelope:
    body = RoleFellBack(role="critic", turn=commit, brain="x" * 100, reason="y" * 2_000, repairs=of)
    return Envelope(id=f"m{seq:06d}", seq=seq, time=1, campaign=CAMPAIGN, sender="control", topic="t", body=body)


async def commits(store: SqlStore) -> list[int]:
    """Number of entries of each commit that is there. Raises AssertionError when one is there in part."""
    records = await store.records(CAMPAIGN)
    assert [record.seq for record in records] == list(range(1, len(records) + 1)), "a hole in the journal"
    sizes: list[int] = []
    for record in records:
        body = record.envelope().body
        assert isinstance(body, RoleFellBack)
        if body.turn == len(sizes):
            sizes.append(0)
        assert body.turn == len(sizes) - 1, "commits out of order"
        sizes[-1] += 1
        wanted = body.repairs
    if sizes:
        assert sizes[-1] == wanted, "half a commit"
    opened = {exchange.key for exchange in await store.calls.exchanges(CAMPAIGN)}
    assert {f"k{n}" for n in range(len(sizes))} <= opened, "a call that was opened is gone"
    return sizes


async def write_for_ever(url: str, tell: int) -> None:
    store = await open_store(url)
    sizes = await commits(store)
    seq, commit = sum(sizes), len(sizes)
    while True:
        size = 1 + commit % 5
        await store.calls.opened(CAMPAIGN, f"k{commit}", "critic", "{}")
        await store.commit(CAMPAIGN, [entry(seq + n + 1, commit, size) for n in range(size)])
        seq, commit = seq + size, commit + 1
        os.write(tell, commit.to_bytes(4, "big"))


async def read_all(url: str) -> int:
    store = await open_store(url)
    found = await look(store.database)
    assert not found, found
    sizes = await commits(store)
    await store.close()
    return len(sizes)


def killed_writer(url: str, delay: float) -> int:
    """The last commit that a writer told before it was killed *delay* seconds after its first, or its birth."""
    listen, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(listen)
        asyncio.run(write_for_ever(url, tell))
    os.close(tell)
    told = os.read(listen, 4) if delay > 0 else b""
    time.sleep(abs(delay))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(listen, 4):
        told = more
    os.close(listen)
    return int.from_bytes(told, "big")


def found_by_reader(url: str) -> int:
    listen, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(tell, asyncio.run(read_all(url)).to_bytes(4, "big"))
        os._exit(0)
    os.close(tell)
    found = os.read(listen, 4)
    os.close(listen)
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"the reader failed after a kill: {status}")
    return int.from_bytes(found, "big")


def main(url: str, rounds: int, seed: int) -> None:
    dice = random.Random(seed)
    last = 0
    for turn in range(rounds):
        delay = dice.uniform(0.0, 0.03) * (-1 if turn % 4 == 0 else 1)  # every fourth dies while it opens
        told = max(last, killed_writer(url, delay))
        last = found_by_reader(url)
        print(told, last, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

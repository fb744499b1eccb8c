"""Processes that spend one day's budget at once: together they are granted what it holds, and not a cent more."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import IO

from maestro.store.opening import open_store
from maestro_agents.budget import day_scope

PROGRAM = Path(__file__).with_name("racing_spender.py")
DAYS = 150


async def _made(url: str) -> None:
    await (await open_store(url)).close()


def _pipes(racer: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert racer.stdin is not None
    assert racer.stdout is not None
    return racer.stdin, racer.stdout


def test_of_two_processes_that_race_for_the_last_dollar_one_is_granted_it(store_url: str) -> None:
    """Every day of many, both at the same moment, two campaigns."""
    asyncio.run(_made(store_url))
    racers = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), store_url, campaign],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for campaign in ("c1", "c2")
    ]
    pipes = [_pipes(racer) for racer in racers]
    assert [said.readline() for _, said in pipes] == ["ready\n", "ready\n"]
    for day in range(20_000, 20_000 + DAYS):
        for told, _ in pipes:
            told.write(f"{day}\n")
            told.flush()
        assert sorted(said.readline() for _, said in pipes) == [f"{day_scope(day)}.usd\n", "granted\n"]
    for racer in racers:
        racer.communicate(timeout=60)
        assert racer.returncode == 0

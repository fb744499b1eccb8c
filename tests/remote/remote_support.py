"""remote_support owns small campaigns, and agents in processes of their own, for the tests of this room."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import SecretStr

from maestro.control.record.journal_hash import journal_hash
from maestro.settings import Settings
from maestro.wiring.campaigns import CampaignRequest, CampaignRun, run_campaign
from maestro.wiring.replays import read_journal
from maestro_engine.data.simulators.regimes import simulate_bars

DOOMED = str(Path(__file__).with_name("doomed_agent.py"))
CLI = ("-c", "from maestro.__main__ import run; run()")
PATIENCE = 60


def bars_file(folder: Path) -> Path:
    """Thirty days of made-up quarter-hour bars."""
    bars = simulate_bars("mean_reverting", 3, 30 * 96, step_ms=900_000)
    names = ("open_time", "open", "high", "low", "close", "volume")
    path = folder / "BTCUSDT-15m-made-up.parquet"
    pq.write_table(pa.table({name: getattr(bars, name) for name in names}), path)
    return path


def request_on(data: Path, **changes: Any) -> CampaignRequest:
    given = {"data": data, "symbol": "BTCUSDT", "tests": 20, "segments": 2, "seed": 3, "policy": "streak"}
    return CampaignRequest.model_validate(given | changes)


def settings_in(folder: Path, bus: str | None = None, **more: Any) -> Settings:
    keys = dict.fromkeys(("anthropic_api_key", "openai_api_key", "anthropic_base_url", "openai_base_url"))
    url = None if bus is None else SecretStr(bus)
    return Settings.model_validate(keys | {"runs": folder, "database_url": None, "bus_url": url} | more)


async def conduct(request: CampaignRequest, settings: Settings, away: Collection[str] = ()) -> CampaignRun:
    return await run_campaign(request, settings, lambda progress: None, 1, away)


def hash_of(run: CampaignRun) -> str:
    return journal_hash(read_journal(run.folder))


class AgentProcess:
    """A process and what it says on standard error, line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.said: list[str] = []

    @classmethod
    async def begin(cls, arguments: Sequence[str], environment: Mapping[str, str]) -> Self:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(os.environ) | dict(environment),
        )
        return cls(process)

    async def line_with(self, word: str) -> str:
        """The next line with *word* in it; what comes before it is kept in ``said``."""
        assert self._process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            while line := (await self._process.stderr.readline()).decode():
                self.said.append(line.rstrip())
                if word in line:
                    return self.said[-1]
        raise AssertionError(f"the process ended without saying {word!r}: {self.said}")

    async def ended(self) -> tuple[int, str]:
        """Its exit code and everything that it said."""
        async with asyncio.timeout(PATIENCE):
            _, rest = await self._process.communicate()
        self.said.append(rest.decode().rstrip())
        assert self._process.returncode is not None
        return self._process.returncode, "\n".join(self.said)

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.communicate()

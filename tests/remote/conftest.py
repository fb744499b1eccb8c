"""conftest owns what tests of roles in other processes share: a corner of a Redis, small bars, agents to start."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from remote_support import AgentProcess, bars_file

_spec = spec_from_file_location("store_fixtures_for_remote", Path(__file__).parents[1] / "store" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_shared = module_from_spec(_spec)
_spec.loader.exec_module(_shared)

redis_url = _shared.redis_url
redis_server = _shared.redis_server


@pytest.fixture(scope="session")
def small_bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bars_file(tmp_path_factory.mktemp("bars"))


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine is set up for says nothing about these tests."""
    for name in [name for name in os.environ if name.startswith(("MAESTRO_", "ANTHROPIC_", "OPENAI_"))]:
        if name != "MAESTRO_TEST_REDIS":
            monkeypatch.delenv(name)


@pytest.fixture
def bus_url(redis_url: str) -> Iterator[str]:
    """A bus with keys of its own, which go when the test ends."""
    from redis import Redis

    name = f"maestro-test-{secrets.token_hex(6)}"
    yield f"{redis_url}#{name}"
    with Redis.from_url(redis_url) as redis:
        for key in redis.scan_iter(f"{name}:*"):
            redis.delete(key)


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Any]]:
    """Starts agents in processes of their own and ends them with the test."""
    started: list[AgentProcess] = []

    async def start_one(*arguments: str, **environment: str) -> AgentProcess:
        started.append(await AgentProcess.begin(arguments, environment))
        return started[-1]

    yield start_one
    for process in started:
        await process.kill()

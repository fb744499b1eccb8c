"""One writer per campaign: the second is refused, and the dead hold nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from maestro.store.repository import SqlStore
from maestro_protocol.errors import StoreError

HOLDER = """
import asyncio, sys
from maestro.store.opening import open_store

async def main(url):
    store = await open_store(url)
    async with store.lease("c1"):
        print("held", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main(sys.argv[1]))
"""


def hold_elsewhere(url: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


async def is_free(store: SqlStore, campaign: str = "c1") -> bool:
    try:
        async with store.lease(campaign):
            return True
    except StoreError as error:
        if "another process is at it" not in str(error):
            raise
        return False


async def test_a_second_process_is_refused_until_the_first_is_killed(store: SqlStore, store_url: str) -> None:
    holder = hold_elsewhere(store_url)
    assert not await is_free(store)
    assert await is_free(store, "c2")
    holder.kill()
    holder.communicate()
    while not await is_free(store):  # PostgreSQL notices a dead client when it looks at its socket
        pass


async def test_a_lease_ends_with_its_block_even_when_that_fails(store: SqlStore) -> None:
    async def fail() -> None:
        async with store.lease("c1"):
            assert not await is_free(store)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await is_free(store)


async def test_a_file_left_behind_holds_nothing(tmp_path: Path, opened: Any) -> None:
    store = await opened(f"sqlite:///{tmp_path}/maestro.db")
    (tmp_path / "maestro.db-leases").mkdir()
    (tmp_path / "maestro.db-leases" / "c1.lock").write_text("pid 1")
    assert await is_free(store)


@pytest.mark.parametrize("campaign", ["../c1", "", "a/b", ".hidden", "C1", "c1\x00"])
async def test_a_name_that_is_no_id_never_reaches_the_disk(tmp_path: Path, opened: Any, campaign: str) -> None:
    store = await opened(f"sqlite:///{tmp_path}/maestro.db")
    with pytest.raises(StoreError, match="is no campaign"):
        async with store.lease(campaign):
            raise AssertionError("held")
    assert not (tmp_path / "maestro.db-leases").exists()

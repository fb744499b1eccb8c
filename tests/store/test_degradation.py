"""A database that is locked, full, gone or damaged: one clear line, and never a half-written commit."""
# ruff: noqa: ASYNC221, ASYNC240 - nothing else runs on a test's loop

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from maestro.store.opening import look, open_database, open_store
from maestro.store.repository import SqlStore
from maestro_protocol.errors import ConfigError, StoreError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "maestro.db"


async def seqs(store: SqlStore) -> list[int]:
    return [record.seq for record in await store.records("c1")]


def one_line(caught: pytest.ExceptionInfo[StoreError]) -> str:
    text = str(caught.value)
    assert "\n" not in text
    return text


async def test_a_locked_database_is_waited_for_then_told(file: Path, opened: Any, make: Any) -> None:
    store = await opened(f"sqlite:///{file}", patience=0.1)
    await store.commit("c1", [make.trial(1)])
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="another program has held it for too long") as caught:
        await store.commit("c1", [make.trial(2)])
    assert str(file) in one_line(caught)
    assert await seqs(store) == [1]  # readers do not wait for the writer
    other.execute("ROLLBACK")
    other.close()
    await store.commit("c1", [make.trial(2)])


async def test_a_lock_that_is_let_go_in_time_is_no_error(file: Path, opened: Any, make: Any) -> None:
    store = await opened(f"sqlite:///{file}", patience=20)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    commit = asyncio.create_task(store.commit("c1", [make.trial(1)]))
    done, _ = await asyncio.wait([commit], timeout=0.1)
    assert not done
    other.execute("ROLLBACK")
    other.close()
    await commit
    assert await seqs(store) == [1]


async def test_small_work_overtakes_nothing_even_where_nobody_waits_for_it(
    file: Path, opened: Any, make: Any
) -> None:
    store = await opened(f"sqlite:///{file}", patience=20)
    began, go_on, order = threading.Event(), threading.Event(), list[str]()

    def large(_: object) -> None:
        began.set()
        go_on.wait(20)
        order.append("large")

    left = asyncio.create_task(store.database.write(large))
    await asyncio.to_thread(began.wait, 20)
    left.cancel()  # what is written goes on
    small = asyncio.create_task(store.database.write(lambda _: order.append("small"), small=True))
    done, _ = await asyncio.wait([small], timeout=0.05)
    assert not done
    go_on.set()
    await small
    assert order == ["large", "small"]
    await store.database.write(lambda _: order.append("at once"), small=True)
    await store.commit("c1", [make.trial(1)])
    assert order[-1] == "at once"


async def test_small_work_that_fails_leaves_nothing_and_the_next_one_works(
    file: Path, opened: Any, make: Any
) -> None:
    store = await opened(f"sqlite:///{file}")
    for small in (True, False, True):
        with pytest.raises(ZeroDivisionError):
            await store.database.write(
                lambda connection: connection.run("INSERT INTO requests VALUES (1, '')") / 0, small=small
            )
    assert await store.database.read(lambda connection: connection.rows("SELECT * FROM requests")) == []
    await store.commit("c1", [make.trial(1)])
    assert await seqs(store) == [1]


async def test_a_full_database_keeps_what_it_has_and_goes_on_when_there_is_room(
    file: Path, opened: Any, make: Any
) -> None:
    store = await opened(f"sqlite:///{file}")
    await store.commit("c1", [make.trial(1)])

    async def allow(pages: int) -> None:
        await store.database.write(lambda connection: connection.run(f"PRAGMA max_page_count = {pages}"))

    await allow(1)
    with pytest.raises(StoreError, match="the disk is full; nothing was written: free some space") as caught:
        await store.commit("c1", make.trials(2, 500), [make.stored("seg1_test001", trades=500)])
    one_line(caught)
    assert await seqs(store) == [1]
    assert await look(store.database) == []
    await allow(1_000_000)
    await store.commit("c1", make.trials(2, 500), [make.stored("seg1_test001", trades=500)])
    assert len(await seqs(store)) == 500


WRITER = """
import asyncio, resource, sys
from maestro.store.opening import open_store
from maestro_protocol.envelope import ENVELOPE
from maestro_protocol.errors import StoreError

async def main(url, line):
    said = ENVELOPE.validate_json(line)
    store = await open_store(url)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    kept = 0
    try:
        for seq in range(1, 10_000):
            await store.commit("c1", [said.model_copy(update={"seq": seq, "id": f"m{seq}"})])
            kept = seq
    except StoreError as error:
        print(kept, error)
    await store.close()

import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_disk_that_takes_no_more_loses_nothing_that_was_committed(file: Path, opened: Any, make: Any) -> None:
    line = make.trial(1).model_dump_json()
    run = [sys.executable, "-c", WRITER, f"sqlite:///{file}", line]
    said = subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()
    kept, _, told = said.partition(" ")
    assert "free some space" in told or "cannot be written" in told
    assert "\n" not in told
    store = await opened(f"sqlite:///{file}")
    assert await look(store.database) == []
    assert await seqs(store) == list(range(1, int(kept) + 1))
    await store.commit("c1", [make.trial(int(kept) + 1)])


async def test_a_deleted_database_takes_no_commit_to_the_grave(file: Path, opened: Any, make: Any) -> None:
    store = await opened(f"sqlite:///{file}")
    await store.commit("c1", [make.trial(1)])
    copy = file.read_bytes()
    file.unlink()
    with pytest.raises(StoreError, match="the database is gone"):
        await store.commit("c1", [make.trial(2)])
    file.write_bytes(copy)
    with pytest.raises(StoreError, match="replaced while in use"):
        await store.commit("c1", [make.trial(2)])


async def test_a_database_that_may_not_be_written_says_so(file: Path, opened: Any, make: Any) -> None:
    store = await opened(f"sqlite:///{file}")
    await store.database.write(lambda connection: connection.run("PRAGMA query_only = ON"))
    with pytest.raises(StoreError, match="write permission"):
        await store.commit("c1", [make.trial(1)])


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all/maestro.db", "sqlite:////"])
async def test_a_place_that_cannot_be_opened_says_so(url: str) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        await open_store(url)


async def test_a_file_that_is_no_database_is_left_alone(file: Path) -> None:
    file.write_bytes(b"these are my notes, not a database" * 100)
    with pytest.raises(StoreError, match="damaged or no SQLite database"):
        await open_store(f"sqlite:///{file}")
    assert file.read_bytes().startswith(b"these are my notes")


async def test_damaged_pages_are_found_and_told(file: Path, opened: Any, make: Any) -> None:
    store = await opened(f"sqlite:///{file}")
    await store.commit("c1", make.trials(1, 2_000))
    await store.close()
    with file.open("r+b") as raw:
        raw.seek(40 * 4_096)
        raw.write(b"\xff" * 60 * 4_096)
    store = await opened(f"sqlite:///{file}")
    found: list[str] = []
    try:
        found = list(await look(store.database))
    except StoreError as error:
        found.append(str(error))
    assert found
    with pytest.raises(StoreError, match="the file is damaged"):
        await store.records("c1")


async def test_trouble_while_results_are_read_is_told_too(file: Path, opened: Any, make: Any) -> None:
    store = await opened(f"sqlite:///{file}")
    await store.commit("c1", [make.trial(1)])
    with sqlite3.connect(file) as other:
        other.execute("DROP TABLE results")
    other.close()
    with pytest.raises(StoreError, match="a table is missing"):
        await store.finished("c1")


@pytest.mark.parametrize("url", ["", "maestro.db", "sqlite://", "sqlite:///:memory:", "mysql://root@localhost/x"])
def test_a_url_that_cannot_be_used_is_a_usage_error(url: str) -> None:
    with pytest.raises(ConfigError, match="store: "):
        open_database(url)


async def test_a_server_that_is_not_there_is_told_without_its_password() -> None:
    pytest.importorskip("asyncpg")
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        await open_store("postgresql://maestro:hunter2@127.0.0.1:9/maestro", patience=2)
    assert "hunter2" not in one_line(caught)


async def test_a_database_the_server_does_not_know_is_told(postgres: str) -> None:
    with pytest.raises(StoreError, match="the server does not know") as caught:
        await open_store(f"{postgres}_nowhere")
    one_line(caught)


async def test_a_connection_cut_by_the_server_is_told_and_costs_one_new_connection(
    postgres: str, opened: Any, make: Any
) -> None:
    store, other = await opened(postgres), await opened(postgres)
    name = "cut"
    await store.commit(name, [make.trial(1, name)])

    def cut(connection: Any) -> None:
        connection.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    def cut_oneself(connection: Any) -> None:
        connection.run("SELECT pg_terminate_backend(pg_backend_pid())")

    await other.database.write(cut)
    await store.commit(name, [make.trial(2, name)])
    with pytest.raises(StoreError, match=r"the connection was lost; .* the journal tells what was kept"):
        await store.database.write(cut_oneself)
    assert [record.seq for record in await store.records(name)] == [1, 2]

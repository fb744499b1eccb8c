"""The schema: made at once or migrated it is the same, every release opens, and a newer one is left alone.

``releases/NNNN_*.sql`` are databases as each released revision left them, with a small campaign in them.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from maestro.store import opening
from maestro.store.database import Database
from maestro.store.gates import GateStore
from maestro.store.migrations.tables import TableRow
from maestro.store.opening import create, look, migrate, open_database, open_store, stamp
from maestro.store.repository import SqlStore
from maestro.store.schema import HEAD, TABLES
from maestro_protocol.errors import StoreError
from maestro_protocol.ports import Amount, Hold, Taken

RELEASES = Path(__file__).with_name("releases")
DIALECTS = {"sqlite": sqlite.dialect, "postgresql": postgresql.dialect}


def shape(connection: Connection) -> Any:
    """Everything that makes the schema, for comparison."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").all()
        return [(kind, name, of, "".join((sql or "").split())) for kind, name, of, sql in rows]
    look_at = inspect(connection)
    tables = {
        table: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in look_at.get_columns(table)],
            look_at.get_pk_constraint(table),
            look_at.get_unique_constraints(table),
            look_at.get_indexes(table),
        )
        for table in sorted(look_at.get_table_names())
    }
    storage = connection.exec_driver_sql(
        "SELECT attrelid::regclass::text, attname, attstorage"
        " FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped ORDER BY 1, 2"
    ).all()
    views = {view: look_at.get_view_definition(view) for view in sorted(look_at.get_view_names())}
    return tables, list(storage), views


def empty(connection: Connection) -> None:
    for view in inspect(connection).get_view_names():
        connection.exec_driver_sql(f"DROP VIEW {view}")
    TableRow.metadata.drop_all(connection)
    connection.exec_driver_sql("DROP TABLE alembic_version")


@pytest.fixture
async def database(store_url: str) -> Any:
    database = open_database(store_url)
    yield database
    await database.close()


async def test_migrated_from_nothing_it_is_what_the_tables_say(database: Database) -> None:
    def work(connection: Connection) -> tuple[Any, Any]:
        made = shape(connection)
        empty(connection)
        migrate(connection)
        assert shape(connection) == made
        return made, compare_metadata(MigrationContext.configure(connection), TableRow.metadata)

    await database.write(create)
    made, drift = await database.alter(work)
    assert len(made) > 0
    assert drift == []
    assert await database.read(stamp) == HEAD


@pytest.mark.parametrize("kind", DIALECTS)
def test_what_makes_a_database_is_what_the_tables_say(kind: str) -> None:
    tables = TableRow.metadata.sorted_tables
    dialect = DIALECTS[kind]()
    parts = [CreateTable(table) for table in tables]
    parts += [
        CreateIndex(index) for table in tables for index in sorted(table.indexes, key=lambda one: str(one.name))
    ]
    lines = [str(part.compile(dialect=dialect)).strip().expandtabs(4).splitlines() for part in parts]
    text = ";\n\n".join("\n".join(line.rstrip() for line in part) for part in lines) + ";\n"
    file = Path(opening.__file__).parent / "migrations" / f"schema_{kind}.sql"
    if os.environ.get("MAESTRO_WRITE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text
    assert set(TABLES) == set(TableRow.metadata.tables)


async def load(url: str, revision: str) -> None:
    kind = url.partition(":")[0]
    script = (RELEASES / f"{revision}_{kind}.sql").read_text(encoding="utf-8")
    if kind == "sqlite":
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.executescript(script)
        connection.close()
    else:
        import asyncpg

        server = await asyncpg.connect(url)
        await server.execute(script)
        await server.close()


@pytest.mark.parametrize("revision", sorted({file.name[:4] for file in RELEASES.glob("*.sql")}))
async def test_a_database_of_every_release_opens_with_all_that_is_in_it(
    revision: str, store_url: str, opened: Callable[..., Any], clock: Any, make: Any
) -> None:
    await load(store_url, revision)
    store: SqlStore = await opened(store_url)
    assert await look(store.database) == []
    assert [(record.seq, record.id, record.type) for record in await store.records("c1")] == [
        (seq, f"m{seq:06d}", "TrialRecorded") for seq in range(1, 5)
    ]
    assert "açúcar ☃ 'x'" in (await store.records("c1"))[-1].json
    assert await store.finished("c1") == ["seg1_test001", "seg1_test002"]
    assert await store.calls.recall("c1", "a" * 64) == '{"a": 1}'
    assert [one.key for one in await store.calls.settle("c1")] == ["b" * 64]
    assert (await GateStore(store, clock, "cli:alice").get("g1")).state == "pending"
    sums = await store.database.read(
        lambda connection: connection.rows("SELECT count(*), sum(pnl_micros) FROM trades")
    )
    assert sums == [(6, -600_000)]
    await store.commit("c1", [make.trial(5)], [make.stored("seg1_test003")])


async def test_what_was_paid_before_budgets_were_kept_counts_in_them(
    store_url: str, opened: Callable[..., Any]
) -> None:
    await load(store_url, "0001")
    database = open_database(store_url)
    paid = (
        "INSERT INTO calls (campaign, key, role, state, model, input_tokens, output_tokens, cost_micros, reason,"
        " request, reply) VALUES ('c1', 'k3', 'critic', 'answered', 'm', 100, 20, 1500000, '', '{}',"
        """ '{"at": 1795132800000}')"""
    )
    await database.write(lambda connection: connection.run(paid))
    await database.close()
    store: SqlStore = await opened(store_url)
    seen: list[Taken] = []

    def grant(taken: Taken) -> Amount:
        seen.append(taken)
        return Amount(requests=1)

    await store.calls.opened("c2", "k", "critic", "{}", Hold(1_795_132_800_000 // 86_400_000, grant))
    await store.calls.opened("c1", "k", "maestro", "{}", Hold(1, grant))
    paid_for, one = Amount(Decimal("1.5"), 120, 1, 0), Amount(requests=1)
    assert seen == [Taken(Amount(), Amount(), paid_for), Taken(paid_for + one, Amount(), Amount())]


async def test_a_newer_database_is_left_alone(store_url: str, opened: Callable[..., Any]) -> None:
    store = await opened(store_url)
    await store.database.write(lambda connection: connection.run("UPDATE alembic_version SET version_num='9'"))
    with pytest.raises(StoreError, match="made by a newer Maestro; upgrade this one"):
        await open_store(store_url)
    assert await look(store.database) == [f"the schema is at revision 9, this Maestro needs {HEAD}"]


async def test_a_database_of_somebody_else_is_left_alone(store_url: str, database: Database) -> None:
    await database.write(lambda connection: connection.run("CREATE TABLE runs (mine INTEGER)"))
    with pytest.raises(StoreError, match="runs exist but no alembic_version; use an empty database"):
        await open_store(store_url)


LATER = """
from alembic import op
revision, down_revision, branch_labels, depends_on = "0006", "0005", None, None

def upgrade():
    op.execute("CREATE TABLE later (n INTEGER)")
    op.execute("INSERT INTO later VALUES (1)")
    {then}
"""


def _with_a_later_revision(monkeypatch: pytest.MonkeyPatch, folder: Path, then: str) -> None:
    (folder / "0006_later.py").write_text(LATER.format(then=then))
    packaged = opening.migrations

    def migrations(connection: Connection) -> Config:
        config = packaged(connection)
        packaged_versions = Path(str(config.get_main_option("script_location"))) / "versions"
        config.set_main_option("version_locations", f"{packaged_versions}:{folder}")
        return config

    monkeypatch.setattr(opening, "migrations", migrations)
    monkeypatch.setattr(opening, "HEAD", "0006")


async def test_an_older_database_is_brought_up_to_date_when_opened(
    store_url: str, opened: Callable[..., Any], make: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = await opened(store_url)
    await old.commit("c1", make.trials(1, 3))
    _with_a_later_revision(monkeypatch, tmp_path, "pass")
    stores = await asyncio.gather(opened(store_url), opened(store_url))  # two at once: one migrates, one waits
    for store in stores:
        assert await store.database.read(stamp) == "0006"
        assert len(await store.records("c1")) == 3
    count = "SELECT count(*) FROM later"
    assert await stores[0].database.read(lambda connection: connection.value(count)) == 1


async def test_a_migration_that_fails_changes_nothing(
    store_url: str, opened: Callable[..., Any], make: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = await opened(store_url)
    await old.commit("c1", make.trials(1, 3))
    before = await old.database.alter(shape)
    _with_a_later_revision(monkeypatch, tmp_path, 'op.execute("SELECT nothing FROM nowhere")')
    with pytest.raises(StoreError):
        await open_store(store_url)
    assert await old.database.alter(shape) == before
    await old.commit("c1", [make.trial(4)])


async def test_two_processes_may_open_an_empty_database_at_once(store_url: str, opened: Callable[..., Any]) -> None:
    stores = await asyncio.gather(*(opened(store_url) for _ in range(3)))
    for store in stores:
        assert await look(store.database) == []


def loaded_after(script: str) -> set[str]:
    """The top-level packages that a process has loaded after *script*."""
    tail = "\nimport sys; print(' '.join({name.split('.')[0] for name in sys.modules}))"
    run = [sys.executable, "-c", script + tail]
    return set(subprocess.run(run, capture_output=True, text=True, check=True).stdout.split())


def test_opening_loads_what_it_needs_and_no_more(tmp_path: Path) -> None:
    opening_one = (
        "import asyncio\nfrom maestro.store.opening import open_store\n"
        f"store = asyncio.run(open_store('sqlite:///{tmp_path}/maestro.db'))\n"
        "asyncio.run(store.close())\n"
    )
    heavy = {"alembic", "asyncpg", "redis", "aiosqlite", "numpy", "numba", "mako", "sqlalchemy", "sqlmodel"}
    assert not loaded_after(opening_one) & heavy  # made
    assert not loaded_after(opening_one) & heavy  # found up to date
    assert not loaded_after("import maestro.store") & {"pydantic", "sqlite3"}

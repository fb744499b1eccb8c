"""opening owns how a store is opened: made when empty, brought up to date when older, refused when newer.

An empty database is made by statements that lie ready, and stamped; only an older one imports Alembic, and
SQLAlchemy with it. A test holds both ways to the same schema.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from maestro.store.database import PATIENCE, Connection, Database
from maestro.store.repository import SqlStore
from maestro.store.schema import HEAD, TABLES, extras, making
from maestro_protocol.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection as SqlAlchemy

_STAMP = "alembic_version"
_PRESENT = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
}
_ALONE = "SELECT pg_advisory_xact_lock(hashtext('maestro/schema'))"
"""On PostgreSQL: one process at a time; on SQLite the transaction itself sees to that."""


async def open_store(url: str, patience: float = PATIENCE, owner: str | None = None) -> SqlStore:
    """The store at *url*, ready for use; its schema is made or brought up to date first.

    *url* is ``sqlite:////path/maestro.db`` (the folder must exist) or ``postgresql://user:password@host/name``;
    *patience* is how many seconds to wait for somebody else's lock; *owner* is who may decide the gates that are put
    through this store and name nobody, None where none are. Raises :class:`StoreError` when the database
    cannot be used and :class:`ConfigError` when the URL cannot.
    """
    database = open_database(url, patience)
    try:
        if await database.read(stamp) != HEAD and await database.write(made) != HEAD:
            await database.alter(migrate)
    except BaseException:
        await database.close()
        raise
    return SqlStore(database, owner)


def open_database(url: str, patience: float = PATIENCE) -> Database:
    """The database at *url* (``sqlite:////path/maestro.db``, ``postgresql://user@host/name``), not yet touched.

    *patience* is how many seconds to wait for a lock or a connection. Raises :class:`ConfigError`.
    """
    kind, found, rest = url.partition("://")
    if not found:
        raise ConfigError("store: not a database URL; write sqlite:////path/maestro.db or postgresql://...")
    if kind == "sqlite":
        from maestro.store.sqlite import SqliteDatabase

        return SqliteDatabase(rest.removeprefix("/"), patience)
    if kind.partition("+")[0] in ("postgresql", "postgres"):
        from maestro.store.postgres import PostgresDatabase

        return PostgresDatabase(url, patience)
    raise ConfigError(f"store: {kind[:40]!r} databases are not supported; use sqlite or postgresql")


async def look(database: Database) -> list[str]:
    """What is wrong with *database*, for a person: pages, then schema. Empty when it is sound."""
    found = await database.check()
    revision = await database.read(stamp)
    if revision != HEAD:
        found.append(f"the schema is at revision {revision or 'none'}, this Maestro needs {HEAD}")
    return found


def stamp(connection: Connection) -> str | None:
    """The revision the database says it is at; null for one that has no schema yet."""
    if _STAMP not in _present(connection):
        return None
    return connection.value(f"SELECT version_num FROM {_STAMP}")  # noqa: S608 - a constant


def _present(connection: Connection) -> set[str]:
    return {str(name) for (name,) in connection.rows(_PRESENT[connection.dialect])}


def made(connection: Connection) -> str:
    """The database's revision; an empty one's schema is made first. Raises :class:`StoreError` for a stranger's."""
    if connection.dialect == "postgresql":
        connection.rows(_ALONE)
    found = stamp(connection)  # again, now that nobody else can be at it
    if found is not None:
        return found
    strangers = _present(connection) & set(TABLES)
    if strangers:
        raise StoreError(f"store: {', '.join(sorted(strangers))} exist but no {_STAMP}; use an empty database")
    create(connection)
    return HEAD


def create(connection: Connection) -> None:
    """The whole schema at once, stamped."""
    for statement in (*making(connection.dialect), *extras(connection.dialect)):
        connection.run(statement)
    connection.run(
        f"CREATE TABLE {_STAMP} (version_num VARCHAR(32) NOT NULL, CONSTRAINT {_STAMP}_pkc PRIMARY KEY (version_num))"
    )
    connection.run(f"INSERT INTO {_STAMP} VALUES (:head)", {"head": HEAD})  # noqa: S608 - a constant


def migrations(connection: SqlAlchemy) -> Config:
    """Alembic's configuration for the packaged migrations, on *connection*."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(resources.files("maestro.store") / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def migrate(connection: SqlAlchemy) -> None:
    """Run all migrations that *connection*'s database lacks. Raises :class:`StoreError` for a newer one."""
    from alembic import command
    from alembic.util import CommandError

    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_ALONE)
    try:
        command.upgrade(migrations(connection), "head")
    except CommandError as error:
        raise StoreError(f"store: made by a newer Maestro; upgrade this one ({error})") from error

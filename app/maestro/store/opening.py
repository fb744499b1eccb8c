"""opening owns how a store is opened: made when empty, brought up to date when older, refused when newer.

An empty database is made from the tables directly and stamped; only an older one imports Alembic. A test holds
both ways to the same schema.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, make_url, text
from sqlalchemy.exc import ArgumentError

from maestro.store.database import PATIENCE, Database
from maestro.store.repository import SqlStore
from maestro.store.tables import HEAD, Row, extras
from maestro_protocol.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from alembic.config import Config

_STAMP = "alembic_version"


async def open_store(url: str, patience: float = PATIENCE) -> SqlStore:
    """The store at *url*, ready for use; its schema is made or brought up to date first.

    *url* is ``sqlite:////path/maestro.db`` (the folder must exist) or ``postgresql://user:password@host/name``;
    *patience* is how many seconds to wait for somebody else's lock. Raises :class:`StoreError` when the database
    cannot be used and :class:`ConfigError` when the URL cannot.
    """
    database = open_database(url, patience)
    try:
        if await database.read(stamp) != HEAD:
            await database.write(bring_up_to_date)
    except BaseException:
        await database.close()
        raise
    return SqlStore(database)


def open_database(url: str, patience: float = PATIENCE) -> Database:
    """The database at *url* (``sqlite:////path/maestro.db``, ``postgresql://user@host/name``), not yet touched.

    *patience* is how many seconds to wait for a lock or a connection. Raises :class:`ConfigError`.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError("store: not a database URL; write sqlite:////path/maestro.db or postgresql://...") from None
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        from maestro.store.sqlite import SqliteDatabase

        return SqliteDatabase(parsed.database or "", patience)
    if kind in ("postgresql", "postgres"):
        from maestro.store.postgres import PostgresDatabase

        return PostgresDatabase(parsed, patience)
    raise ConfigError(f"store: {kind!r} databases are not supported; use sqlite or postgresql")


async def look(database: Database) -> list[str]:
    """What is wrong with *database*, for a person: pages, then schema. Empty when it is sound."""
    found = await database.check()
    revision = await database.read(stamp)
    if revision != HEAD:
        found.append(f"the schema is at revision {revision or 'none'}, this Maestro needs {HEAD}")
    return found


def stamp(connection: Connection) -> str | None:
    """The revision the database says it is at; null for one that has no schema yet."""
    if not inspect(connection).has_table(_STAMP):
        return None
    return connection.scalar(text(f"SELECT version_num FROM {_STAMP}"))  # noqa: S608 - a constant


def bring_up_to_date(connection: Connection) -> None:
    """Make the schema of an empty database, or run the migrations that an older one lacks."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('maestro/schema'))"))
    found = stamp(connection)  # again, now that nobody else can be at it
    if found == HEAD:
        return
    if found is not None:
        migrate(connection)
        return
    strangers = set(inspect(connection).get_table_names()) & set(Row.metadata.tables)
    if strangers:
        raise StoreError(f"store: {', '.join(sorted(strangers))} exist but no {_STAMP}; use an empty database")
    create(connection)


def create(connection: Connection) -> None:
    """The whole schema at once, stamped."""
    Row.metadata.create_all(connection)
    for statement in extras(connection.dialect.name):
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(
        f"CREATE TABLE {_STAMP} (version_num VARCHAR(32) NOT NULL, CONSTRAINT {_STAMP}_pkc PRIMARY KEY (version_num))"
    )
    connection.execute(text(f"INSERT INTO {_STAMP} VALUES (:head)"), {"head": HEAD})  # noqa: S608 - a constant


def migrations(connection: Connection) -> Config:
    """Alembic's configuration for the packaged migrations, on *connection*."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(resources.files("maestro.store") / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def migrate(connection: Connection) -> None:
    """Run all migrations that *connection*'s database lacks. Raises :class:`StoreError` for a newer one."""
    from alembic import command
    from alembic.util import CommandError

    try:
        command.upgrade(migrations(connection), "head")
    except CommandError as error:
        raise StoreError(f"store: made by a newer Maestro; upgrade this one ({error})") from error

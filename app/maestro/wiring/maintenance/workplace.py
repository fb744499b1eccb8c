"""workplace owns the looks at what a workspace holds: runs, leftovers, database, bus, keys, data, specs."""

from __future__ import annotations

import asyncio
import json
import tempfile
from functools import partial
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from maestro.control.rules import read_yaml
from maestro.settings import Settings
from maestro.wiring import remote, workspace
from maestro.wiring.brains import ServerBook
from maestro.wiring.maintenance import leftovers
from maestro.wiring.maintenance.findings import DoctorCheck, Finding, aside, failed, ok, warning
from maestro.wiring.maintenance.machine import numbers, there_of
from maestro_agents.api import ADVISORS, BRAINS, ServerTraits, brain_adapters
from maestro_protocol.errors import MaestroError, StoreError
from maestro_protocol.messages.rules import GatePolicy, Policies, Rules
from maestro_protocol.ports import Clock
from maestro_protocol.sanitize import printable

if TYPE_CHECKING:
    from maestro.store.database import Database

BUS_SECONDS = 3.0
LEAST_REDIS = (6, 2)
"""The first that can hand a dead reader's entries to another one (XAUTOCLAIM)."""
SPECS = {"rules/adjustments.yaml": Rules, "rules/policies.yaml": Policies, "gates/policy.yaml": GatePolicy}


def checks(settings: Settings, clock: Clock) -> list[DoctorCheck]:
    """The looks at the workspace, in the order in which one thing stands on another."""
    return [
        DoctorCheck("runs", aside(_look_at_runs, settings), aside(workspace.make_runs, settings)),
        DoctorCheck("leftovers", partial(_look_at_leftovers, settings, clock), partial(_clean, settings, clock)),
        DoctorCheck("database", partial(_look_at_database, settings), partial(_open_database, settings)),
        DoctorCheck("bus", partial(_look_at_bus, settings, clock)),
        DoctorCheck("keys", aside(_look_at_keys, settings)),
        DoctorCheck("extensions", aside(_look_at_extensions)),
        DoctorCheck("model servers", aside(_look_at_servers, settings)),
        DoctorCheck("data", aside(_look_at_data, settings), aside(_set_book_aside, settings)),
        DoctorCheck("specs", aside(_look_at_specs, settings)),
    ]


def _look_at_runs(settings: Settings) -> Finding:
    runs = settings.runs
    if runs.exists() and not runs.is_dir():
        return failed(f"{runs}: is a file; campaigns need a folder, choose another with --out")
    try:
        with tempfile.TemporaryFile(dir=there_of(runs)) as file:
            file.write(b"written")
    except OSError as error:
        return failed(f"{runs}: cannot be written ({error.strerror}); choose another with --out")
    if not runs.exists():
        return warning(f"{runs}: is not there yet; the first campaign makes it", "make it")
    return ok(f"{runs}: can be written")


async def _look_at_leftovers(settings: Settings, clock: Clock) -> Finding:
    cleaned = await leftovers.clean(settings, clock, dry_run=True)
    if not cleaned.removed:
        return ok("none" if not cleaned.kept else f"{len(cleaned.kept)}, all in use")
    size = sum(leftover.size for leftover in cleaned.removed)
    told = f"{len(cleaned.removed)} ({size:,} bytes), like {cleaned.removed[0].path}; maestro clean lists them"
    return warning(told, "remove them")


async def _clean(settings: Settings, clock: Clock) -> None:
    await leftovers.clean(settings, clock)


async def _look_at_database(settings: Settings) -> Finding:
    from maestro.store.opening import open_database

    if settings.database_url is None and not (settings.runs / "maestro.db").exists():
        return warning(f"{settings.runs / 'maestro.db'}: is not there yet; the first campaign makes it", "make it")
    database = open_database(workspace.store_url(settings), patience=2.0)
    try:
        return await _sound(database)
    finally:
        await database.close()


async def _sound(database: Database) -> Finding:
    """Whether its pages are whole, its schema is ours, and it takes a transaction."""
    from maestro.store.opening import stamp
    from maestro.store.repository import SqlStore
    from maestro.store.schema import HEAD

    place = database.place
    problems = await database.check()
    if problems:
        return failed(f"{place}: is damaged ({problems[0]}); move it away, or restore a copy")
    revision = await database.read(stamp)
    if revision is None:
        return warning(f"{place}: is empty", "make the schema")
    if revision != HEAD:
        if revision not in _released():
            return failed(f"{place}: was made by a newer Maestro (revision {revision}); upgrade this one")
        return warning(f"{place}: is at revision {revision}, this Maestro needs {HEAD}", f"migrate it to {HEAD}")
    await database.write(lambda connection: None)
    return ok(f"{place}: sound, revision {revision}, campaigns: {len(await SqlStore(database).campaigns())}")


def _released() -> set[str]:
    versions = resources.files("maestro.store") / "migrations" / "versions"
    return {path.name.partition("_")[0] for path in versions.iterdir() if path.name.endswith(".py")}


async def _open_database(settings: Settings) -> None:
    await (await workspace.open_workspace_store(settings)).close()


async def _look_at_bus(settings: Settings, clock: Clock) -> Finding:
    if settings.bus_url is None:
        return ok("in this process; MAESTRO_BUS_URL names none")
    streams, place = remote.open_streams(settings), remote.place_of(settings)
    from redis.exceptions import RedisError  # it is installed, or the bus would not have opened

    try:
        async with asyncio.timeout(BUS_SECONDS):
            await streams.redis.get("maestro:doctor")  # opens the line, and asks whether we may in
            began = clock.monotonic()
            await streams.redis.get("maestro:doctor")
            took = (clock.monotonic() - began) * 1_000
            info: Any = await streams.redis.info("server")  # pyright: ignore[reportUnknownMemberType] - it has no type
    except TimeoutError:
        return failed(f"{place}: does not answer within {BUS_SECONDS:g} s")
    except (RedisError, OSError) as error:
        return failed(f"{place}: cannot be used ({error}); start Redis, or take MAESTRO_BUS_URL away")
    finally:
        await streams.close()
    version = str(info["redis_version"])
    if numbers(version) < LEAST_REDIS:
        return failed(f"{place}: Redis {version} is too old; it needs {'.'.join(map(str, LEAST_REDIS))} or newer")
    return ok(f"{place}: Redis {version} answers in {took:.1f} ms")


def _look_at_keys(settings: Settings) -> Finding:
    """Whether keys are there; never what they are."""
    keys = {
        name: settings.of_vendor(adapter.key_variable)
        for name, adapter in brain_adapters().items()
        if adapter.key_variable is not None
    }
    odd = [name for name, key in keys.items() if key is not None and not _sane(key.get_secret_value())]
    told = ", ".join(f"{name} {'set' if key is not None else 'not set'}" for name, key in keys.items())
    if odd:
        return warning(f"{told}; the {odd[0]} key is empty or has spaces in it: set it again")
    return ok(f"{told}{'' if any(keys.values()) else '; offline rules need none'}")


def _look_at_extensions() -> Finding:
    """What is installed beside Maestro and brings it more, and whether all of it can be loaded."""
    from maestro_engine.feeds.sources import SOURCES
    from maestro_engine.methods import REGISTRY as METHODS
    from maestro_engine.metrics.further import REGISTRY as METRICS

    registries = (BRAINS, ADVISORS, METHODS, METRICS, SOURCES)
    problems = [problem for registry in registries for problem in registry.problems()]
    if problems:
        return failed(printable("; ".join(problems)))
    there = [line for registry in registries for line in registry.from_outside(registry.names())]
    return ok(", ".join(there) or "none is installed")


def _look_at_servers(settings: Settings) -> Finding:
    """What servers of models were found to take otherwise than their format says, and not to be asked for again."""
    book = ServerBook(settings)
    told = [_of_server(name, book.recall(*name.rsplit(" ", 1))) for name in book.known() if " " in name]
    found = "; ".join(sorted(filter(None, told)))
    return ok(found or "none has refused a form of question yet")


def _of_server(name: str, traits: ServerTraits) -> str:
    found = [
        words
        for words, holds in (
            ("takes max_completion_tokens for max_tokens", traits.max_completion_tokens),
            ("takes no answer schema, only json_object", traits.answer_schema == "json_object"),
            ("takes no answer schema", traits.answer_schema == "none"),
            ("takes no temperature", not traits.temperature),
            ("has refused questions for their content: try --blind or another model", traits.filters_content),
        )
        if holds
    ]
    return f"{printable(name)} {', '.join(found)}" if found else ""


def _sane(key: str) -> bool:
    return bool(key) and key.isprintable() and not any(letter.isspace() for letter in key)


def _look_at_data(settings: Settings) -> Finding:
    book = settings.runs / workspace.DATA_BOOK
    if not book.exists():
        return ok("no file has been used yet")
    try:
        paths = _paths_in(book)
    except (OSError, ValueError, TypeError):
        told = f"{book}: is damaged; campaigns on files are resumed with --data until they have run again"
        return warning(told, f"set it aside as {book.name}.damaged")
    missing = [path for path in paths if not path.exists()]
    broken = [problem for path in paths if path.exists() and (problem := _broken(path))]
    if broken:
        return failed(f"{broken[0]} ({len(broken)} of {len(paths)} files); restore it, or name a copy with --data")
    if missing:
        told = f"{missing[0]} is gone ({len(missing)} of {len(paths)} files)"
        return warning(f"{told}; put it back, or name it with --data when a campaign is resumed")
    return ok(f"{len(paths)} files that campaigns ran on are there and can be read")


def _paths_in(book: Path) -> list[Path]:
    read: object = json.loads(book.read_text(encoding="utf-8"))
    if not isinstance(read, dict):
        raise TypeError
    return [Path(cast("str", path)) for path in cast("dict[str, object]", read).values()]


def _broken(path: Path) -> str | None:
    """What a quick look at a file of bars finds wrong: its kind, its head, that there is anything in it."""
    try:
        if path.suffix == ".parquet":
            parquet: Any = import_module("pyarrow.parquet")  # it has no types
            return None if parquet.read_metadata(path).num_rows else f"{path}: has no rows"
        with path.open("rb") as file:
            return None if file.read(1) else f"{path}: is empty"
    except ValueError as error:
        return f"{path}: is no whole Parquet file ({str(error).splitlines()[0]})"
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror or error})"


def _set_book_aside(settings: Settings) -> None:
    book = settings.runs / workspace.DATA_BOOK
    aside = book.with_name(f"{book.name}.damaged")
    if aside.exists():
        raise StoreError(f"{aside} is there already; move it away")
    book.rename(aside)


def _look_at_specs(settings: Settings) -> Finding:
    for name, folder in (("MAESTRO_SPECS", settings.specs), ("MAESTRO_PROMPTS", settings.prompts)):
        if folder is not None and not folder.is_dir():
            return failed(f"{name} names {folder}, which is no folder")
    problems: list[str] = []
    own = 0
    for name, model in SPECS.items():
        path = workspace.specs_file(settings, name)
        own += settings.specs is not None and path.is_relative_to(settings.specs)
        try:
            read_yaml(path, model)
        except MaestroError as error:
            problems.append(f"{path.parent}: {error}")
    if problems:
        return failed(f"{problems[0]} ({len(problems)} of {len(SPECS)} files do not hold)")
    return ok(f"{len(SPECS)} files hold, {own} of them the owner's")

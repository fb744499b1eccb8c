"""workspace owns where things lie: the store, the owner's specs, the data files that campaigns ran on."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, cast

from maestro.control.rules import check_gates, read_yaml
from maestro.settings import Settings
from maestro_protocol.errors import StoreError, UsageError
from maestro_protocol.messages.rules import GatePolicy, OpeningPolicy, Policies, Rules

if TYPE_CHECKING:
    from maestro.store.repository import SqlStore

DATA_BOOK = "data.json"
"""Which file on this machine has which digest; stays here, since paths mean nothing elsewhere."""
SERVER_BOOK = "servers.json"
"""What servers of models were found to take; stays here, since another machine has other servers under a URL."""


def owner(where: str = "cli") -> str:
    """Who sits at this machine, as a voter's name: by the system's word, since a variable says what anybody sets."""
    try:
        import pwd
    except ImportError:
        return f"{where}:{getpass.getuser()}"
    try:
        return f"{where}:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"{where}:uid-{os.getuid()}"


async def open_workspace_store(settings: Settings) -> SqlStore:
    """The store of the workspace: by URL, or a SQLite file in the runs folder. Raises StoreError."""
    from maestro.store.opening import open_store

    if settings.database_url is None:
        make_runs(settings)
    return await open_store(store_url(settings), owner=owner())


def store_url(settings: Settings) -> str:
    """Where the store is, as a URL; it may hold a password."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return f"sqlite:///{settings.runs.resolve() / 'maestro.db'}"


def make_runs(settings: Settings) -> None:
    """The runs folder, made where it is missing."""
    try:
        settings.runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{settings.runs}: cannot be made ({error.strerror}); choose another with --out") from None


def specs_file(settings: Settings, name: str) -> Path:
    """The owner's copy of a specs file, else the packaged one."""
    if settings.specs is not None and (settings.specs / name).is_file():
        return settings.specs / name
    packaged = Path(str(resources.files("maestro"))) / "specs" / name
    if packaged.is_file():
        return packaged
    return Path(__file__).parents[3] / "specs" / name  # a checkout: the owner edits the same file


def read_rules(settings: Settings) -> tuple[Rules, Policies, GatePolicy]:
    """The adjustment rules, trigger policies and gate policy in force. Raises ConfigError."""
    file = specs_file(settings, "gates/policy.yaml")
    gates = read_yaml(file, GatePolicy)
    check_gates(gates, file.name)
    return (
        read_yaml(specs_file(settings, "rules/adjustments.yaml"), Rules),
        read_yaml(specs_file(settings, "rules/policies.yaml"), Policies),
        gates,
    )


def read_openings(settings: Settings) -> OpeningPolicy:
    """What a look at sealed bars costs. Raises ConfigError."""
    return read_yaml(specs_file(settings, "rules/openings.yaml"), OpeningPolicy)


def free_name(name: str, taken: Sequence[str], settings: Settings) -> str:
    """*name*, or *name* with ``-r2``, ``-r3``: nothing is ever written over."""
    used = set(taken)
    for attempt in range(1, 10_000):
        candidate = name if attempt == 1 else f"{name}-r{attempt}"
        if candidate not in used and not (settings.runs / candidate).exists():
            return candidate
    raise UsageError(f"{name}: ten thousand campaigns of this name; choose another --out")


def remember_data(settings: Settings, digest: str, path: Path) -> None:
    """Note that the bars with *digest* are in *path*, for a later resume; others may note theirs meanwhile."""
    enter(settings, DATA_BOOK, digest, str(path.resolve()))


def enter(settings: Settings, name: str, key: str, value: object) -> None:
    """Write *value* under *key* into the book *name* of the workspace. Raises StoreError."""
    if book(settings, name).get(key) == value:
        return
    make_runs(settings)
    target = settings.runs / name
    temporary = target.with_name(f".{name}.new")
    try:
        with _alone_in(settings.runs):
            temporary.write_text(json.dumps(book(settings, name) | {key: value}, indent=1), encoding="utf-8")
            temporary.replace(target)
    except OSError as error:
        raise StoreError(f"{target}: cannot be written ({error.strerror})") from None


@contextmanager
def _alone_in(folder: Path) -> Generator[None]:
    """Wait until no other process is in here for *folder*; one that dies in here is out."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def known_data(settings: Settings, digest: str) -> Path | None:
    """The file that had the bars with *digest*, where it is still there."""
    path = book(settings, DATA_BOOK).get(digest)
    return Path(path) if isinstance(path, str) and Path(path).is_file() else None


def book(settings: Settings, name: str) -> dict[str, object]:
    """What the book *name* of the workspace holds; nothing where it cannot be read."""
    try:
        read: object = json.loads((settings.runs / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("dict[str, object]", read) if isinstance(read, dict) else {}

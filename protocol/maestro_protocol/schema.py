"""schema owns the JSON Schemas of everything that is written: generated from the types, kept in specs/schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from maestro_protocol.config import RunConfig
from maestro_protocol.envelope import ENVELOPE
from maestro_protocol.messages import Message

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def message_types() -> dict[str, type[BaseModel]]:
    """Every message type by its wire name."""
    return {model.__name__: model for model in get_args(get_args(Message)[0])}


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and schema of each message, the envelope and the run config, as they are written."""
    yield "Envelope", {"$schema": DIALECT, **ENVELOPE.json_schema(mode="serialization")}
    for name, model in [*message_types().items(), ("RunConfig", RunConfig)]:
        yield name, {"$schema": DIALECT, **model.model_json_schema(mode="serialization")}


def rendered() -> dict[str, str]:
    """File name and text of each schema file."""
    return {
        f"{name}.schema.json": json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        for name, schema in schemas()
    }


def drift(folder: Path) -> list[str]:
    """Names of files in *folder* that are missing, stale or of no known type."""
    wanted = rendered()
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.schema.json")}
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


def write(folder: Path) -> list[str]:
    """Bring *folder* up to date; gives the names that changed."""
    changed = drift(folder)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = rendered()
    for name in changed:
        if name in wanted:
            (folder / name).write_text(wanted[name], encoding="utf-8")
        else:
            (folder / name).unlink()
    return changed


def canonical(model: BaseModel) -> bytes:
    """The one JSON text of *model*: keys sorted, no spaces. What hashes are taken of."""
    return json.dumps(model.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()

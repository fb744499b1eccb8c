"""Golden messages: one file per type, as it is written today, byte for byte.

After a change of the wire on purpose, edit the golden files where a new field needs a value, run
``python tests/protocol/test_golden_messages.py`` to bring them into the form that is written now, and let the review
read the difference. A new message type starts with a file written by hand, in any layout.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from maestro_protocol import schema
from maestro_protocol.config import RunConfig
from maestro_protocol.envelope import ENVELOPE, Envelope

GOLDEN = Path(__file__).with_name("golden")
FILES = sorted(GOLDEN.glob("*.json"))
SCHEMAS = Path(__file__).parents[2] / "specs" / "schemas"


def read(path: Path) -> Envelope | RunConfig:
    text = path.read_text(encoding="utf-8")
    return RunConfig.model_validate_json(text) if path.stem == "RunConfig" else ENVELOPE.validate_json(text)


def written(message: Envelope | RunConfig) -> str:
    return message.model_dump_json(indent=1) + "\n"


def test_every_type_has_its_golden_file_and_no_file_is_without_its_type() -> None:
    assert {path.stem for path in FILES} == set(schema.message_types()) | {"RunConfig"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_was_written_is_read_and_written_the_same(path: Path) -> None:
    message = read(path)
    assert written(message) == path.read_text(encoding="utf-8")
    assert type(message.body if isinstance(message, Envelope) else message).__name__ == path.stem


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_messages_are_valid_against_the_published_schemas(path: Path) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    own = Draft202012Validator(json.loads((SCHEMAS / f"{path.stem}.schema.json").read_text(encoding="utf-8")))
    if path.stem == "RunConfig":
        own.validate(value)
        return
    own.validate(value["body"])
    Draft202012Validator(json.loads((SCHEMAS / "Envelope.schema.json").read_text(encoding="utf-8"))).validate(value)


def _parts(value: object) -> Iterator[BaseModel]:
    if isinstance(value, BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from _parts(getattr(value, name))
    elif isinstance(value, tuple):
        for item in cast("tuple[object, ...]", value):
            yield from _parts(item)


def test_golden_messages_fill_every_field_there_is() -> None:
    there: set[str] = set()
    filled: set[str] = set()
    for part in (part for path in FILES for part in _parts(read(path))):
        fields: dict[str, Any] = {
            f"{type(part).__name__}.{name}": getattr(part, name) for name in type(part).model_fields
        }
        there |= fields.keys()
        filled |= {name for name, value in fields.items() if value not in (None, ())}
    assert there - filled == set()


if __name__ == "__main__":
    for golden in FILES:
        golden.write_text(written(read(golden)), encoding="utf-8")

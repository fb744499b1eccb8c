"""Messages through the envelope: exact there and back, one union, nothing unknown, infinite or changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

from maestro_protocol import schema
from maestro_protocol.config import RunConfig
from maestro_protocol.envelope import ENVELOPE, MESSAGE, Envelope
from maestro_protocol.messages import Message

Draw = Callable[[Any], st.SearchStrategy[Any]]
TYPES = schema.message_types()
GOLDEN = Path(__file__).with_name("golden")


def golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def enveloped(body: BaseModel) -> Envelope:
    values = golden("TradeEvent") | {"body": body}
    return Envelope(**values)


def test_the_union_holds_every_type_once_by_its_own_name() -> None:
    types = get_args(get_args(Message)[0])
    assert sorted(model.__name__ for model in types) == sorted(TYPES)
    assert all(model.model_fields["type"].default == model.__name__ for model in types)


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
@settings(max_examples=25)
def test_any_message_comes_back_as_it_went(name: str, data: st.DataObject, drawn: Draw) -> None:
    sent = enveloped(data.draw(drawn(TYPES[name])))
    wire = sent.model_dump_json()
    received = ENVELOPE.validate_json(wire)
    assert received == sent
    assert received.model_dump_json() == wire
    assert schema.canonical(received) == schema.canonical(sent)
    assert ENVELOPE.validate_python(json.loads(wire)) == sent


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data())
@settings(max_examples=10)
def test_any_message_is_valid_against_its_schema(name: str, data: st.DataObject, drawn: Draw) -> None:
    message = data.draw(drawn(TYPES[name]))
    model_schema = TYPES[name].model_json_schema(mode="serialization")
    Draft202012Validator(model_schema).validate(json.loads(message.model_dump_json()))


@given(data=st.data())
@settings(max_examples=50)
def test_any_run_config_comes_back_as_it_went(data: st.DataObject, drawn: Draw) -> None:
    config = data.draw(drawn(RunConfig))
    assert RunConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("name", TYPES)
def test_an_unknown_key_is_refused_by_name(name: str) -> None:
    wire = golden(name)
    wire["body"]["surprise"] = 1
    with pytest.raises(ValidationError, match="surprise"):
        ENVELOPE.validate_python(wire)
    with pytest.raises(ValidationError, match="surprise"):
        ENVELOPE.validate_python(golden(name) | {"surprise": 1})


@pytest.mark.parametrize("body", [{"type": "Nothing"}, {"type": None}, {}, [], "TradeEvent", None])
def test_a_body_of_no_known_type_is_refused(body: object) -> None:
    with pytest.raises(ValidationError):
        ENVELOPE.validate_python(golden("TradeEvent") | {"body": body})


@pytest.mark.parametrize("name", TYPES)
def test_a_message_cannot_be_changed(name: str) -> None:
    message = MESSAGE.validate_python(golden(name)["body"])
    with pytest.raises(ValidationError, match="frozen"):
        setattr(message, "type", "other")  # noqa: B010 - the checker knows it is frozen


def _numbers(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in _numbers(item, (*path, key))]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in _numbers(item, (*path, index))]
    return [path] if isinstance(value, int | float) and not isinstance(value, bool) else []


@pytest.mark.parametrize("never", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", [name for name in TYPES if _numbers(golden(name)["body"])])
def test_no_number_of_a_message_may_be_nan_or_infinite(name: str, never: float) -> None:
    for place in _numbers(golden(name)["body"]):
        wire = golden(name)
        part = wire["body"]
        for step in place[:-1]:
            part = part[step]
        part[place[-1]] = never
        with pytest.raises(ValidationError):
            ENVELOPE.validate_python(wire)
        with pytest.raises(ValidationError):
            ENVELOPE.validate_json(json.dumps(wire))


def test_a_version_nobody_knows_is_refused() -> None:
    with pytest.raises(ValidationError, match="version"):
        ENVELOPE.validate_python(golden("TradeEvent") | {"version": 2})


@given(st.text(max_size=40) | st.sampled_from(["{}", "[]", "null", '{"body": {"type": "TradeEvent"}}', "{" * 500]))
def test_garbage_is_refused_and_never_breaks_the_reader(text: str) -> None:
    with pytest.raises(ValidationError):
        ENVELOPE.validate_json(text)

"""answer_schema owns the shape of an answer as a model is told it: a closed JSON Schema that strict modes take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, cast

from maestro_agents.roles.base import ANSWER_TYPES
from maestro_prompts.render import fenced

KNOWN = ("agent", "turn", "type")
"""What the question settles already; a model is not asked for it."""
DROPPED = ("title", "default")
TOLD = ("pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "maxLength")
"""Constraints that strict modes refuse: told in words, checked when the answer comes."""


@cache
def answer_schema(wants: str) -> dict[str, Any]:
    """JSON Schema of the answer *wants*: closed objects, everything required, no open mappings."""
    schema = ANSWER_TYPES[wants].model_json_schema(mode="validation")
    closed = _closed(schema, top=True)
    closed["$defs"] = {name: _closed(part) for name, part in schema.get("$defs", {}).items()}
    return {name: value for name, value in closed.items() if name != "$defs" or value}


@cache
def schema_text(wants: str) -> str:
    """The same as a prompt shows it."""
    return fenced(answer_schema(wants))


def _closed(schema: Mapping[str, Any], *, top: bool = False) -> dict[str, Any]:
    out = {k: v for k, v in schema.items() if k not in DROPPED and k not in TOLD and k != "$defs"}
    told = ", ".join(f"{name} {schema[name]}" for name in TOLD if name in schema)
    if told:
        out["description"] = " ".join(filter(None, (str(schema.get("description", "")), f"({told})")))
    if "anyOf" in out:
        kinds = [_closed(kind) for kind in out["anyOf"]]
        number = {"type": "number"} in kinds
        out["anyOf"] = [kind for kind in kinds if not (number and kind == {"type": "integer"})]
    if "items" in out:
        out["items"] = _closed(out["items"])
    if "properties" in out:
        kept = {k: _closed(v) for k, v in out["properties"].items() if not (top and k in KNOWN)}
        out |= {"properties": kept, "required": list(kept), "additionalProperties": False}
    return out


def misplaced(wants: str, given: Mapping[str, Any]) -> Iterator[str]:
    """Places in *given* where text or a switch stands and the schema wants a number: never read as one."""
    schema = answer_schema(wants)
    yield from _misplaced(given, schema, schema, "")


def _misplaced(value: object, schema: Mapping[str, Any], root: Mapping[str, Any], at: str) -> Iterator[str]:
    schema = _resolved(schema, root)
    if isinstance(value, str | bool):
        kind = "boolean" if isinstance(value, bool) else "string"
        if not _admits(schema, kind):
            yield f"{at}: {str(value)[:40]!r} is a {kind}; another type is wanted"
    elif isinstance(value, list) and "items" in schema:
        for i, item in enumerate(cast("list[object]", value)):
            yield from _misplaced(item, schema["items"], root, f"{at}[{i}]")
    elif isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        for name, item in fields.items():
            yield from _misplaced(item, _field(schema, root, name), root, f"{at}.{name}" if at else name)


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    return root["$defs"][str(schema["$ref"]).rsplit("/", 1)[-1]] if "$ref" in schema else schema


def _field(schema: Mapping[str, Any], root: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The schema of one field; for values given as a mapping instead of a list of names, that of a value."""
    if "items" in schema:
        name, schema = "value", _resolved(schema["items"], root)
    return schema.get("properties", {}).get(name, {})


def _admits(schema: Mapping[str, Any], kind: str) -> bool:
    if "anyOf" in schema:
        return any(_admits(part, kind) for part in schema["anyOf"])
    if "enum" in schema or "type" not in schema:
        return True
    return schema["type"] == kind

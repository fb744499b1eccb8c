"""JSON Schemas: published in specs/schemas, true to the types, drift noticed and mended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from maestro_protocol import schema

SCHEMAS = Path(__file__).parents[2] / "specs" / "schemas"


def test_the_published_schemas_are_those_of_the_types() -> None:
    assert schema.drift(SCHEMAS) == []


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.name.split(".")[0])
def test_every_published_schema_is_a_valid_schema_of_its_dialect(path: Path) -> None:
    published = json.loads(path.read_text(encoding="utf-8"))
    assert published["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(published)


def test_drift_is_named_and_mended(tmp_path: Path) -> None:
    assert schema.drift(tmp_path) == sorted(schema.rendered())
    schema.write(tmp_path)
    (tmp_path / "Verdict.schema.json").write_text("{}", encoding="utf-8")
    (tmp_path / "Retired.schema.json").write_text("{}", encoding="utf-8")
    (tmp_path / "Proposal.schema.json").unlink()
    wrong = ["Proposal.schema.json", "Retired.schema.json", "Verdict.schema.json"]
    assert schema.drift(tmp_path) == wrong
    assert schema.write(tmp_path) == wrong
    assert schema.drift(tmp_path) == []

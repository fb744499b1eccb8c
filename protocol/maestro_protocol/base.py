"""base owns what every message is made of: the frozen model, exact money, UTC milliseconds."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

MICRO = 1_000_000
"""Minor units in one unit of quote currency: records keep money as whole millionths, so sums are exact."""


class Frozen(BaseModel):
    """Base of every message and configuration: immutable, no unknown keys, no silent coercion of NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe properties by the docstrings below them.

        pydantic can do so itself, but as it makes the class: it then reads the source of every message at every
        start, for schemas that hardly a process asks for.
        """
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, told in _told(cls):
            if name in properties:
                properties[name].setdefault("description", told)
        return schema


def _told(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Fields of *model* and of what it extends, each with the docstring below it."""
    for each in model.__mro__:
        if issubclass(each, Frozen) and each is not Frozen:
            statements = cast("ast.ClassDef", ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]).body
            for field, text in pairwise(statements):
                told = (
                    text.value.value if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) else None
                )
                if isinstance(field, ast.AnnAssign) and isinstance(told, str):
                    yield ast.unparse(field.target), inspect.cleandoc(told)


def _as_number(value: Decimal) -> float:
    return float(value)


Money = Annotated[
    Decimal,
    Field(max_digits=18, decimal_places=6),
    PlainSerializer(_as_number, return_type=float, when_used="json"),
    WithJsonSchema({"type": "number"}),
]
"""An amount of quote currency (USD unless said otherwise), exact to a millionth.

Written to JSON as a number. Amounts have at most 15 significant digits there, so the number read back
as a decimal is the one that was written.
"""

UtcMs = Annotated[int, Field(ge=0, le=253_402_300_799_999, description="milliseconds since 1970-01-01T00:00Z")]
"""A moment: UTC, whole milliseconds since the epoch."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""The name of a parameter, method, metric or rule; safe in a file name."""

Line = Annotated[str, StringConstraints(max_length=300)]
"""One line of prose from a person or a model. It is data: shown escaped, never interpreted."""

Text = Annotated[str, StringConstraints(max_length=4_000)]
"""A few paragraphs of prose from a person or a model. It is data: shown escaped, never interpreted."""


def money(micros: int) -> Decimal:
    """The exact amount of *micros* whole millionths of a unit of quote currency."""
    return Decimal(micros).scaleb(-6)

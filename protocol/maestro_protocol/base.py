"""base owns what every message is made of: the frozen model, exact money, UTC milliseconds."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints, WithJsonSchema

MICRO = 1_000_000
"""Minor units in one unit of quote currency: records keep money as whole millionths, so sums are exact."""


class Frozen(BaseModel):
    """Base of every message and configuration: immutable, no unknown keys, no silent coercion of NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


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

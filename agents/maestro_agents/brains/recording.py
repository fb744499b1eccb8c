"""recording owns how an exchange with a model is written down: its key, its request and its reply, as JSON."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec
from pydantic import Field, ValidationError

from maestro_agents.brains.base import BrainReply, BrainRequest
from maestro_protocol.base import Frozen, Money, UtcMs
from maestro_protocol.errors import BrainError


class Recorded(Frozen):
    """A reply with what the journal tells of it, so that a recalled answer is told in the same words."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    provider: str
    reply: BrainReply
    attempts: int
    cost_usd: Money | None
    """By the prices of then."""
    at: UtcMs


def request_json(provider: str, request: BrainRequest) -> str:
    """The request as canonical JSON: provider, model, messages, schema and settings, keys sorted."""
    data = {"provider": provider, **request.model_dump(exclude={"json_schema"}), "json_schema": request.json_schema}
    if request.temperature is not None:
        data["temperature"] = msgspec.Raw(repr(request.temperature).encode())  # as ever, 1e-05 and not 1e-5
    return msgspec.json.encode(data, order="sorted").decode()


def request_key(request: str) -> str:
    """What a request is filed under: SHA-256 over its canonical JSON."""
    return hashlib.sha256(request.encode()).hexdigest()


def read(reply: str) -> Recorded:
    """A recorded reply. Raises :class:`BrainError` when the record is unreadable."""
    try:
        return Recorded.model_validate_json(reply)
    except ValidationError as error:
        raise BrainError(
            f"a recorded reply is unreadable ({error.error_count()} problems); record it again"
        ) from None

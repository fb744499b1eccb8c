"""replay owns answers from the record: nothing is asked, nothing is paid, and a miss says what is different."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any, cast

from maestro_agents.brains.base import BrainRequest
from maestro_agents.brains.recording import Recorded, read, request_json, request_key
from maestro_protocol.errors import BrainError
from maestro_protocol.ports import CallLog, ModelCallRecord

SHOWN = 12
"""Lines of the difference that a miss shows."""


class Replay:
    """The recordings of one campaign. *models* gives, for each provider, the model a role would have asked."""

    def __init__(self, log: CallLog, models: Sequence[tuple[str, str]]) -> None:
        self._log = log
        self._models = tuple(models)

    async def recall(self, campaign: str, request: BrainRequest) -> tuple[Recorded, str]:
        """The recorded reply to *request* and its key, whichever vendor gave it.

        Raises :class:`BrainError`: the recorded failure when the request failed then, or a miss with the
        difference to the nearest recorded request.
        """
        asked = [
            request_json(provider, request.model_copy(update={"model": model})) for provider, model in self._models
        ]
        for line in asked:
            reply = await self._log.recall(campaign, request_key(line))
            if reply is not None:
                return read(reply), request_key(line)
        exchanges = await self._log.exchanges(campaign)
        keys = {request_key(line) for line in asked}
        failures = [exchange.reason for exchange in exchanges if exchange.key in keys and exchange.state == "failed"]
        if failures:
            raise BrainError(failures[-1])  # each attempt is on record; the last one ended the turn
        raise BrainError(miss(asked[0] if asked else "", exchanges))


def miss(asked: str, exchanges: Sequence[ModelCallRecord]) -> str:
    """What a request without a record differs in from the recorded one that is most like it."""
    if not exchanges:
        return "replay: nothing was recorded for this campaign"
    wanted = _lines(asked)
    nearest = max(exchanges, key=lambda exchange: _likeness(wanted, _lines(exchange.request)))
    difference = difflib.unified_diff(_lines(nearest.request), wanted, "recorded", "asked", n=0, lineterm="")
    shown = [line[:160] for line in list(difference)[:SHOWN]]
    return f"replay: no record of this request; nearest is {nearest.key[:12]} ({nearest.state}):\n" + "\n".join(shown)


def _likeness(a: list[str], b: list[str]) -> float:
    shared = set(a) & set(b)
    return len(shared) / (len(set(a) | set(b)) or 1)


def _lines(request: str) -> list[str]:
    """A request as lines a person can compare: its settings, and its texts line by line."""
    try:
        data = cast("dict[str, Any]", json.loads(request))
    except ValueError:
        return request.splitlines()
    out = [
        f"{name}: {data[name]}"
        for name in ("provider", "model", "answer", "max_tokens", "temperature")
        if name in data
    ]
    out += [f"system: {line}" for line in str(data.get("system", "")).splitlines()]
    for said in data.get("messages", ()):
        out += [f"{said['role']}: {line}" for line in str(said["text"]).splitlines()]
    return [*out, f"schema: {json.dumps(data.get('json_schema'), sort_keys=True)}"]

"""dialect owns in what servers of one format differ: found out when one refuses a request, and remembered for it."""

from __future__ import annotations

from typing import Literal, Protocol

from maestro_protocol.base import Frozen

REFUSALS = frozenset({400, 404, 415, 422, 501})
SchemaMode = Literal["json_schema", "json_object", "none"]
_NEXT: dict[SchemaMode, SchemaMode] = {"json_schema": "json_object", "json_object": "none"}
_SCHEMA_WORDS = (
    "response_format",
    "json_schema",
    "json_object",
    "text.format",
    "output_config",
    "output_format",
    "structured output",
)
_UNKNOWN_WORDS = ("unsupported", "not supported", "unknown", "unrecognized", "unexpected", "not permitted", "extra")
_FILTER_WORDS = ("content_filter", "content filter", "content management policy", "content_policy")


class ServerTraits(Frozen):
    """What one server was found to take, where it is not what its format says."""

    max_completion_tokens: bool = False
    """Chat completions name the limit of an answer so, and no longer ``max_tokens``."""
    answer_schema: SchemaMode = "json_schema"
    """How the form of an answer is asked for besides in the prompt's words."""
    temperature: bool = True
    """Whether one may be set."""
    filters_content: bool = False
    """Whether it has refused a question for its content."""


class ServerMemory(Protocol):
    """Keeps what was found out about servers, so that each refuses once and not in every campaign."""

    def recall(self, server: str, model: str) -> ServerTraits: ...

    def remember(self, server: str, model: str, traits: ServerTraits) -> None: ...


class ForgetfulMemory:
    """Remembers as long as its process."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], ServerTraits] = {}

    def recall(self, server: str, model: str) -> ServerTraits:
        return self._known.get((server, model), ServerTraits())

    def remember(self, server: str, model: str, traits: ServerTraits) -> None:
        self._known[server, model] = traits


def filtered(status: int, words: str) -> bool:
    """Whether a refusal is about the content of the question."""
    return status in REFUSALS and any(word in words.lower() for word in _FILTER_WORDS)


def learned(known: ServerTraits, status: int, words: str, *, warm: bool) -> ServerTraits | None:
    """What a refusal in *words* teaches; null where nothing can be asked otherwise. *warm*: with a temperature."""
    if status not in REFUSALS:
        return None
    lower = words.lower()
    unknown = any(word in lower for word in _UNKNOWN_WORDS)
    if known.max_completion_tokens:
        if "max_completion_tokens" in lower and unknown:
            return known.model_copy(update={"max_completion_tokens": False})
    elif "max_completion_tokens" in lower or ("max_tokens" in lower and unknown):
        return known.model_copy(update={"max_completion_tokens": True})
    if warm and known.temperature and "temperature" in lower:
        return known.model_copy(update={"temperature": False})
    if known.answer_schema != "none" and any(word in lower for word in _SCHEMA_WORDS):
        return known.model_copy(update={"answer_schema": _NEXT[known.answer_schema]})
    return None

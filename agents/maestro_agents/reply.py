"""reply owns the way from a model's text to a typed, allowed message, or to the reasons why it is none."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from pydantic import ValidationError

from maestro_agents.answer_schema import misplaced
from maestro_agents.answer_validation import MAX_PROBLEMS, problems
from maestro_agents.brains.base import ANSWER_BYTES, BrainReply
from maestro_agents.roles.base import ANSWER_TYPES, Answer, Question, turn_of, wanted
from maestro_protocol.errors import AgentError, BrainError
from maestro_protocol.messages.legacy_keys import translate
from maestro_protocol.messages.plan import RoleName

_FENCED = re.compile(r"(?i)(```|~~~)(?:json5?|javascript|js)?\s*(\{.*\})\s*\1", re.DOTALL)
"""An object in a fence of any layout: an answer has no use for one, so nothing is lost with it."""
_THOUGHT = re.compile(r"(?is)\A\s*<(think|thinking|thought|reasoning)>.*?</\1>")
"""What a model thought before it answered; some servers leave it in front."""
_THOUGHT_END = re.compile(r"(?is)\A[^{`~].*?</(think|thinking|thought|reasoning)>")
"""The same where the server's template opened the thought, so that only its end is told."""
_UNSEEN = "\ufeff\u200b"
"""A byte order mark and a space without width: nobody sees them, and ``strip`` leaves them."""
_FATAL = {
    "refusal": "the model refused to answer",
    "context": "the question does not fit into the model's context",
}


class Unusable(AgentError):
    """An answer that its author can mend: what is wrong with it, a line each."""

    def __init__(self, *found: str) -> None:
        super().__init__("; ".join(found))
        self.found = found


class CutShort(Unusable):
    """An answer that its own limit cut off: words of ours cannot mend it, a larger limit may."""


def answer_in(reply: BrainReply, question: Question, role: RoleName) -> Answer:
    """The message that *reply* holds.

    Raises :class:`Unusable` with what its author should mend, and :class:`BrainError` when asking again is no use.
    """
    if reply.stop_reason in _FATAL:
        raise BrainError(f"{reply.model}: {_FATAL[reply.stop_reason]}")
    if reply.stop_reason == "max_tokens":
        raise CutShort("the answer was cut at the token limit")
    if reply.stop_reason == "tool_use":
        raise Unusable("the answer calls a tool; there are none, answer with the JSON object alone")
    message = _typed(_identified(_parsed(reply.text), question, role), wanted(question))
    found = problems(message, question)
    if found:
        raise Unusable(*found)
    return message


def _parsed(text: str) -> dict[str, Any]:
    size = len(text.encode("utf-8", "replace"))
    if size > ANSWER_BYTES:
        raise Unusable(f"the answer has {size} bytes; at most {ANSWER_BYTES} are read")
    body = _unwrapped(text)
    if not body:
        raise Unusable("the answer is empty" if not text.strip() else "the answer ends with its thoughts")
    try:
        parsed = json.loads(body, object_pairs_hook=_once, parse_constant=_no_constant)
    except Unusable:
        raise
    except RecursionError:
        raise Unusable("the JSON is nested too deeply") from None
    except ValueError as error:
        raise Unusable(_not_json(body, error)) from None
    if not isinstance(parsed, dict):
        raise Unusable(f"the answer is a JSON {type(parsed).__name__}; one object is wanted")
    return cast("dict[str, Any]", parsed)


def _unwrapped(text: str) -> str:
    """*text* without what is put around an answer and says nothing: a byte order mark, thoughts, a fence."""
    body = text.strip().lstrip(_UNSEEN).strip()
    while (thought := _THOUGHT.match(body) or _THOUGHT_END.match(body)) is not None:
        body = body[thought.end() :].strip()
    fenced = _FENCED.fullmatch(body)
    return fenced.group(2) if fenced is not None else body


def _not_json(body: str, error: ValueError) -> str:
    """What its author should mend: words around the object, or the place where it breaks."""
    start, end = body.find("{"), body.rfind("}")
    if start < 0:
        return f"the answer is not one JSON object and nothing else: it holds none, and begins {body[:60]!r}"
    if body[:start].strip():
        return f"the answer is not one JSON object and nothing else: before it stands {body[:start][:60]!r}"
    if end >= 0 and body[end + 1 :].strip() and "Extra data" in str(error):
        return f"the answer is not one JSON object and nothing else: after it stands {body[end + 1 :].strip()[:60]!r}"
    return f"the answer is not one JSON object and nothing else: {str(error)[:120]}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key in out:
            raise Unusable(f"the key {key[:60]!r} stands twice in one object")
        out[key] = value
    return out


def _no_constant(name: str) -> Any:
    raise Unusable(f"{name} is no number; write null for what is unknown")


def _identified(given: dict[str, Any], question: Question, role: RoleName) -> dict[str, Any]:
    """*given* with type, agent and turn as the question settles them; another speaker's answer is refused."""
    answer = cast("dict[str, Any]", translate(given))
    kind = wanted(question)
    known: dict[str, Any] = {"type": kind}
    if "agent" in ANSWER_TYPES[kind].model_fields:
        known |= {"agent": role, "turn": turn_of(question)}
    for name, value in known.items():
        said = answer.get(name, value)
        if said != value or isinstance(said, bool):
            raise Unusable(f"{name}: must be {value!r} or left out, not {str(said)[:60]!r}")
    return answer | known


def _typed(given: dict[str, Any], wants: str) -> Answer:
    wrong = list(misplaced(wants, given))
    if wrong:
        raise Unusable(*wrong[:MAX_PROBLEMS])
    try:
        return ANSWER_TYPES[wants].model_validate(given)
    except ValidationError as error:
        raise Unusable(*(_told(dict(item)) for item in error.errors(include_url=False)[:MAX_PROBLEMS])) from None
    except RecursionError:
        raise Unusable("the JSON is nested too deeply") from None


def _told(item: dict[str, Any]) -> str:
    place = ".".join(str(part)[:60] for part in item["loc"]) or "the object"
    return f"{place}: {str(item['msg'])[:200]}"

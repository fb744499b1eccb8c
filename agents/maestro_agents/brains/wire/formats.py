"""formats owns the three formats in which servers answer: Anthropic's messages, OpenAI's responses, chat completions.

Each is read whole or streamed, whichever the server chose, and whatever comes is a reply or a :class:`FailedAttempt`
that says which part of the answer it failed at, and what had been announced of its cost by then.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import cast

from maestro_agents.brains.base import UNKNOWN, BrainReply, BrainRequest, FailedAttempt, StopReason, Usage
from maestro_agents.brains.scrub import scrub
from maestro_agents.brains.wire.reading import Fields, Malformed, kind_of, storable, told, whole_or_events

RETRY_KINDS = frozenset(
    {"overloaded_error", "rate_limit_error", "api_error", "timeout_error", "server_error", "rate_limit_exceeded"}
)
LONGEST_NAME = 200
STOPS: dict[str, StopReason] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "max_tokens": "max_tokens",
    "refusal": "refusal",
    "tool_use": "tool_use",
    "model_context_window_exceeded": "context",
}
FINISHES: dict[str, StopReason] = {
    "stop": "end",
    "length": "max_tokens",
    "content_filter": "refusal",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
}
INCOMPLETE: dict[str, StopReason] = {"max_output_tokens": "max_tokens", "content_filter": "refusal"}


class AnswerReader(ABC):
    """What one answer has said so far."""

    def __init__(self, request: BrainRequest) -> None:
        self.model = request.model
        self.parts: list[str] = []
        self.stop: StopReason | None = None
        self.usage = UNKNOWN
        self.total = False
        """Whether ``usage`` is of the whole answer, and not only of what was said so far."""
        self._most = request.max_tokens

    @abstractmethod
    def whole(self, answer: Fields) -> None:
        """Take an answer that came in one piece."""

    @abstractmethod
    def event(self, event: Fields) -> None:
        """Take one event of a streamed answer."""

    def reply(self, who: str, secret: str) -> BrainReply:
        """All of it. Raises :class:`Malformed` where its end is missing."""
        if self.stop is None:
            raise Malformed("the answer was cut before its end")
        text = "".join(self.parts)
        written = None if text and self.usage.output_tokens == 0 else self.usage.output_tokens
        return BrainReply(
            text=scrub(text, secret),
            stop_reason=self.stop,
            usage=self.usage.model_copy(update={"output_tokens": written}),
            model=self.model,
        )

    def announced(self) -> Usage:
        """What counts where no answer came of it: what the server told so far, and the most of what it did not."""
        written = self.usage.output_tokens
        if not self.total and written is not None:
            return self.usage.model_copy(update={"output_tokens": max(written, self._most)})
        return self.usage

    def _named(self, answer: Fields) -> None:
        """Whose answer it is, where a name is told; some servers put numbers there, or nothing."""
        self.model = told(answer.text("model") or "", LONGEST_NAME) or self.model

    def _failure(self, answer: Fields) -> None:
        """Raise :class:`Malformed` where *answer* tells of an error."""
        if "error" not in answer:
            return
        error = answer.fields("error")
        if error is None:
            raise Malformed(f"the server says: {told(str(answer.raw('error')))}", retryable=False)
        kind = told(error.text("type") or error.text("code") or "error")
        raise Malformed(f"{kind}: {told(error.text('message') or '', 300)}", retryable=kind in RETRY_KINDS)


def reply_in(reader: AnswerReader, body: bytes, who: str, secret: str) -> BrainReply:
    """The reply that *body* holds, a whole answer or a stream. Raises :class:`FailedAttempt`."""
    try:
        take(reader, body)
        return reader.reply(who, secret)
    except Malformed as error:
        raise FailedAttempt(
            f"{who}: {scrub(str(error), secret)}", usage=reader.announced(), retryable=error.retryable
        ) from None


def take(reader: AnswerReader, body: bytes) -> None:
    """Let *reader* hear what came. Raises :class:`Malformed` at the first part that is not what it should be."""
    answer = whole_or_events(body)
    if isinstance(answer, Fields):
        reader.whole(answer)
        return
    for event in answer:
        reader.event(event)


class Messages(AnswerReader):
    """Anthropic's messages."""

    def __init__(self, request: BrainRequest) -> None:
        super().__init__(request)
        self._counts: dict[str, int | None] = {}
        self._told: StopReason | None = None

    def whole(self, answer: Fields) -> None:
        self._named(answer)
        self._count(answer)
        self.total = True
        self._failure(answer)
        self.parts.append(_text_of(answer.raw("content"), "content"))
        self._stopped(answer)
        self.stop = self._told

    def event(self, event: Fields) -> None:
        match event.text("type"):
            case "message_start":
                message = event.wanted("message")
                self._named(message)
                self._count(message)
            case "content_block_delta":
                delta = event.wanted("delta")
                if delta.text("type") == "text_delta":
                    self.parts.append(delta.text("text") or "")
            case "message_delta":
                self._count(event)
                self._stopped(event.wanted("delta"))
                self.total = self._told is not None
            case "message_stop":
                self.stop = self._told
            case "error":
                self._failure(event)
            case _:
                return

    def _stopped(self, said: Fields) -> None:
        stop = said.text("stop_reason")
        self._told = STOPS.get(stop, "other") if stop is not None else self._told

    def _count(self, said: Fields) -> None:
        """Later counts are totals, not additions, and none takes back what was told before."""
        usage = said.fields("usage")
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            if usage is not None and name in usage:
                count = usage.count(name)
                self._counts[name] = count if count is None else max(count, self._counts.get(name) or 0)
        fresh = self._counts.get("input_tokens")
        read = self._counts.get("cache_read_input_tokens", 0)
        written = self._counts.get("cache_creation_input_tokens", 0)
        given = self._counts.get("output_tokens")
        if fresh is None or read is None or written is None:
            self.usage = Usage(input_tokens=None, output_tokens=given)
        else:
            self.usage = Usage(
                input_tokens=fresh + read + written or None,  # a question is never empty
                output_tokens=given,
                cache_read_tokens=read,
                cache_write_tokens=written,
            )


class Responses(AnswerReader):
    """OpenAI's responses."""

    def whole(self, answer: Fields) -> None:
        self._named(answer)
        self.usage = _usage(answer.fields("usage"), "input_tokens", "output_tokens", "input_tokens_details")
        self.total = True
        self._failure(answer)
        status = answer.text("status")
        if status == "failed":
            raise Malformed("the response failed without a reason")
        kinds = self._output(answer)
        if status == "incomplete":
            details = answer.fields("incomplete_details")
            reason = details.text("reason") if details is not None else None
            self.stop = INCOMPLETE.get(reason or "", "other")
        elif status != "completed":
            raise Malformed(f"the response ended as {told(str(answer.raw('status')))!r}")
        elif "refusal" in kinds:
            self.stop = "refusal"
        else:
            self.stop = "tool_use" if "call" in kinds and "text" not in kinds else "end"

    def event(self, event: Fields) -> None:
        match event.text("type"):
            case "response.completed" | "response.incomplete" | "response.failed":
                self.whole(event.wanted("response"))
            case "error":
                self._failure(event)
                raise Malformed(f"error: {told(event.text('message') or '', 300)}")
            case _:
                return

    def _output(self, answer: Fields) -> set[str]:
        """Take the texts; which kinds of output there are."""
        if "output" in answer and not isinstance(answer.raw("output"), list):
            raise Malformed(f"the answer's output is {kind_of(answer.raw('output'))}; a list is wanted")
        kinds: set[str] = set()
        for item in _objects(answer.items("output"), "output"):
            kind = item.text("type") or ""
            if kind.endswith("_call"):
                kinds.add("call")
            if kind != "message":
                continue
            self.parts.append(_text_of(item.raw("content"), item.place("content")))
            parts = _objects(item.items("content"), item.place("content"))
            kinds |= {"refusal" if part.text("type") == "refusal" else "text" for part in parts}
        return kinds


class Completions(AnswerReader):
    """Chat completions, OpenAI's and everybody's."""

    def whole(self, answer: Fields) -> None:
        self._take(answer)
        choice = answer.first("choices")
        message = choice.wanted("message")
        self.parts.append(_text_of(message.raw("content"), message.place("content")))
        self._finish(choice, refused="refusal" in message)

    def event(self, event: Fields) -> None:
        self._take(event)
        if not event.items("choices"):  # the last piece tells of usage alone
            return
        choice = event.first("choices")
        delta = choice.fields("delta")
        if delta is not None:
            self.parts.append(_text_of(delta.raw("content"), delta.place("content")))
        self._finish(choice, refused=delta is not None and "refusal" in delta)

    def _take(self, answer: Fields) -> None:
        self._named(answer)
        if "usage" in answer:
            told = _usage(answer.fields("usage"), "prompt_tokens", "completion_tokens", "prompt_tokens_details")
            self.usage = _larger(self.usage, told) if self.total else told
            self.total = True
        self._failure(answer)

    def _finish(self, choice: Fields, *, refused: bool) -> None:
        finish = choice.text("finish_reason")
        if refused:
            self.stop = "refusal"
        elif finish is not None and self.stop is None:
            self.stop = FINISHES.get(finish, "other")


def _text_of(content: object, at: str) -> str:
    """The text of a message: a string, or text parts of which other kinds (thoughts, pictures) are left out."""
    if content is None:
        return ""
    if isinstance(content, str):
        return storable(content)
    if not isinstance(content, dict | list):
        raise Malformed(f"the answer's {at} is {kind_of(content)}; text is wanted")
    parts = cast("list[object]", content if isinstance(content, list) else [content])
    return "".join(_part_text(part, at) for part in parts)


def _part_text(part: object, at: str) -> str:
    if isinstance(part, str):
        return storable(part)
    if not isinstance(part, dict):
        raise Malformed(f"the answer's {at} holds {kind_of(part)}; text parts are wanted")
    fields = Fields(cast("dict[str, object]", part), at)
    kind = fields.text("type")
    if kind == "refusal":
        return fields.text("refusal") or ""
    if kind in ("text", "output_text") or (kind is None and "text" in fields):
        text = fields.text("text")
        if text is None:
            raise Malformed(f"the answer's {at}.text is {kind_of(fields.raw('text'))}; a string is wanted")
        return text
    if kind is None:
        raise Malformed(f"the answer's {at} is an object without text")
    return ""


def _objects(items: Iterable[object], at: str) -> Iterable[Fields]:
    return [Fields(cast("dict[str, object]", item), at) for item in items if isinstance(item, dict)]


def _larger(before: Usage, now: Usage) -> Usage:
    """Of two counts of one answer the one that says more; what cannot be compared is told by the later."""
    less = before.known and now.known and _tokens(now) < _tokens(before)
    return before if less else now


def _tokens(usage: Usage) -> int:
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)


def _usage(usage: Fields | None, read: str, written: str, details: str) -> Usage:
    """Counts of OpenAI's kinds. Some servers count thoughts in the total alone: they are output."""
    if usage is None:
        return UNKNOWN
    taken, given, total = usage.count(read) or None, usage.count(written), usage.count("total_tokens")
    if taken is not None and total is not None and total > taken:
        given = max(given or 0, total - taken) if given is not None or written not in usage else None
    inside = usage.fields(details)
    cached, kept = (
        (inside.count(name) or 0) if inside is not None else 0 for name in ("cached_tokens", "cache_write_tokens")
    )
    if taken is None or cached + kept > taken:  # nobody can have read more from a cache than was read at all
        cached = kept = 0
    return Usage(input_tokens=taken, output_tokens=given, cache_read_tokens=cached, cache_write_tokens=kept)

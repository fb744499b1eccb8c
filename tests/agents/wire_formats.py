"""wire_formats owns what the vendors' servers say on the wire, as their SDKs expect it."""

from __future__ import annotations

import json
from typing import Any


def _sse(events: list[dict[str, Any]]) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def anthropic_events(text: str, stop: str = "end_turn", model: str = "claude-sonnet-5-5") -> list[dict[str, Any]]:
    """The events of one streamed answer; cut the list to cut the stream."""
    usage = {
        "input_tokens": 900,
        "output_tokens": 1,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 0,
    }
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    halves = [text[: len(text) // 2], text[len(text) // 2 :]]
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": half}}
            for half in halves
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": {"output_tokens": 200},
        },
        {"type": "message_stop"},
    ]


def anthropic_stream(text: str, stop: str = "end_turn", model: str = "claude-sonnet-5-5") -> bytes:
    return _sse(anthropic_events(text, stop, model))


def anthropic_cut(text: str) -> bytes:
    """A stream that ends before its last words."""
    return _sse(anthropic_events(text)[:4])


def anthropic_overloaded_midway(text: str) -> bytes:
    """A stream that began well and then says that the server is overloaded."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    return _sse([*anthropic_events(text)[:3], error])


def vendor_error(kind: str, message: str) -> dict[str, Any]:
    """An error body that both vendors' SDKs understand."""
    return {"type": "error", "error": {"type": kind, "message": message}}


def openai_response(
    text: str,
    *,
    status: str = "completed",
    reason: str | None = None,
    kind: str = "output_text",
    model: str = "gpt-6-sol",
) -> dict[str, Any]:
    content: dict[str, Any] = {"type": kind, "annotations": [], "text": text}
    if kind == "refusal":
        content = {"type": "refusal", "refusal": text}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": status,
        "incomplete_details": {"reason": reason} if reason else None,
        "error": {"code": "server_error", "message": "broken"} if status == "failed" else None,
        "model": model,
        "output": [
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [content]}
        ],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 1_000,
            "input_tokens_details": {"cached_tokens": 100},
            "output_tokens": 200,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 1_200,
        },
    }


def openai_tool_call() -> dict[str, Any]:
    answer = openai_response("")
    answer["output"] = [
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "trade",
            "arguments": "{}",
            "status": "completed",
        }
    ]
    return answer


def chat_completion(text: str | None, finish: str | None = "stop", model: str = "local") -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": model,
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish, "logprobs": None}
        ],
        "usage": {"prompt_tokens": 1_000, "completion_tokens": 200, "total_tokens": 1_200},
    }

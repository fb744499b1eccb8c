"""vendor_server owns a loopback server that speaks both vendors' languages and answers as the offline rules would.

``with VendorServer() as server:`` gives the base URLs ``server.anthropic_url`` and ``server.openai_url`` (with a base
URL the OpenAI brain speaks chat completions; ``/v1/responses`` answers as well) and ``server.requests``, all that was
asked. It reads its questions from the prompts alone: what it can answer, a model can know.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import wire_formats
from prompt_reader import question_in

from maestro_agents.roles import rules_of


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def system(self) -> str:
        said = self.body.get("messages") or [{}]
        first = said[0].get("content", "") if said[0].get("role") == "system" else ""
        return str(self.body.get("system") or self.body.get("instructions") or first)

    @property
    def turn(self) -> str:
        """The question: the first message of the user."""
        said = self.body.get("messages") or self.body.get("input") or []
        return next(str(item["content"]) for item in said if item["role"] == "user")


@dataclass(frozen=True)
class Told:
    """What the server says instead of a good answer: another text, an error status, or a broken connection."""

    text: str | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    hang_up: bool = False


Script = Callable[[int, Received], Told | None]
"""Called with the number of the request (from 0) and the request; null means a good answer."""


def good_answer(request: Received) -> str:
    """The offline rules' answer to the question in the prompt, as a model gives it: it leaves variants open."""
    system = request.system
    question = question_in(system, request.turn)
    role = system.removeprefix("You are the ").split(" ", 1)[0]
    answer = rules_of(role).offline(question)
    data = answer.model_dump(mode="json")
    for known in ("type", "agent", "turn", "variants"):
        data.pop(known, None)
    return json.dumps(data)


class VendorServer:
    """Serves on a free port of the loopback interface, in a thread of its own, until the ``with`` block ends."""

    def __init__(self, script: Script | None = None) -> None:
        self.requests: list[Received] = []
        self._script = script
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def anthropic_url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def openai_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        return server

    async def _stop(self) -> None:
        self._server.close()
        for writer in tuple(self._writers):
            writer.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.gather(*others, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode().split("\r\n")
                headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                request = Received(lines[0].split(" ")[1], headers, json.loads(body or b"{}"))
                self.requests.append(request)
                told = self._script(len(self.requests) - 1, request) if self._script else None
                if told is not None and told.hang_up:
                    return
                writer.write(_response(request, told or Told()))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()


def _response(request: Received, told: Told) -> bytes:
    if told.status != 200:
        error = wire_formats.vendor_error("api_error", told.text or "no")
        return _http(told.status, json.dumps(error).encode(), "application/json", told.headers)
    model = str(request.body.get("model", ""))
    text = good_answer(request) if told.text is None else told.text
    match request.path:
        case "/v1/messages":
            return _http(200, wire_formats.anthropic_stream(text, model=model), "text/event-stream", told.headers)
        case "/v1/responses":
            body = wire_formats.openai_response(text, model=model)
        case "/v1/chat/completions":
            body = wire_formats.chat_completion(text, model=model)
        case _:
            return _http(404, b'{"error": {"message": "no such path"}}', "application/json", {})
    return _http(200, json.dumps(body).encode(), "application/json", told.headers)


def _http(status: int, body: bytes, kind: str, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} -", f"content-type: {kind}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

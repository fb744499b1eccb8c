"""server owns the live page's web server: loopback only, in threads of its own, answering none but who has its token.

What a page of another site could do is kept out three times: the ``Host`` must be this machine's name (or a name that
was pointed here could ask), every question needs the token that was printed, and no other origin may send commands.
"""

from __future__ import annotations

import hmac
import secrets
import socket
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self, cast
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Struct

from maestro.dashboard.board import Board
from maestro_protocol.errors import MaestroError, UsageError

HOST = "127.0.0.1"
NAMES = ("127.0.0.1", "localhost", "[::1]")
PATIENCE_S = 5.0
"""A question for news waits so long for some."""
SOCKET_S = 10.0
"""A browser that does not take its answer, or does not finish its question, is left after so long."""
REQUEST_S = 5.0
"""A question is whole after so long, however it drips in, or it is never answered."""
MOST_CONNECTIONS = 24
LARGEST_BODY = 4_096
COMMANDS = ("stop", "kill", "clear")
_PAGE = Path(__file__).with_name("page")


class _Clear(Struct, forbid_unknown_fields=True):
    """Body of a request to clear a breaker."""

    breaker: str
    tripped_ms: int
    why: str


class Dashboard:
    """The page of *board* on *port* (0: a free one) while the context is entered; ``url`` opens it.

    Raises :class:`UsageError` when the port is taken.
    """

    def __init__(self, board: Board, port: int) -> None:
        token = secrets.token_urlsafe(18)
        try:
            self._server = _Server(port, _handler(board, token))
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"--dashboard-port {port}: {why}; 0 takes a free one") from None
        self.port = int(self._server.server_address[1])
        self.url = f"http://{HOST}:{self.port}/?token={token}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="session-dashboard", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """A thread a connection, none waited for at the end, and not more of them than a few browsers need."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._asking: dict[socket.socket, threading.Timer] = {}
        """Connections whose question is not whole yet, the oldest first, and what ends each."""
        self._changing = threading.Lock()
        super().__init__((HOST, port), handler)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        if not self._room.acquire(blocking=False) and not self._room_made():
            self.shutdown_request(request)
            return
        if isinstance(request, socket.socket):
            timer = threading.Timer(REQUEST_S, self._leave, (request,))
            timer.daemon = True
            with self._changing:
                self._asking[request] = timer
            timer.start()
        super().process_request(request, client_address)

    def _room_made(self) -> bool:
        """Whether the oldest connection that still asks could be left for a new one: who drips shuts nobody out."""
        with self._changing:
            oldest = next(iter(self._asking), None)
        if oldest is None:
            return False
        self._leave(oldest)
        return self._room.acquire(timeout=1.0)

    def _leave(self, request: socket.socket) -> None:
        self.asked(request)
        with suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def asked(self, request: socket.socket) -> None:
        """The question of *request* is whole, or given up."""
        with self._changing:
            timer = self._asking.pop(request, None)
        if timer is not None:
            timer.cancel()

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            if isinstance(request, socket.socket):
                self.asked(request)
            self._room.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that went away is no news, and standard error is the session's."""


def _handler(board: Board, token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.board, Handler.token = board, token
    return Handler


class _Handler(BaseHTTPRequestHandler):
    board: Board
    token: str
    timeout = SOCKET_S
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"

    def do_GET(self) -> None:
        self._whole()
        if self._refused():
            return
        url = urlsplit(self.path)
        if url.path == "/":
            self._page()
        elif url.path == "/state.json":
            after = parse_qs(url.query).get("after", ["-1"])[-1]
            number = int(after) if after.isdecimal() and len(after) < 16 else -1
            self._answer(HTTPStatus.OK, "application/json", self.board.state(number, PATIENCE_S))
        else:
            self._say(HTTPStatus.NOT_FOUND, "there is / and /state.json")

    def do_POST(self) -> None:
        if self._refused():
            return
        command = urlsplit(self.path).path[1:]
        length = self.headers.get("Content-Length", "0")
        if command not in COMMANDS:
            self._say(HTTPStatus.NOT_FOUND, "there is /stop, /kill and /clear")
        elif not length.isdecimal() or int(length) > LARGEST_BODY:
            self._say(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a command has a small body, or none")
        else:
            body = self.rfile.read(int(length))
            self._whole()
            try:
                self._do(command, body)
            except msgspec.DecodeError as error:
                self._say(HTTPStatus.BAD_REQUEST, f"clear: {error}")
            except MaestroError as error:
                self._say(HTTPStatus.CONFLICT, str(error))
            else:
                self._say(HTTPStatus.ACCEPTED, command)

    def _do(self, command: str, body: bytes) -> None:
        if command == "clear":
            asked = msgspec.json.decode(body, type=_Clear)
            self.board.clear(asked.breaker, asked.tripped_ms, asked.why)
        else:
            self.board.command(command)

    def _whole(self) -> None:
        """The question is here: from now on it has the time that its answer takes."""
        cast("_Server", self.server).asked(self.request)

    def _refused(self) -> bool:
        """Whether this request comes from where none may; it is answered then."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        try:
            _ = urlsplit(self.path), urlsplit(origin or "")
        except ValueError:
            self._say(HTTPStatus.BAD_REQUEST, "that is no address")
            return True
        if host.rpartition(":")[0] not in NAMES and host not in NAMES:
            self._say(HTTPStatus.FORBIDDEN, "this page answers on this machine's own names only")
        elif origin is not None and urlsplit(origin).netloc != host:
            self._say(HTTPStatus.FORBIDDEN, "another site may not ask here")
        elif not hmac.compare_digest(self._given_token().encode(), self.token.encode()):
            self._say(HTTPStatus.FORBIDDEN, "open the address that the session printed, with its token")
        else:
            return False
        return True

    def _given_token(self) -> str:
        scheme, _, bearer = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return bearer.strip()
        return parse_qs(urlsplit(self.path).query).get("token", [""])[-1]

    def _page(self) -> None:
        nonce = secrets.token_urlsafe(12)
        page = _read("index.html").replace("@nonce@", nonce)
        page = page.replace("@style@", _read("page.css")).replace("@script@", _read("page.js"))
        self._answer(HTTPStatus.OK, "text/html; charset=utf-8", page.encode(), nonce)

    def _say(self, status: HTTPStatus, text: str) -> None:
        self._answer(status, "text/plain; charset=utf-8", f"{text}\n".encode())

    def _answer(self, status: HTTPStatus, kind: str, body: bytes, nonce: str = "") -> None:
        own = f"script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; " if nonce else ""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header(
            "Content-Security-Policy",
            f"default-src 'none'; {own}connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none';"
            " frame-ancestors 'none'",
        )
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "maestro"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the base class calls it so
        """Standard error is the session's."""


def _read(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8")

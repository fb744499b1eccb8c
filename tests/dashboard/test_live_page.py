"""The page's server: what it tells agrees with the trail, it obeys only its token, and it disturbs nothing."""

from __future__ import annotations

import http.client
import json
import socket
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest

from maestro.dashboard.board import Board
from maestro.dashboard.server import MOST_CONNECTIONS, Dashboard
from maestro_engine.session.watching.history import MOST_EVENTS, MOST_FILLS, MOST_POINTS, History, TrailReader
from maestro_protocol.errors import Refused, UsageError


def ask(
    shown: Any, path: str, method: str = "GET", token: str | None = "", body: Any = None, **headers: str
) -> tuple[int, str, dict[str, str]]:
    """Status, body and headers; with the session's token unless another (or none) is given."""
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(shown.url).port, timeout=30)
    if token is not None:
        headers = {"Authorization": f"Bearer {token or shown.token}", **headers}
    try:
        said = body if body is None or isinstance(body, bytes) else json.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, said, headers=named)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        connection.close()


async def test_state_agrees_with_the_trail_and_the_report(virtual):
    report = await virtual.run()
    state = json.loads(ask(virtual, "/state.json")[1])
    standing, past = state["standing"], state["past"]
    assert (past["state"], past["exit_code"], past["reason"]) == ("COMPLETED", 0, "duration")
    assert Decimal(standing["money"]["equity"]) == report.ending_equity
    assert Decimal(standing["money"]["fees"]) == report.fees_total
    assert (standing["trades"], standing["fills"], standing["rejects"]) == (
        report.trades,
        report.fills,
        report.rejects,
    )
    fills = [line for line in virtual.told if line["event"] == "ExecutionFill"]
    assert [fill["id"] for fill in past["fills"]] == [line["client_order_id"] for line in fills]
    assert sum(Decimal(fill["pnl"]) for fill in past["fills"] if fill["pnl"] is not None) == report.net_pnl
    beats = [line for line in virtual.told if line["event"] == "AsyncHeartbeat"]
    path = [float(beat["equity"]) for beat in beats]
    assert past["points"][-1] == [beats[-1]["ts"], float(beats[-1]["price"]), path[-1]]
    deepest = max(max(path[: i + 1]) - equity for i, equity in enumerate(path))
    assert past["deepest"] == pytest.approx(deepest)
    assert {use["limit"] for use in standing["uses"]} >= {"max_position_usd", "daily_loss", "drawdown", "errors"}
    assert standing["decision"]["count"] == report.events


async def test_kill_by_the_page_from_command_to_flat_in_less_than_five_seconds(virtual):
    killed: list[tuple[int, int]] = []

    def at_the_first_fill(line: dict[str, Any]) -> None:
        if line["event"] == "ExecutionFill" and not killed:
            killed.append((ask(virtual, "/kill", "POST")[0], line["ts"]))

    virtual.on_line = at_the_first_fill
    report = await virtual.run()
    assert killed[0][0] == 202
    assert (report.reason, report.position, report.exit_code) == ("kill_switch:remote", 0, 0)
    flat_at = [line["ts"] for line in virtual.told if line["event"] == "ExecutionExit"][-1]
    assert flat_at - killed[0][1] < 5_000
    assert (virtual.root / "KILL").exists(), "nothing starts after it"


async def test_stop_by_the_page_ends_in_order_and_then_there_is_nothing_to_command(virtual):
    virtual.on_line = lambda line: line["event"] == "CandleClosed" and ask(virtual, "/stop", "POST")
    report = await virtual.run()
    assert (report.reason, report.exit_code) == ("stop", 0)
    virtual.on_line = lambda line: None
    status, said, _ = ask(virtual, "/kill", "POST")
    assert (status, "no session is running" in said) == (409, True)
    assert not (virtual.root / "KILL").exists()


async def test_a_breaker_is_cleared_by_the_page_with_a_name_and_a_reason(virtual):
    virtual.limits = {"max_losing_streak": 1}
    answers: list[int] = []

    def at_the_first_trip(line: dict[str, Any]) -> None:
        if line["event"] == "CircuitBreakerTripped" and not answers:
            asked = {"breaker": "losing_streak", "tripped_ms": line["ts"], "why": "one loss is no streak"}
            for body in (b"", b"{", {**asked, "who": "somebody else"}, {**asked, "why": ""}):
                answers.append(ask(virtual, "/clear", "POST", body=body)[0])
            answers.append(ask(virtual, "/clear", "POST", body={**asked, "breaker": "daily_loss"})[0])
            answers.append(ask(virtual, "/clear", "POST", "wrong", body=asked)[0])
            answers.append(ask(virtual, "/clear", "POST", body=asked)[0])

    virtual.on_line = at_the_first_trip
    report = await virtual.run()
    assert answers == [400, 400, 400, 409, 409, 403, 202]
    [cleared] = report.cleared
    assert (cleared.breaker, cleared.why) == ("losing_streak", "one loss is no streak")
    assert cleared.who.startswith("dashboard:")
    standing = json.loads(ask(virtual, "/state.json")[1])["standing"]
    lights = {light["name"]: light["clearable_ms"] for light in standing["breakers"]}
    assert lights["daily_loss"] is None
    trips = [line["ts"] for line in virtual.told if line["event"] == "CircuitBreakerTripped"]
    assert lights["losing_streak"] == (trips[-1] if len(trips) > 1 else None)


@pytest.mark.parametrize("path", ["/", "/state.json", "/nothing"])
@pytest.mark.parametrize(
    ("token", "headers"),
    [
        (None, {}),
        ("wrong", {}),
        ("", {"Host": "evil.example"}),
        ("", {"Host": "127.0.0.1.evil.example:80"}),
        ("", {"Host": ""}),
        ("", {"Origin": "https://evil.example"}),
        ("", {"Origin": "null"}),
    ],
)
def test_strangers_are_told_nothing(shown, path, token, headers):
    status, said, _ = ask(shown, path, token=token, **headers)
    assert status == 403
    assert "standing" not in said
    assert shown.token not in said


@pytest.mark.parametrize("command", ["/stop", "/kill", "/clear"])
@pytest.mark.parametrize(("token", "headers"), [(None, {}), ("wrong", {}), ("", {"Origin": "https://evil.example"})])
async def test_strangers_end_nothing(virtual, command, token, headers):
    answers: list[int] = []
    virtual.minutes = 2.0
    virtual.on_line = lambda line: (
        answers.append(ask(virtual, command, "POST", token, **headers)[0])
        if line["event"] == "CandleClosed"
        else None
    )
    assert (await virtual.run()).reason == "duration"
    assert set(answers) == {403}


def test_methods_and_paths_that_there_are_none_of(shown):
    assert ask(shown, "/kill")[0] == 404, "a link cannot command"
    assert ask(shown, "/state.json", "POST")[0] == 404
    assert ask(shown, "/", "DELETE")[0] == 501
    assert ask(shown, "/stop", "POST", Content_Length="9" * 9)[0] == 413
    assert ask(shown, "/stop", "POST", Content_Length="-1")[0] == 413
    assert ask(shown, "/stop", "POST")[0] == 409, "nothing runs yet"


def test_the_page_needs_nothing_but_itself_and_allows_nothing_else(shown):
    status, page, headers = ask(shown, "/")
    assert status == 200
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Content-Security-Policy"] != ask(shown, "/")[2]["Content-Security-Policy"], "a nonce is used once"


def test_a_port_that_is_taken_is_said_before_anything_starts():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match=r"--dashboard-port \d+: .*0 takes a free one"):
            Dashboard(Board(lambda: 0.0), taken.getsockname()[1])


async def test_browsers_that_hang_hold_nothing_up(virtual):
    """More connections than there is room for, none of which says anything or takes its answer."""
    address = ("127.0.0.1", urlsplit(virtual.url).port)
    hanging = [socket.create_connection(address) for _ in range(MOST_CONNECTIONS + 10)]
    virtual.minutes = 5.0
    report = await virtual.run()
    assert (report.reason, report.error_count) == ("duration", 0)
    for each in hanging:
        each.close()


def test_connections_that_drip_shut_nobody_out(shown: Any) -> None:
    address = ("127.0.0.1", urlsplit(shown.url).port)
    dripping = [socket.create_connection(address) for _ in range(MOST_CONNECTIONS)]
    for each in dripping:
        each.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
    assert ask(shown, "/state.json")[0] == 200
    assert ask(shown, "/stop", "POST")[0] in (202, 409), "heard, though no session runs behind this page"
    for each in dripping:
        each.close()


@pytest.mark.parametrize("path", ["//[", "/state.json?after=%ff", "/state.json?after=9" + "9" * 40])
def test_a_malformed_address_is_answered(shown: Any, path: str) -> None:
    assert ask(shown, path)[0] in (200, 400, 404)


def test_an_origin_that_is_no_address_is_refused(shown: Any) -> None:
    assert ask(shown, "/stop", "POST", Origin="http://[")[0] == 400


async def test_watched_or_not_it_makes_the_same_trades(virtual, tmp_path):
    virtual.minutes = 10.0
    virtual.on_line = lambda line: line["event"] == "CandleClosed" and ask(virtual, "/state.json")
    watched = await virtual.run()
    alone = type(virtual)(tmp_path / "alone", type(virtual.clock)(virtual.told[0]["ts"]), minutes=10.0)
    unwatched = await alone.make().run()
    assert (watched.net_pnl, watched.orders, watched.events) == (
        unwatched.net_pnl,
        unwatched.orders,
        unwatched.events,
    )


def test_nothing_is_made_while_nobody_looks():
    made = Board(lambda: 0.0)
    assert json.loads(made.state(-1, 0.0))["version"] == 0
    with pytest.raises(Refused):
        made.command("kill")


def test_history_stays_bounded_and_passes_over_what_is_no_line(tmp_path):
    seen = History()
    for number in range(10 * MOST_POINTS):
        beat = {"seq": number, "ts": number * 1_000, "event": "AsyncHeartbeat", "price": "1.5", "equity": str(number)}
        seen.take(json.dumps(beat, separators=(",", ":")).encode())
        fill = {"event": "ExecutionFill", "side": "buy", "price": "1", "qty": "2", "client_order_id": str(number)}
        seen.take(json.dumps({"seq": 1, "ts": 2, **fill, "liquidity": "taker"}).encode())
    for garbage in (b"", b"\xff\xfe", b"[]", b"{}", b'{"event":"AsyncHeartbeat"}', b'{"event":"x","ts":"y","seq":1}'):
        seen.take(garbage)
    past = seen.past()
    assert len(past.points) <= MOST_POINTS + 1
    assert (len(past.fills), len(past.events)) == (MOST_FILLS, MOST_EVENTS)
    assert past.points[-1].ts == (10 * MOST_POINTS - 1) * 1_000, "the newest is always there"
    assert past.points[0].ts == 0


def test_a_trail_is_followed_line_by_line_however_it_is_cut(tmp_path):
    path = tmp_path / "events.jsonl"
    text = b"".join(
        json.dumps({"seq": n, "ts": n, "event": "SystemState", "state": f"S{n}", "detail": "ü" * n}).encode() + b"\n"
        for n in range(1, 40)
    )
    path.touch()
    reader = TrailReader(path)
    for at in range(0, len(text), 7):
        with path.open("ab") as file:
            file.write(text[at : at + 7])
        reader.catch_up()
    assert not reader.catch_up()
    assert [told.seq for told in reader.history.past().events] == list(range(1, 40))
    assert reader.history.past().state == "S39"

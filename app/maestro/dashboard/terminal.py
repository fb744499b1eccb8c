"""terminal owns a session as seen from another process: the same figures, drawn with rich from what the run leaves.

It reads ``events.jsonl`` and ``status.json`` and touches nothing: no session notices whether anybody watches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from maestro_engine.session.trail.parts import exists
from maestro_engine.session.watching.history import Past, TrailReader
from maestro_engine.session.watching.onlooker import STATUS
from maestro_engine.session.watching.standing import Standing
from maestro_protocol.errors import UsageError

BLOCKS = "▁▂▃▄▅▆▇█"
TONES = {"RUNNING": "green", "SHUTTING_DOWN": "yellow", "COMPLETED": "cyan"}
EVENTS = 12
_CONTROL = dict.fromkeys((*range(32), *range(127, 160)), "·")


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to draw. ``silent_s``: seconds since the run left word; None where it never did."""

    past: Past
    standing: Standing | None
    silent_s: float | None

    @property
    def over(self) -> bool:
        return self.past.state == "COMPLETED" or self.past.exit_code is not None


class Watcher:
    """Follows the run in *folder*. *now_s* are seconds of the wall clock. Raises :class:`UsageError`."""

    def __init__(self, folder: Path, now_s: Callable[[], float]) -> None:
        if not exists(folder / "events.jsonl"):
            raise UsageError(f"{folder}: no events.jsonl, so no session ran here")
        self._folder, self._now_s = folder, now_s
        self._trail = TrailReader(folder / "events.jsonl")

    def look(self) -> Seen:
        self._trail.catch_up()
        past, path = self._trail.history.past(), self._folder / STATUS
        try:
            standing = msgspec.json.decode(path.read_bytes(), type=Standing)
            return Seen(past, standing, max(0.0, self._now_s() - path.stat().st_mtime))
        except (OSError, msgspec.DecodeError):  # an older run, or one that has not begun to trade
            return Seen(past, None, None)


def screen(seen: Seen, width: int) -> RenderableType:
    """Everything on one screen of *width* columns."""
    past, standing = seen.past, seen.standing
    parts: list[RenderableType] = [_head(seen)]
    if standing is not None:
        parts += [_money(standing, past), _paths(past, width), _cards(standing, seen, width)]
    return Group(*parts, _events(past))


def _safe(text: str, style: str = "") -> Text:
    """Text of others: no markup, and no character that commands a terminal."""
    return Text(text.translate(_CONTROL), style)


def _head(seen: Seen) -> RenderableType:
    past, standing = seen.past, seen.standing
    state = Text.assemble((f" {past.state} ", f"reverse bold {TONES.get(past.state, 'red')}"), " ")
    if past.reason:
        state.append_text(_safe(past.reason)).append(" ")
    if seen.silent_s is not None and seen.silent_s > 5 and not seen.over:
        state.append(f"no word for {seen.silent_s:,.0f} s ", "bold red")
    if standing is None:
        return state
    asked = standing.asked
    name = (
        f"{asked.symbol}  {asked.env} · {asked.source} · {', '.join(asked.methods)} · {asked.interval}  {asked.run}"
    )
    grid = Table.grid(expand=True, padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True)
    done = f"{standing.elapsed_s:,.0f} of {asked.planned_s:,.0f} s"
    grid.add_row(state, ProgressBar(asked.planned_s, min(standing.elapsed_s, asked.planned_s)), done)
    return Group(_safe(name, "bold"), grid)


def _money(s: Standing, past: Past) -> RenderableType:
    m = s.money
    net = m.equity - m.starting
    rows = [
        ("Equity", f"{m.equity:,.2f}", ""),
        ("Net", f"{net:+,.2f}", _tone(net)),
        ("Unrealised", f"{m.unrealised:+,.2f}", _tone(m.unrealised)),
        ("Realised", f"{m.realised:+,.2f}", _tone(m.realised)),
        ("Fees", f"{m.fees:,.2f}", ""),
        ("Drawdown", f"{past.drawdown or 0:,.2f}", ""),
        ("Position", f"{s.position:f}" + ("" if s.entry is None else f" at {s.entry:,.2f}"), ""),
        ("Trades", f"{s.trades} ({s.wins} won, {s.losses} lost)", ""),
    ]
    tiles = [Group(Text(name, "dim"), Text(value, f"bold {tone}".strip())) for name, value, tone in rows]
    return Columns(tiles, padding=(1, 3))


def _paths(past: Past, width: int) -> RenderableType:
    prices = [point.price for point in past.points if point.price is not None]
    return Group(
        _path("Price", prices, width, "blue"), _path("Equity", [point.equity for point in past.points], width, "cyan")
    )


def _path(name: str, values: list[float], width: int, style: str) -> Text:
    room = max(10, width - 36)
    if not values:
        return Text(f"{name:<8}nothing yet", "dim")
    picked = [values[i * len(values) // room] for i in range(room)] if len(values) > room else values
    low, high = min(picked), max(picked)
    span = (high - low) or 1.0
    drawn = "".join(BLOCKS[min(7, int(8 * (value - low) / span))] for value in picked)
    return Text.assemble((f"{name:<8}", "dim"), (drawn, style), (f"  {low:,.2f} … {high:,.2f}", "dim"))


def _cards(s: Standing, seen: Seen, width: int) -> RenderableType:
    cards = [
        _card("Limits", _limits(s)),
        _card("Orders and lots", _orders(s)),
        _card("Breakers and witnesses", _lights(s)),
        _card("Feed and latency", _feed(s, seen)),
    ]
    columns = 2 if width >= 110 else 1
    grid = Table.grid(expand=True)
    for _ in range(columns):
        grid.add_column(ratio=1)
    for start in range(0, len(cards), columns):
        grid.add_row(*cards[start : start + columns])
    return grid


def _card(title: str, rows: Iterable[tuple[Text, Text]]) -> Panel:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column()
    table.add_column(justify="right")
    for left, right in rows:
        table.add_row(left, right)
    return Panel(table, title=title, title_align="left", border_style="dim")


def _limits(s: Standing) -> Iterable[tuple[Text, Text]]:
    for use in s.uses:
        style = "red" if use.share >= 1 else "yellow" if use.share >= 0.7 else ""
        yield Text(use.limit.replace("_", " ")), Text(f"{use.used:,.2f} of {use.allowed:,.2f}", style)


def _orders(s: Standing) -> Iterable[tuple[Text, Text]]:
    for order in s.orders:
        price = "market" if order.price is None else f"{order.price:f}"
        said = f"{order.type.replace('_', ' ')} {order.status.replace('_', ' ')}"
        yield _safe(order.id), Text(f"{order.side} {order.qty:f} at {price}, {said}")
    for lot in s.lots:
        yield Text("lot"), Text(f"{lot.qty:f} at {lot.price:f}")
    if not s.orders and not s.lots:
        yield Text("nothing is working or held", "dim"), Text("")


def _lights(s: Standing) -> Iterable[tuple[Text, Text]]:
    for breaker in s.breakers:
        tone = "green" if breaker.state == "closed" else "red"
        yield Text.assemble(("● ", tone), _safe(breaker.name.replace("_", " "))), _safe(breaker.detail)
    if s.kill_switch is not None:
        yield Text("● kill switch", "red"), _safe(f"on by {s.kill_switch}")
    for w in s.witnesses:
        tone = "green" if w.verdict in ("live", "quiet") else "yellow" if w.verdict == "stale" else "red"
        rest = "" if w.moved is None else ", REST has moved on" if w.moved else ", REST agrees"
        pong = "" if w.pong_ms is None else f", pong {w.pong_ms:,.1f} ms"
        detail = "no connection" if w.frame_age_s is None else f"frame {w.frame_age_s:,.1f} s{pong}{rest}"
        yield Text.assemble(("● ", tone), _safe(f"{w.stream} {w.verdict}")), Text(detail)


def _feed(s: Standing, seen: Seen) -> Iterable[tuple[Text, Text]]:
    t = s.traffic
    rate = "–" if t.events_per_s is None else f"{t.events_per_s:,.1f} /s"
    yield _safe(f"events of {t.name}"), Text(f"{t.events:,} ({rate})")
    yield Text("refused, gaps, connections"), Text(f"{t.rejected:,}, {t.gaps:,}, {t.connects:,}")
    for name, figures in (("frame to decision", s.decision), ("deciding", s.processing), ("order to fill", s.fill)):
        p50, p99 = (("–" if value is None else f"{value:,.2f} ms") for value in (figures.p50_ms, figures.p99_ms))
        yield Text(name), Text(f"p50 {p50}, p99 {p99}")
    yield Text("errors, memory"), Text(f"{s.errors}, {s.rss_mb:,.0f} MB")
    if seen.silent_s is not None:
        yield (
            Text("last word"),
            Text(f"{seen.silent_s:,.0f} s ago", "red" if seen.silent_s > 5 and not seen.over else ""),
        )


def _events(past: Past) -> RenderableType:
    table = Table.grid(expand=True, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, width=8, style="dim")
    table.add_column(no_wrap=True, width=22, overflow="ellipsis", style="bold")
    table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
    for told in past.events[-EVENTS:][::-1]:
        seconds = told.ts // 1_000 % 86_400
        clock = f"{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        table.add_row(clock, _safe(told.event), _safe(told.text))
    return table


def _tone(value: object) -> str:
    number = float(str(value))
    return "green" if number > 0 else "red" if number < 0 else ""

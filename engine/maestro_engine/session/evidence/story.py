"""story owns a session's trail as candles, trades and equity: what its report and its summary page are made of.

Bars are the candles that closed while the session ran; a fill belongs to the candle that closed after it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import msgspec

from maestro_engine.session.trail.parts import trail_lines
from maestro_engine.trading.venue.orders import Purpose
from maestro_protocol.errors import DataError

TICK, BEAT = b'"event":"TickReceived"', b'"event":"AsyncHeartbeat"'
MOST_POINTS = 1_440
"""Points of the equity's path; where there are more, every second one goes."""


Levels = dict[tuple[str, Purpose | None], Decimal]


class StoryLine(msgspec.Struct):
    """What is read of a line of the trail; what a line does not have stays empty."""

    event: str
    ts: int = 0
    client_order_id: str = ""
    side: str = ""
    type: str = ""
    purpose: str = ""
    reason: str = ""
    price: Decimal | None = None
    qty: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    pnl: Decimal = Decimal(0)
    received: Decimal = Decimal(0)
    methods: tuple[str, ...] = ()
    loss: Decimal = Decimal(0)
    cvd: float | None = None
    imb: float | None = None
    atrz: float | None = None
    vhf: float | None = None
    open_ms: int = 0
    open: float = 0.0
    high: float = 0.0
    low: float = 0.0
    close: float = 0.0
    volume: float = 0.0
    missing_count: int = 0


class _Beat(msgspec.Struct):
    ts: int
    equity: Decimal


@dataclass
class StoryTrade:
    """One trade from flat to flat, as the trail tells it. Bars count from the session's first candle."""

    entry_bar: int
    side: int
    order: str
    """Id of the entry that opened it."""
    entered_ms: int = 0
    left_ms: int = 0
    """Of the first and the last fill, UTC milliseconds."""
    exit_bar: int = 0
    entered: Decimal = Decimal(0)
    bought: Decimal = Decimal(0)
    """Quantity entered; ``entered`` and ``left`` are quantity times price."""
    left: Decimal = Decimal(0)
    sold: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    funding: Decimal = Decimal(0)
    """Paid: negative when it was received."""
    pnl: Decimal = Decimal(0)
    reason: str = ""


@dataclass
class Story:
    """A trail, read line by line."""

    candles: list[StoryLine] = field(default_factory=list[StoryLine])
    equity: list[Decimal] = field(default_factory=list[Decimal])
    """Change since the start, at each candle's close."""
    held: list[bool] = field(default_factory=list[bool])
    trades: list[StoryTrade] = field(default_factory=list[StoryTrade])
    open: StoryTrade | None = None
    """What could not be closed: no trade yet."""
    cash: Decimal = Decimal(0)
    position: Decimal = Decimal(0)
    decided: dict[str, StoryLine] = field(default_factory=dict[str, StoryLine])
    levels: dict[tuple[str, Purpose | None], Decimal] = field(
        default_factory=dict[tuple[str, Purpose | None], Decimal]
    )
    """Price of the first stop and target sent after each entry, by the entry's id."""
    points: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """Time (UTC milliseconds) and equity (quote currency) at heartbeats, thinned where there are many."""
    deepest: Decimal = Decimal(0)
    """Largest fall of the equity below its highest before, quote currency."""
    refused: Counter[str] = field(default_factory=Counter[str])
    """Orders that were not sent or not taken, by reason."""
    ended_ms: int = 0
    """When it said goodbye, UTC milliseconds; 0 where it did not."""
    gaps: int = 0
    """Candles that were missing when their turn came."""
    _entry: str = ""
    """Id of the entry sent last."""
    _peak: Decimal | None = None
    _beats: int = 0
    _every: int = 1

    def take(self, line: StoryLine) -> None:
        match line.event:
            case "CandleClosed" if self.candles and line.open_ms <= self.candles[-1].open_ms:
                pass  # told before an interruption, and again by who went on from what was saved before that
            case "CandleClosed":
                self.candles.append(line)
                self.equity.append(self.cash + self.position * Decimal(repr(line.close)))
                self.held.append(bool(self.position))
            case "EntryDecided":
                self.decided[line.client_order_id] = line
            case "OrderSubmitted":
                self._sent(line)
            case "ExecutionFill":
                self._fill(line)
            case "FundingPaid" if self.trades:
                self.cash += line.received
                self.trades[-1].funding -= line.received
            case "ExecutionExit" if self.trades:
                self.trades[-1].reason, self.trades[-1].pnl = line.reason, line.pnl
            case _:
                self._note(line)

    def beat(self, ts: int, equity: Decimal, *, last: bool = False) -> None:
        """One heartbeat, or the *last* word on the equity."""
        self._peak = equity if self._peak is None else max(self._peak, equity)
        self.deepest = max(self.deepest, self._peak - equity)
        if last or self._beats % self._every == 0:
            self.points.append((ts, float(equity)))
        self._beats += 1
        if len(self.points) > MOST_POINTS:
            self.points, self._every = self.points[::2], self._every * 2

    def end(self) -> None:
        """No line comes after this."""
        if self.position:
            self.open = self.trades.pop()
        elif self.equity:
            self.equity[-1] = self.cash  # the session's own end comes after its last candle

    def bracket(self, trade: StoryTrade) -> tuple[Decimal | None, Decimal | None]:
        """Stop and target that *trade* was entered with; None where the trail does not tell."""
        return self.levels.get((trade.order, Purpose.STOP)), self.levels.get((trade.order, Purpose.TARGET))

    def _sent(self, line: StoryLine) -> None:
        purpose = Purpose.read(line.purpose, line.client_order_id)
        if purpose is Purpose.ENTRY:
            self._entry = line.client_order_id
        elif line.price is not None:
            self.levels.setdefault((self._entry, purpose), line.price)

    def _note(self, line: StoryLine) -> None:
        """What is no part of a trade."""
        match line.event:
            case "OrderRejected":
                self.refused[line.reason] += 1
            case "SYSTEM_SHUTDOWN":
                self.ended_ms = line.ts
            case "GapDetected":
                self.gaps += line.missing_count
            case _:
                pass

    def _fill(self, line: StoryLine) -> None:
        assert line.price is not None, "a fill has a price"
        sign = 1 if line.side == "buy" else -1
        if not self.position:
            self.trades.append(StoryTrade(len(self.candles), sign, line.client_order_id, line.ts))
        trade, amount = self.trades[-1], line.qty * line.price
        trade.fees += line.fees
        if sign == trade.side:
            trade.entered, trade.bought = trade.entered + amount, trade.bought + line.qty
        else:
            trade.left, trade.sold = trade.left + amount, trade.sold + line.qty
        trade.exit_bar, trade.left_ms = len(self.candles), line.ts
        self.cash -= sign * amount + line.fees
        self.position += sign * line.qty


def read_story(path: Path) -> Story:
    """The trail at *path*, read. Raises :class:`DataError`."""
    story = Story()
    decode, beat = msgspec.json.Decoder(StoryLine).decode, msgspec.json.Decoder(_Beat).decode
    try:
        for line in trail_lines(path):
            if BEAT in line:
                told = beat(line)
                story.beat(told.ts, told.equity)
            elif TICK not in line:
                story.take(decode(line))
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: is damaged ({error})") from None
    story.end()
    return story

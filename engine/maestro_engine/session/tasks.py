"""tasks owns what runs side by side while a session is RUNNING: each task one method, none knows another."""

from __future__ import annotations

import asyncio
from asyncio import Event as Flag
from collections.abc import Callable, Coroutine

from msgspec.structs import replace

from maestro_engine.feeds.clock import PauseDetector, ReceiveStamps
from maestro_engine.feeds.port import BookTicker, Event, Feed, FeedStatus, Kline
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.ending import Ending
from maestro_engine.session.evidence.logs import SessionLog
from maestro_engine.session.evidence.metrics import Sample, SessionMetrics
from maestro_engine.session.opening import Opened
from maestro_engine.session.safety.controls import Controls
from maestro_engine.session.surroundings import Surroundings
from maestro_engine.session.trading.trader import Trader
from maestro_engine.session.trail import records
from maestro_engine.trading.risk.guard import ERRORS
from maestro_protocol.errors import DataError, MaestroError

HEARTBEAT_S = 1.0
KILL_POLL_S = 0.25
FUNDING_POLL_S = 60.0
HOLE_S = 5.0
"""REST is given so long to tell missed candles."""
SAMPLE_S = 60.0
JUMP_MS = 1_000
MARKET_DATA = "market_data"
HISTORY = "history"
"""Names of what a session depends on: a breaker each, which three failures in a row open for a minute."""


def heed(controls: Controls, trader: Trader, ending: Ending) -> None:
    """Do what people have asked for since the last look."""
    controls.clear(trader.clear)
    source = trader.kill(controls.kill_sources())
    if source is not None:
        ending.begin(f"kill_switch:{source.value}")
    elif controls.take("stop"):
        ending.begin("stop")


class Tasks:
    """The loops of one session. Whatever makes it end is told to *ending* and to nobody else."""

    def __init__(
        self,
        config: SessionConfig,
        opened: Opened,
        feed: Feed,
        around: Surroundings,
        stamps: ReceiveStamps,
        controls: Controls,
        metrics: SessionMetrics,
        ending: Ending,
        log: SessionLog,
    ) -> None:
        self._config, self._feed, self._clock = config, feed, around.clock
        self._trader, self._rss, self._stamps = opened.trader, around.rss, stamps
        self._controls, self._metrics, self._ending, self._log = controls, metrics, ending, log
        self._due = Flag()
        """Set when the venue owes an answer."""
        self._began_ns = around.clock.monotonic_ns()
        self._elapsed_before = _done_before(opened, config, around.begins_ms)
        self._last_ns = self._began_ns
        """When what fills are made against was heard last, monotonic."""
        self._against, self._stream = (Kline, "kline") if config.fills == "bars" else (BookTicker, "book")
        self._live = around.begins_ms is None
        """Whether time is the machine's. A simulation or a recording has its own, at whatever speed it is played."""
        self._to_flatten = opened.resumed and (config.restart == "flatten" or opened.trader.desk.unprotected)
        self._pauses = PauseDetector(around.clock)
        self._down = self._stale = False
        self._told: FeedStatus | None = None
        """That it is quiet, as it was told last: it is heard again and again, and told once."""

    def all(self, beat: Callable[[], None], leave: Callable[[], None]) -> list[Coroutine[None, None, None]]:
        """Every task, to be started together; *beat* is the watchdog's, *leave* leaves word for who watches."""
        loops: list[Coroutine[None, None, None]] = [
            self.market_data(),
            self.turns(beat),
            self.heartbeat(leave),
            self.timer(),
            self.kill_switch(),
            self.stale_data(),
            self.funding(),
            self.checkpoint(),
        ]
        return [*loops, self.execution()] if self._live and self._config.fills == "ticks" else loops

    async def market_data(self) -> None:
        """Every event of the feed, in order, decided on before the next is looked at."""
        lost = False
        try:
            async for event in self._feed.events():  # cancelled, its generator is closed by the feed's aclose
                if isinstance(event, FeedStatus):
                    lost = lost or event.state == "lost"
                    self._status(event)
                else:
                    await self._take(event)
        except MaestroError as error:
            self._log.failure("market data", error)
            self._trader.error(str(error))
            lost = True
        if lost:
            self._ending.fail("feed_lost")
        else:
            self._ending.begin("data_ended")

    async def execution(self) -> None:
        """Collect the venue's answers when they are due; where time comes with the events, they do that."""
        while True:
            due = self._trader.desk.exchange.next_due()
            if due is None:
                self._due.clear()
                await self._due.wait()
                continue
            wait_ns = due * 1_000_000 - self._stamps.now_ns()
            if wait_ns > 0:
                await self._clock.sleep(wait_ns / 1e9)
            self._now()
            self._look_at_breakers()

    async def turns(self, beat: Callable[[], None]) -> None:
        """Show the watchdog that the loop turns."""
        while True:
            beat()
            await self._clock.sleep(HEARTBEAT_S / 2)

    async def heartbeat(self, leave: Callable[[], None]) -> None:
        sampled_s = -SAMPLE_S
        told_ms = 0
        while True:
            self._now()
            self._trader.heartbeat()
            leave()
            self._use_limits()
            self._metrics.rss_peak = max(self._metrics.rss_peak, self._rss())
            elapsed = self._trader.elapsed_s
            if elapsed - sampled_s >= SAMPLE_S:
                sampled_s = elapsed
                self._sample()
            jumped_ms = self._clock.now_ms() - self._stamps.now_ns() // 1_000_000
            if abs(jumped_ms - told_ms) > JUMP_MS:
                told_ms = jumped_ms
                self._trader.say(records.ClockJumped(jumped_ms))
            self._look_at_breakers()
            await self._clock.sleep(HEARTBEAT_S)

    async def timer(self) -> None:
        """The planned duration, what an interrupted run has done already taken off."""
        slack_s = 0.0 if self._live else HEARTBEAT_S  # there the events' own time ends it, if they keep coming
        await self._clock.sleep(max(0.0, self._config.duration_s - self._elapsed_before) + slack_s)
        self._now()
        self._ending.begin("duration")

    async def kill_switch(self) -> None:
        while not self._ending.asked.is_set():
            self._now()
            heed(self._controls, self._trader, self._ending)
            await self._clock.sleep(KILL_POLL_S)

    async def stale_data(self) -> None:
        """Silence first keeps entries back, then ends the session."""
        while True:
            away_ns = await self._pauses.sleep(HEARTBEAT_S)
            if away_ns:
                self._last_ns += away_ns
                self._now()
                self._trader.say(records.ProcessPaused(round(away_ns / 1e9, 3)))
                self._trader.finish()
            silent_s = (self._clock.monotonic_ns() - self._last_ns) / 1e9
            if silent_s >= self._config.stale_s and not self._stale:
                self._stale, self._trader.entries_allowed = True, False
                last_ms = self._trader.now - round(silent_s * 1_000)
                self._trader.say(records.OrderBookStale(self._config.stale_s, last_ms))
                self._trader.finish()
            if silent_s >= max(self._config.outage_s, self._config.stale_s):
                self._ending.fail("stale_data")

    async def funding(self) -> None:
        while True:
            due_ms = self._trader.next_funding_ms()
            wait_s = FUNDING_POLL_S if due_ms is None else due_ms / 1_000 - self._stamps.now_ns() / 1e9
            await self._clock.sleep(min(max(wait_s, 0.1), FUNDING_POLL_S))
            self._now()
            self._trader.settle_funding()

    async def checkpoint(self) -> None:
        while True:
            await self._clock.sleep(self._config.checkpoint_s)
            self._now()
            self._trader.save(durable=False)

    # inside

    def _now(self) -> None:
        if self._live:
            self._trader.advance(self._stamps.now_ns() // 1_000_000)
        self._trader.elapsed_s = self._elapsed_before + (self._clock.monotonic_ns() - self._began_ns) / 1e9

    async def _take(self, event: Event) -> None:
        began_ns = self._clock.monotonic_ns()
        if self._over(event):
            return
        if isinstance(event, self._against):
            self._last_ns = began_ns
            if self._stale or self._down:
                self._heard_again()
        if isinstance(event, Kline) and event.closed:
            await self._fill_hole(event)
        try:
            self._trader.on_event(event)
        except DataError as error:  # one event that cannot be is no reason to end; twenty are
            self._trader.error(str(error))
        self._metrics.events += 1
        decided_ns = self._clock.monotonic_ns()
        self._metrics.processing.add(decided_ns - began_ns)
        waited_ns = self._stamps.now_ns() - event.local_ns if self._live else decided_ns - began_ns
        self._metrics.decision.add(max(0, waited_ns))
        if self._to_flatten and self._trader.desk.live(self._trader.now):
            self._to_flatten = False
            self._trader.close("restart")
        if self._trader.desk.exchange.next_due() is not None:
            self._due.set()
        self._look_at_breakers()

    def _over(self, event: Event) -> bool:
        """Let time pass up to *event*; True where a simulation or recording has reached its planned end."""
        event_ms = event.local_ns // 1_000_000
        if self._live:
            self._trader.advance(max(event_ms, self._stamps.now_ns() // 1_000_000))
            return False
        trader, planned_s = self._trader, self._config.duration_s
        if trader.until_ms is None:
            trader.until_ms = event_ms + round((planned_s - self._elapsed_before) * 1_000)
        trader.elapsed_s = max(trader.elapsed_s, planned_s - (trader.until_ms - event_ms) / 1_000)
        if event_ms > trader.until_ms:
            self._now()
            self._ending.begin("duration")
        if self._ending.asked.is_set() and (trader.desk.live(trader.now) or not trader.desk.position):
            return True  # what is closed now is closed at the prices of this moment, however fast it is played
        self._trader.advance(event_ms)
        return False

    def _heard_again(self) -> None:
        self._trader.desk.guard.answered(MARKET_DATA)
        self._down = False
        if self._stale and not self._ending.asked.is_set():
            self._stale, self._trader.entries_allowed = False, True
            self._trader.say(records.FeedChanged("live", "after silence"))

    def _status(self, status: FeedStatus) -> None:
        self._now()
        self._log.info("feed", state=status.state, detail=status.detail, stream=status.stream)
        match status.state:
            case "gap":
                before, after = status.before or 0, status.after or 0
                gap = records.GapDetected(status.missing or 0, before, after, status.stream or status.symbol, 0)
                self._trader.say(gap)
            case "quiet" if self._stream in status.stream.lower():
                self._last_ns = self._clock.monotonic_ns()  # REST has testified that nothing happens
                self._trader.confirm_quote()
            case "disconnected":
                self._down = True
                self._metrics.disconnects += 1
                self._trader.lost_dependency(MARKET_DATA)
            case _:
                pass
        if self._told is None or self._told != replace(status, local_ns=0):
            self._trader.say(records.FeedChanged(status.state, status.detail))
        self._told = replace(status, local_ns=0) if status.state == "quiet" else None
        self._trader.finish()

    async def _fill_hole(self, kline: Kline) -> None:
        """Ask REST for candles between the newest and *kline*: what was missed between history and stream."""
        candles = self._trader.candles
        hole = candles.hole_before(kline)
        if hole is None or kline.interval != self._config.interval:
            return
        rows = await self._asked_again(kline, hole.missing + 2)
        missed = [row for row in rows if hole.before < row.open_ms < hole.after and candles.add(row)]
        stream = f"kline_{kline.interval}"
        self._trader.say(records.GapDetected(hole.missing, hole.before, hole.after, stream, len(missed)))

    async def _asked_again(self, kline: Kline, count: int) -> list[Kline]:
        """The newest *count* closed candles by REST; none while its breaker is open."""
        guard = self._trader.desk.guard
        if not guard.may_ask(HISTORY, self._trader.now):
            return []
        try:
            async with asyncio.timeout(HOLE_S):  # what came meanwhile waits to be decided on
                rows = await self._feed.history(kline.symbol, kline.interval, count)
        except (DataError, TimeoutError) as error:
            self._trader.error(f"history: {error or f'no answer in {HOLE_S:g} s'}")
            self._trader.lost_dependency(HISTORY)
            return []
        guard.answered(HISTORY)
        return rows

    def _look_at_breakers(self) -> None:
        tripped, self._trader.desk.tripped = self._trader.desk.tripped, []
        if tripped:
            self._use_limits()
        for trip in tripped:
            self._log.info("breaker", breaker=trip.breaker, detail=trip.detail)
            if trip.breaker == ERRORS:
                self._ending.fail("breaker:errors")
            elif self._config.on_breaker == "stop":
                self._ending.begin(f"breaker:{trip.breaker}")

    def _use_limits(self) -> None:
        desk = self._trader.desk
        self._metrics.use(desk.guard.used(desk.exposure))

    def _sample(self) -> None:
        desk, rss_mb = self._trader.desk, round(self._rss() / 1e6, 1)
        elapsed = round(self._trader.elapsed_s, 3)
        self._metrics.sample(
            Sample(self._trader.now, elapsed, desk.price, desk.position, desk.account.equity, rss_mb)
        )


def _done_before(opened: Opened, config: SessionConfig, begins_ms: int | None) -> float:
    """Seconds of the planned duration that an interrupted run has behind it.

    What time of a simulation or recording is left is told by where it goes on, not by when its state was saved.
    """
    until_ms = opened.trader.until_ms
    if begins_ms is None or until_ms is None:
        return opened.trader.elapsed_s
    return config.duration_s - (until_ms - begins_ms) / 1_000

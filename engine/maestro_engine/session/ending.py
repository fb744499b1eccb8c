"""ending owns how a session ends: asked once, then orders back, pending fills awaited, positions closed, report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict

from maestro_engine.feeds.port import Counters, FeedClock
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.evidence.metrics import SessionMetrics
from maestro_engine.session.evidence.report import FinalReport, LimitUse
from maestro_engine.session.opening import Opened
from maestro_engine.session.trading.trader import Trader
from maestro_engine.session.trail import records
from maestro_engine.trading.venue.money import exact

PENDING_S = 2.0
"""Fills that are under way are waited for so long."""
PRICE_S = 10.0
"""A position without a live market is given so long to get one; it is not closed without."""
CLOSING_S = 2.0
POLL_S = 0.02
FAILED, HELD_BACK = 1, 3
"""Exit codes: something went wrong; or nothing could be entered, by a breaker that had tripped before the start."""


class Ending:
    """Why and since when the session ends. The first reason counts; a failure is remembered whenever it comes.

    *now_ms* is the session's time (UTC milliseconds); None where time comes with the events, which then stand still.
    """

    def __init__(self, clock: FeedClock, now_ms: Callable[[], int] | None) -> None:
        self.asked = asyncio.Event()
        self.reason = ""
        self.failed = False
        self.held = False
        """Whether anything was held or working when the end was decided."""
        self._clock, self._now_ms = clock, now_ms
        self._begun_ns = 0
        self._flat_ms: int | None = None

    def begin(self, reason: str) -> None:
        if not self.asked.is_set():
            self.reason, self._begun_ns = reason, self._clock.monotonic_ns()
            self.asked.set()

    def fail(self, reason: str) -> None:
        self.failed = True
        self.begin(reason)

    async def first(self, work: Coroutine[None, None, None]) -> bool:
        """Do *work* unless the end is asked for before it is done; False in that case."""
        working, asked = asyncio.ensure_future(work), asyncio.ensure_future(self.asked.wait())
        await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not working.done():
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            return False
        working.result()
        return not self.asked.is_set()

    async def settle(self, trader: Trader) -> None:
        """Give orders time to come back or fill, and a position time to get a price."""
        await self._until(lambda: not trader.desk.busy, PENDING_S, trader)
        if trader.desk.position and not trader.desk.live(trader.now):
            await self._until(lambda: trader.desk.live(trader.now), PRICE_S, trader)

    async def close(self, trader: Trader, on_dead_market: str) -> None:
        """Close what is held, after the tasks are gone; without a live market, do as *on_dead_market* says."""
        if trader.desk.live(trader.now):
            trader.close("shutdown")
            await self._until(lambda: trader.desk.flat, CLOSING_S, trader)
        if not trader.desk.flat:
            trader.cancel_all()
            await self._until(lambda: not trader.desk.busy, CLOSING_S, trader)
        if trader.desk.position:
            held = trader.desk.position
            trader.leave_dead_market(on_dead_market)
            done = "it was assumed closed" if trader.desk.flat else "it is kept for the next start"
            trader.error(f"{held} could not be closed: no live market; {done}")
            self.failed = True

    def _exit_code(self, opened: Opened) -> int:
        held_back = any(trip in opened.trader.desk.guard.trips for trip in opened.tripped)
        return FAILED if self.failed else HELD_BACK if held_back else 0

    async def _until(self, done: Callable[[], bool], seconds: float, trader: Trader) -> None:
        deadline = self._clock.monotonic_ns() + round(seconds * 1e9)
        while not done() and self._clock.monotonic_ns() < deadline:
            await self._clock.sleep(POLL_S)
            trader.advance(trader.now + round(POLL_S * 1_000) if self._now_ms is None else self._now_ms())

    def report(self, config: SessionConfig, opened: Opened, metrics: SessionMetrics, feed: Counters) -> FinalReport:
        """Say goodbye in the trail, save, and put the figures together."""
        trader, desk = opened.trader, opened.trader.desk
        if self.held and desk.flat:
            self._flat_ms = round((self._clock.monotonic_ns() - self._begun_ns) / 1e6)
        exit_code = self._exit_code(opened)
        trader.say(records.SystemShutdown(self.reason, exit_code, self._flat_ms))
        trader.save()
        trader.finish()
        return _figures(self, config, opened, metrics, feed, exit_code, self._flat_ms)


def _figures(
    ending: Ending,
    config: SessionConfig,
    opened: Opened,
    metrics: SessionMetrics,
    feed: Counters,
    exit_code: int,
    flat_ms: int | None,
) -> FinalReport:
    desk, header = opened.trader.desk, opened.header
    account, counts = desk.account, desk.counts
    with exact():
        net = account.equity - header.starting_equity
    return FinalReport(
        version=1,
        run=header.run,
        status="completed" if not exit_code else "held_back" if exit_code == HELD_BACK else "failed",
        reason=ending.reason,
        exit_code=exit_code,
        env=config.env,
        source=config.source,
        symbol=config.symbol,
        methods=config.methods,
        planned_seconds=config.duration_s,
        duration_seconds=round(opened.trader.elapsed_s, 3),
        error_count=desk.guard.errors,
        starting_equity=header.starting_equity,
        ending_equity=account.equity,
        net_pnl=net,
        fees_total=account.fees,
        funding_total=account.funding,
        position=desk.position,
        assumed_price=opened.trader.assumed_price,
        refused_prices=dict(opened.trader.prices.refused),
        trades=account.trades,
        wins=counts.wins,
        losses=counts.losses,
        orders=counts.orders,
        fills=counts.fills,
        rejects=counts.rejects,
        breakers=tuple(trip.breaker for trip in desk.guard.trips),
        flat_ms=flat_ms,
        rss_mb_peak=round(metrics.rss_peak / 1e6, 1),
        events=metrics.events,
        disconnects=metrics.disconnects,
        restarts=header.restarts,
        frame_to_decision=metrics.decision.figures(),
        processing=metrics.processing.figures(),
        order_to_fill=metrics.fill.figures(),
        feed=asdict(feed),
        digest=config.digest,
        cleared=tuple(opened.trader.cleared),
        limits=tuple(LimitUse(name, *use) for name, use in metrics.limits.items()),
    )

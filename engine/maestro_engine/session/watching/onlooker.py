"""onlooker owns looking at a running session: from its own parts in memory, and for others as ``status.json``."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from maestro_engine.feeds.port import Feed, Witnessed
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.evidence.metrics import SessionMetrics
from maestro_engine.session.opening import Opened
from maestro_engine.session.surroundings import Surroundings
from maestro_engine.session.trail.scrub import Scrubber
from maestro_engine.session.watching.standing import (
    Breaker,
    HeldLot,
    Money,
    SessionRequest,
    Standing,
    Traffic,
    Use,
    WorkingOrder,
)
from maestro_engine.trading.risk.guard import CLEARABLE, DAILY_LOSS, DRAWDOWN, ERRORS, LOSING_STREAK, RiskGuard
from maestro_engine.trading.venue.money import json_of

STATUS = "status.json"
LEAVE_S = 1.0
"""So often, in the real world's time, a standing is left for others."""
RATE_S = 5.0
"""Rates are taken over so long."""


class Onlooker:
    """Looks when asked, from the event loop only."""

    def __init__(
        self, config: SessionConfig, opened: Opened, feed: Feed, metrics: SessionMetrics, around: Surroundings
    ) -> None:
        self._trader, self._header = opened.trader, opened.header
        self._config, self._feed, self._metrics, self._around = config, feed, metrics, around
        self._asked = SessionRequest(
            self._header.run,
            config.env,
            config.source,
            config.symbol,
            config.interval,
            config.methods,
            config.quantity,
            config.duration_s,
        )
        self._counted: deque[tuple[float, int, int]] = deque()
        self._left_s: float | None = None

    def leave(self, folder: Path, scrub: Scrubber, *, last: bool = False) -> None:
        """Write how things stand into *folder*, unless that was done within the last second."""
        now_s = self._around.monotonic()
        if last or self._left_s is None or now_s - self._left_s >= LEAVE_S:
            self._left_s = now_s
            said, new = scrub.clean(json_of(self.look()).decode()), folder / f"{STATUS}.new"
            with contextlib.suppress(OSError):  # a full disk ends a session by its state, not by who watches it
                new.write_text(said, encoding="utf-8")
                new.replace(folder / STATUS)

    def look(self) -> Standing:
        """How things stand now."""
        trader, desk = self._trader, self._trader.desk
        feed, guard, metrics = self._feed, desk.guard, self._metrics
        return Standing(
            asked=self._asked,
            now=trader.now,
            elapsed_s=round(trader.elapsed_s, 3),
            entries_allowed=trader.entries_allowed,
            price=desk.price,
            position=desk.position,
            entry=desk.account.entry_price(self._config.symbol),
            money=self._money(),
            lots=tuple(HeldLot(lot.qty, lot.price, lot.at) for lot in desk.account.lots(self._config.symbol)),
            orders=tuple(self._orders()),
            trades=desk.account.trades,
            wins=desk.counts.wins,
            losses=desk.counts.losses,
            fills=desk.counts.fills,
            rejects=desk.counts.rejects,
            errors=guard.errors,
            uses=tuple(
                Use(name, used, allowed, round(float(used / allowed), 4) if allowed else 1.0)
                for name, (used, allowed) in guard.used(desk.exposure).items()
            ),
            breakers=tuple(_breakers(guard)),
            kill_switch=guard.kill_switch.source.value if guard.kill_switch.source is not None else None,
            witnesses=tuple(feed.witnesses()) if isinstance(feed, Witnessed) else (),
            traffic=self._traffic(),
            decision=metrics.decision.figures(),
            processing=metrics.processing.figures(),
            fill=metrics.fill.figures(),
            rss_mb=round(self._around.rss() / 1e6, 1),
        )

    def _money(self) -> Money:
        account, symbol = self._trader.desk.account, self._config.symbol
        return Money(
            self._header.starting_equity,
            account.equity,
            account.cash,
            account.available,
            account.realised,
            account.unrealised,
            account.fees,
            account.funding,
            account.initial_margin(symbol),
            account.effective_leverage(),
            account.liquidation_price(symbol),
        )

    def _orders(self) -> Iterator[WorkingOrder]:
        for state in self._trader.desk.working:
            o = state.order
            yield WorkingOrder(
                o.client_order_id,
                o.side.value,
                o.type.value,
                state.status.value,
                o.qty,
                state.filled,
                o.price,
                o.reduce_only,
                state.submitted_at,
            )

    def _traffic(self) -> Traffic:
        counters, events, now_s = self._feed.counters, self._metrics.events, self._around.monotonic()
        self._counted.append((now_s, counters.frames, events))
        while len(self._counted) > 2 and now_s - self._counted[1][0] >= RATE_S:
            self._counted.popleft()
        then_s, frames, heard = self._counted[0]
        over_s = now_s - then_s
        return Traffic(
            self._feed.name,
            counters.frames,
            events,
            round((counters.frames - frames) / over_s, 1) if over_s > 0 else None,
            round((events - heard) / over_s, 1) if over_s > 0 else None,
            counters.duplicates,
            counters.late,
            counters.gaps,
            counters.lost,
            counters.connects,
            counters.backfilled,
            sum(counters.rejected.values()),
        )


def _breakers(guard: RiskGuard) -> Iterator[Breaker]:
    tripped = {trip.breaker: trip for trip in guard.trips}
    for name in (DAILY_LOSS, DRAWDOWN, LOSING_STREAK, ERRORS):
        trip = tripped.get(name)
        if trip is None:
            yield Breaker(name, "closed")
        else:
            yield Breaker(name, "tripped", trip.detail, trip.at if name in CLEARABLE else None)
    for name, breaker in sorted(guard.dependencies.items()):
        failures = f"{breaker.failures} failures in a row" if breaker.failures else ""
        yield Breaker(name, "closed" if breaker.closed else "open", failures)

"""trader owns what a session does at each event: it passes on, decides, counts, and saves before it tells.

Pure of clock and network like the desk under it; the supervisor's tasks call it, one at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec
from msgspec import Struct

from maestro_engine.feeds.port import BookTicker, Event, FeedStatus, Kline, MarkPrice, Place, Ticker, TradeTick
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.safety.controls import Clearing
from maestro_engine.session.safety.state import StateFile
from maestro_engine.session.trading.candles import CandleBook
from maestro_engine.session.trading.desk import Desk
from maestro_engine.session.trading.funding import Funding, FundingRules, rules_for
from maestro_engine.session.trading.holding import hold_or_leave
from maestro_engine.session.trading.prices import Basis, ReferencePrices, TransitLag, possible
from maestro_engine.session.trading.strategy import Strategy
from maestro_engine.session.trading.venue import bar_of, decimal
from maestro_engine.session.trail import records
from maestro_engine.session.trail.audit import Audit
from maestro_engine.trading.risk.killswitch import KillSource
from maestro_engine.trading.venue.market import Bar
from maestro_protocol.errors import DataError, MaestroError

TICK_MS = 1_000
"""A TickReceived line at most so often."""


class _Saved(Struct):
    funding: Funding
    last_candle_ms: int | None
    elapsed_s: float
    cleared: list[Clearing] = []
    place: Place | None = None
    until_ms: int | None = None
    tick_told_ms: int = 0
    ticks: int = 0
    ticks_told: int = 0
    refused: dict[str, int] = {}
    assumed_price: Decimal | None = None


class Trader:
    """Every public method is one step: when it returns, what it changed is saved and told."""

    def __init__(
        self,
        config: SessionConfig,
        desk: Desk,
        strategy: Strategy,
        candles: CandleBook,
        audit: Audit,
        state: StateFile,
        header: Mapping[str, object],
    ) -> None:
        self.desk, self.candles = desk, candles
        self.entries_allowed = True
        """Off while data is stale or the session ends."""
        self.elapsed_s = 0.0
        self.now = 0
        """The session's time, UTC milliseconds; never goes back."""
        self.ticks = 0
        self.place = Place()
        """How far it has heard its source."""
        self.assumed_price: Decimal | None = None
        """At which a position was assumed closed; None where that was not needed."""
        self.until_ms: int | None = None
        """Where a simulation or recording reaches the planned end, in its own time; None until it is known."""
        self._venue_ms = 0
        """The exchange's time as its newest stamp tells, whatever this machine's clock shows."""
        self._config, self._strategy, self._audit, self._state = config, strategy, audit, state
        self.cleared: list[Clearing] = []
        """What people have cleared in this session."""
        self.header = dict(header)
        """What a saved state begins with."""
        self.prices = ReferencePrices(config.adapter.bands)
        self._lag = TransitLag()
        self._basis: Basis | None = None
        """What values a position, as it was told last."""
        self._begun_ms: int | None = None
        """The moment of the first event."""
        self._funding, self._funding_rules = Funding(), rules_for(config.symbol)
        self._in_bars = config.fills == "bars"
        self._tick_told_ms = self._ticks_told = 0

    # what happens

    def on_event(self, event: Event) -> None:
        """A market event. Its own receive time is the session's time. Raises :class:`DataError` for an absurd one."""
        if isinstance(event, FeedStatus):
            return
        now = event.local_ns // 1_000_000
        self.at(now)
        self.place.hear(now)
        self._venue_ms = max(self._venue_ms, event.time_ms or 0)
        match event:
            case BookTicker():
                self._quote(event)
            case TradeTick():
                self._traded(event.price, event)
            case Kline():
                self._candle(event)
            case MarkPrice():
                self._marked(event)
            case Ticker():
                self._traded(event.last)
            case _:
                return
        self.finish()

    def advance(self, now: int) -> None:
        """Let time pass until *now*: what the venue answers meanwhile is heard exactly when it is due."""
        exchange = self.desk.exchange
        while not self._in_bars and (due := exchange.next_due()) is not None and due <= now:
            self.at(due)
            self.desk.poll(self.now)
        self.at(now)
        self.finish()

    def heartbeat(self) -> None:
        """Say how things stand."""
        desk = self.desk
        account = desk.account
        beat = records.AsyncHeartbeat(
            desk.price, desk.position, account.equity, account.unrealised, round(self.elapsed_s, 3)
        )
        self.say(beat)
        self.finish()

    def settle_funding(self) -> None:
        """Pay or receive funding where it has fallen due since the last time, as it was announced before."""
        known = self._funding
        due = known.next_due_ms()
        if due is None or self._venue_ms < due:
            return
        known.settled_ms = due
        if known.rate is not None and known.mark is not None:
            self.desk.fund(decimal(known.rate), decimal(known.mark), due, self.now)
        self.finish()

    def next_funding_ms(self) -> int | None:
        """When funding falls due next (UTC milliseconds); None while the source has not said."""
        return self._funding.next_due_ms()

    def learn_funding(self, rules: FundingRules, known: records.FundingKnown) -> None:
        """Hold announcements of funding against *rules* from now on."""
        self._funding_rules = rules
        self.say(known)
        self.finish()

    def kill(self, sources: Mapping[KillSource, bool]) -> KillSource | None:
        """Look at the kill switch's *sources*; gives the one that switched it, once it is on."""
        newly = self.desk.guard.on_kill_sources(sources, self.now)
        switch = self.desk.guard.kill_switch
        if newly and switch.source is not None:
            self.say(records.KillSwitchActivated(switch.source.value))
            self.finish()
        return switch.source

    def clear(self, asked: Clearing) -> None:
        """Allow entries again after what tripped, as a person asks; once, however often the asking is read."""
        if asked in self.cleared:
            return
        try:
            trip = asked.apply(self.desk.guard)
        except MaestroError as error:
            self.say(records.ClearingRefused(asked.breaker, asked.who, str(error)))
        else:
            self.cleared.append(asked)
            self.say(records.CircuitBreakerCleared.of(asked, trip))
        self.finish()

    def confirm_quote(self) -> None:
        """Another witness says that the newest quote still stands."""
        self.desk.confirm(self.now)
        self.finish()

    def cancel_all(self) -> None:
        self.desk.cancel_all(self.now)
        self.finish()

    def close(self, reason: str) -> None:
        """Send what closes the position, if there is one."""
        self.desk.leave(reason, self.now)
        if self._in_bars and self.desk.price is not None:
            price = self.desk.price
            self.desk.bar(Bar(self.now, self.now, price, price, price, price))
        self.finish()

    def leave_dead_market(self, policy: str) -> None:
        """Deal with a position that must be closed while nothing can be executed: keep it, or assume it closed."""
        desk = self.desk
        age_s = desk.quote.age_s(self.now)
        held = desk.position
        if policy == "assume":
            price = desk.assume_closed(Decimal(repr(self.prices.bands.assumed)), self.now)
            if price is not None:
                self.assumed_price = price
                self.say(records.PositionAssumedClosed(held, price, age_s))
        if desk.position:
            self.say(records.PositionKept(held, desk.price, age_s))
        self.finish()

    def close_at_bar(self, last: Bar) -> None:
        """Close at the close of *last*, within its range: what a backtest does at the end of its window."""
        end, price = last.close_at, last.close
        self.desk.leave("end", end)
        self.desk.bar(Bar(end, end, price, last.high, last.low, price))
        self.finish()

    def error(self, what: str) -> None:
        self.desk.error(what, self.now)
        self.finish()

    def lost_dependency(self, name: str) -> None:
        """Count a failure of what the session depends on; its breaker keeps nothing back but the asking."""
        trip = self.desk.guard.failed(name, self.now)
        if trip is not None:
            self.say(records.CircuitBreakerTripped(trip.breaker, trip.detail))

    def adopt(self, policy: str) -> None:
        """Say what an interrupted session left, before anything else is done."""
        desk = self.desk
        lots = len(desk.account.lots(self._config.symbol))
        self.say(records.PositionAdopted(desk.position, lots, len(desk.working), policy))
        self.finish()

    # telling and saving

    def at(self, now: int) -> None:
        """The session's time is *now*, unless it is past already."""
        self.now = max(self.now, now)

    def say(self, record: records.Record) -> None:
        self._audit.say(record, self.now)

    def finish(self) -> None:
        """End of a step: save if something binding happened, then tell."""
        full = self._audit.full
        if self._audit.binding or full:
            self.save()
        self._audit.flush()
        if full and self._audit.rotate():
            self.finish()  # its seal is saved and told like all that is binding
            self._audit.tidy()

    def save(self, *, durable: bool = True) -> None:
        """Everything a restart needs, with the lines that are not yet in the trail."""
        own = _Saved(
            self._funding,
            self.candles.last_ms,
            self.elapsed_s,
            self.cleared,
            self.place,
            self.until_ms,
            self._tick_told_ms,
            self.ticks,
            self._ticks_told,
            self.prices.refused,
            self.assumed_price,
        )
        state: dict[str, object] = {
            **self.header,
            "saved_ms": self.now,
            "seq": self._audit.seq,
            "pending": self._audit.pending(),
            "trader": msgspec.to_builtins(own),
            **self.desk.to_dict(),
        }
        if durable:
            self._audit.sync()
        self._state.save(state, durable=durable)

    def restore(self, state: Mapping[str, object]) -> None:
        """Become the trader that :meth:`save` wrote. Raises :class:`DataError`."""
        try:
            own = msgspec.convert(state["trader"], _Saved)
            pending = msgspec.convert(state["pending"], list[str])
            seq = msgspec.convert(state["seq"], int)
            lost = self._audit.recover(seq, pending, again=self._config.own_time)
            self.at(msgspec.convert(state["saved_ms"], int))
            self.desk.restore(state)
        except (KeyError, msgspec.ValidationError) as error:
            raise DataError(f"saved state cannot be read: {error}") from None
        self._funding, self.elapsed_s, self.cleared = own.funding, own.elapsed_s, own.cleared
        self.place, self.until_ms, self._tick_told_ms = own.place or self.place, own.until_ms, own.tick_told_ms
        self.ticks, self._ticks_told = own.ticks, own.ticks_told
        self.prices.refused, self.assumed_price = own.refused, own.assumed_price
        if lost:
            self.say(records.TrailTorn(lost))

    # inside: the market

    def _quote(self, event: BookTicker) -> None:
        made_ms = self.now - self._lag.behind_ms(event.time_ms, event.local_ns // 1_000_000)
        if not self._believed(self.prices.quote(event.bid, event.ask, self.now)):
            return
        if not self._in_bars:
            self.desk.tick(event, self.now, made_ms)
        self._revalue((event.bid + event.ask) / 2)

    def _traded(self, price: float, event: TradeTick | None = None) -> None:
        """A trade, or the last price that a ticker tells."""
        if not self._believed(self.prices.trade(possible(price), self.now)):
            return
        self._revalue(price)
        if event is not None and not self._in_bars:
            self.desk.tick(event, self.now)

    def _marked(self, event: MarkPrice) -> None:
        self.settle_funding()
        if not self._believed(self.prices.mark(possible(event.mark), self.now)):
            return
        due_ms, rate = event.next_funding_ms, event.funding_rate
        doubt = self._funding.doubt(self._funding_rules, rate, due_ms, event.time_ms)
        if doubt is None:
            self._funding.believe(rate, event.mark, due_ms, event.time_ms)
        elif (count := self._count("funding")) & (count - 1) == 0:
            self.say(records.FundingRefused(doubt, count))
        self._revalue(event.mark, marked=True)

    def _believed(self, plausible: bool) -> bool:
        """Gives *plausible*, and tells what was refused, when it is worth telling."""
        told, self.prices.news = self.prices.news, None
        if told is not None:
            self.say(records.PriceRefused(*told))
        return plausible

    def _count(self, kind: str) -> int:
        count = self.prices.refused[kind] = self.prices.refused.get(kind, 0) + 1
        return count

    def _revalue(self, price: float, *, marked: bool = False) -> None:
        """Value what is held after *price* was believed; at most once a second while nothing is."""
        self.ticks += 1
        self._begun_ms = self.now if self._begun_ms is None else self._begun_ms
        due = self.now - self._tick_told_ms >= TICK_MS
        if not due and (not self.desk.position or (self._basis == "mark_price" and not marked)):
            return  # nothing is held, or what values it has not changed
        found = self.prices.valuing(self.now)
        assert found is not None, "a price has just been believed"
        value, basis = found
        self.desk.mark(decimal(value), self.now)
        if due:
            self._tell_basis(basis)
            self.desk.value(self.now)
            self.say(records.TickReceived(decimal(price), self.ticks - self._ticks_told))
            self._tick_told_ms, self._ticks_told = self.now, self.ticks

    def _tell_basis(self, basis: Basis) -> None:
        """Say what values a position, once it is clear what the source has, and when that changes."""
        assert self._begun_ms is not None
        waited = basis == "mark_price" or self.now - self._begun_ms >= self.prices.bands.mark_age_s * 1_000
        if basis != self._basis and waited and not self._in_bars:
            self._basis = basis
            self.say(records.ValuedBy(basis))

    def _candle(self, kline: Kline) -> None:
        if not self._believed(self.prices.trade(possible(kline.close), self.now)):
            return  # taken for missing, and asked for again with the next one
        closed_ms = kline.open_ms + self._config.step_ms
        news = kline.interval == self._config.interval and kline.closed and self.candles.add(kline)
        if news and self._in_bars:  # what filled within the candle is not valued at its close
            self.at(closed_ms)
            self.desk.bar(bar_of(kline, self._config.step_ms))
        self._revalue(kline.close)
        if not news:
            return
        if self._in_bars:
            self.desk.mark(decimal(kline.close), self.now)
        self.say(records.CandleClosed(kline.open_ms, kline.open, kline.high, kline.low, kline.close, kline.volume))
        self._decide(closed_ms, closed_ms if self._in_bars else self.now)
        self.desk.value(self.now)

    def _decide(self, closed_ms: int, now: int) -> None:
        desk = self.desk
        if desk.position:
            hold_or_leave(desk, self._strategy, self.candles, closed_ms, now)
            return
        fresh = self._in_bars or self._venue_ms - closed_ms < self._config.step_ms / 2
        if not (desk.flat and fresh and self.entries_allowed and desk.live(self.now)):
            return  # a candle that was filled in after an outage is no reason to trade now
        try:
            wish = self._strategy.intent(self.candles.bars())
        except MaestroError as error:
            desk.error(str(error), self.now)
            return
        if wish is None or not desk.enter(wish.side, wish.qty, wish.stop, wish.target, now, closed_ms, wish.moves):
            return
        assert desk.trade is not None, "it has just been entered"
        self.say(records.EntryDecided(desk.entry_id, wish.methods, desk.trade.loss, *wish.gates))

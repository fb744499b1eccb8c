"""opening owns how a session comes to its trader: anew, on its predecessor's account, or from where it was killed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

import msgspec

from maestro_engine.feeds.port import Place
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.places import Run
from maestro_engine.session.safety.reserve import Write, plainly
from maestro_engine.session.safety.state import Loaded, StateFile
from maestro_engine.session.trading.candles import CandleBook
from maestro_engine.session.trading.desk import Desk
from maestro_engine.session.trading.strategy import Strategy
from maestro_engine.session.trading.trader import Trader
from maestro_engine.session.trail.audit import Audit
from maestro_engine.session.trail.records import MarginBrackets, SystemState
from maestro_engine.trading.account.margin import MarginTable, table_for
from maestro_engine.trading.account.perpetual import PerpetualAccount
from maestro_engine.trading.risk.guard import RiskGuard, Trip
from maestro_engine.trading.venue.orders import Instrument
from maestro_engine.trading.venue.state import Plain
from maestro_protocol.errors import DataError


class Header(msgspec.Struct):
    """What a saved state says before its parts: whose it is, and how far it came."""

    run: str
    digest: str
    phase: str
    starting_equity: Decimal
    restarts: int


@dataclass(slots=True)
class Opened:
    """A trader ready to go, and what is known of how it got there."""

    trader: Trader
    header: Header
    resumed: bool
    down_ms: int | None
    fell_back: str | None
    margin: MarginBrackets
    tripped: tuple[Trip, ...] = ()
    """Breakers that stood tripped before a new session began."""

    def complete(self) -> None:
        """All evidence is written: the run is done, unless something is still held. Then the next start goes on."""
        self.header.phase = "done" if self.trader.desk.flat else "open"
        self.trader.header = _plain(self.header)
        self.trader.say(SystemState("COMPLETED"))
        self.trader.save()
        self.trader.finish()


def read_state(run: Run, config: SessionConfig) -> tuple[Loaded, Header] | None:
    """What *run* saved, if it was interrupted. Raises :class:`DataError`."""
    loaded = StateFile(run.folder).load()
    if loaded is None:
        return None
    header = msgspec.convert(loaded.state, Header)
    if header.digest != config.digest:
        raise DataError(f"{run.folder}: its state was saved under another configuration; restore config.json")
    return loaded, header


class Stood(msgspec.Struct):
    """Where an interrupted run stood: time (UTC milliseconds), and how far it had heard its source."""

    saved_ms: int
    place: Place


def where_it_stood(run: Run) -> Stood:
    """For a simulation or recording that is to go on from there. Raises :class:`DataError`."""
    loaded = StateFile(run.folder).load()
    if loaded is None:
        raise DataError(f"{run.folder}: no state was ever saved there")
    saved_ms = msgspec.convert(loaded.state["saved_ms"], int)
    place = msgspec.convert(msgspec.convert(loaded.state["trader"], Plain).get("place"), Place | None)
    return Stood(saved_ms, place if place is not None and place.count else Place(saved_ms))


def open_trader(
    run: Run,
    config: SessionConfig,
    instrument: Instrument,
    audit: Audit,
    before: Run | None,
    now: int,
    strategy: Strategy | None = None,
    *,
    brackets: Mapping[str, MarginTable] = MappingProxyType({}),
    write: Write = plainly,
) -> Opened:
    """The trader of *run*. *before*: the run whose account and breakers it takes over. Raises :class:`DataError`.

    *brackets* are those that somebody told, by symbol; *write* does what writes the state.
    """
    table, known_from = table_for(config.symbol, brackets)
    tables = {config.symbol: table}
    margin = MarginBrackets(known_from, tuple((tier.floor, tier.rate) for tier in table.tiers))
    saved = read_state(run, config)
    inherited = StateFile(before.folder).load() if saved is None and before is not None else None
    account, guard = _money(config, saved[0].state if saved else inherited.state if inherited else None, now, tables)
    if saved is None:
        account = PerpetualAccount(account.equity, config.leverage, tables)
        guard.begin_session()
    header = saved[1] if saved else Header(run.name, config.digest, "open", account.equity, 0)
    header.restarts += saved is not None
    desk = Desk(run.name, config, instrument, account, guard, audit.say)
    candles = CandleBook(config.symbol, config.step_ms, config.history_bars)
    state = StateFile(run.folder, write)
    trader = Trader(config, desk, strategy or Strategy(config), candles, audit, state, _plain(header))
    if saved is None:
        trader.at(now)
        return Opened(trader, header, False, None, None, margin)
    trader.restore(saved[0].state)
    down_ms = max(0, now - trader.now)
    trader.at(now)
    return Opened(trader, header, True, down_ms, saved[0].fell_back, margin)


def _money(
    config: SessionConfig, state: Plain | None, now: int, tables: Mapping[str, MarginTable]
) -> tuple[PerpetualAccount, RiskGuard]:
    limits = config.risk()
    if state is None:
        return PerpetualAccount(config.cash, config.leverage, tables), RiskGuard(limits, config.cash, now)
    account = PerpetualAccount.from_dict(msgspec.convert(state["account"], Plain), tables)
    return account, RiskGuard.from_dict(msgspec.convert(state["guard"], Plain), limits)


def _plain(header: Header) -> Plain:
    return msgspec.to_builtins(header)

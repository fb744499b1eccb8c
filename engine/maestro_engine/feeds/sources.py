"""sources owns the registry of sources: the two of this machine, the exchanges that ship, and installed ones."""

from __future__ import annotations

from typing import TypeGuard

from maestro_engine.data.timeframes import TIMEFRAMES
from maestro_engine.feeds.binance.adapter import ADAPTER as BINANCE
from maestro_engine.feeds.bitunix.adapter import ADAPTER as BITUNIX
from maestro_engine.feeds.source import PriceBands, SourceAdapter
from maestro_protocol.registry import Registry

UNWITNESSED = PriceBands(quote_age_s=15.0)
"""Simulations and recordings have no second witness of a quiet market, so their quotes stand longer."""


def _of_this_machine(name: str, prices: str) -> SourceAdapter:
    """A source that has it all, whose time is its own and whose every session is an experiment of its own."""
    return SourceAdapter(
        name=name,
        prices=prices,
        intervals=tuple(TIMEFRAMES),
        bands=UNWITNESSED,
        feed=None,
        taker_volume=True,
        mark_price=True,
        funding=True,
        persistent=False,
    )


SIM = _of_this_machine("sim", "Prices come from a simulated market")
REPLAY = _of_this_machine("replay", "Prices come from a recording")


def _builtin() -> dict[str, SourceAdapter]:
    return {adapter.name: adapter for adapter in (SIM, REPLAY, BINANCE, BITUNIX)}


def _is_source(thing: object) -> TypeGuard[SourceAdapter]:
    return isinstance(thing, SourceAdapter) and thing.feed is not None


SOURCES = Registry[SourceAdapter]("maestro.sources", _builtin, accepts=_is_source)
"""Everything that ``--source`` may name."""

"""instruments owns what may be traded and in which steps of price and quantity."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from maestro_engine.data.readers.column_names import one_line
from maestro_protocol.errors import DataError


@dataclass(frozen=True, slots=True)
class InstrumentSpec:
    """A traded pair. Prices and notional in quote currency, quantities in base currency."""

    symbol: str
    venue: str
    tick_size: Decimal
    lot_size: Decimal
    min_qty: Decimal
    min_notional: Decimal | None
    """Least price times quantity of an order; None where the venue states none."""

    def price_down(self, price: Decimal) -> Decimal:
        """The tick at or below *price*: a bid so rounded never pays more than was meant."""
        return _to_step(price, self.tick_size, ROUND_FLOOR)

    def price_up(self, price: Decimal) -> Decimal:
        """The tick at or above *price*: an ask so rounded never takes less than was meant."""
        return _to_step(price, self.tick_size, ROUND_CEILING)

    def qty_down(self, qty: Decimal) -> Decimal:
        """The whole number of lots in *qty*, never more; 0 when it is less than the least quantity."""
        lots = _to_step(qty, self.lot_size, ROUND_FLOOR)
        return lots if lots >= self.min_qty else Decimal(0)


def parse_instrument(exchange_info: bytes | str, symbol: str, venue: str) -> InstrumentSpec:
    """The instrument *symbol* of a Binance ``exchangeInfo`` answer, spot or futures (JSON text).

    Filters read: PRICE_FILTER, LOT_SIZE, and NOTIONAL (spot) or MIN_NOTIONAL (older spot, futures), as in
    https://developers.binance.com/docs/binance-spot-api-docs/filters. Raises DataError: no JSON of that form,
    symbol not in it, a filter missing or its steps not positive.
    """
    where = f"exchangeInfo of {venue}"
    try:
        info = _Info.model_validate_json(exchange_info)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{where}: {one_line(at) or 'the answer'}: {one_line(first['msg'])}; fetch it again"
        ) from error
    found = next((entry for entry in info.symbols if entry.symbol == symbol), None)
    if found is None:
        near = difflib.get_close_matches(symbol, [entry.symbol for entry in info.symbols], n=1, cutoff=0.5)
        hint = f"did you mean {one_line(near[0], 40)}?" if near else f"it has {len(info.symbols)} symbols"
        raise DataError(f"{where}: no symbol {one_line(symbol, 40)!r}; {hint}")
    filters = {entry.filter_type: entry for entry in found.filters}
    price, lot = filters.get("PRICE_FILTER"), filters.get("LOT_SIZE")
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL")
    if price is None or lot is None or price.tick_size is None or lot.step_size is None or lot.min_qty is None:
        raise DataError(f"{where}: {symbol} has no full PRICE_FILTER and LOT_SIZE; fetch it again")
    if min(price.tick_size, lot.step_size, lot.min_qty) <= 0:
        raise DataError(f"{where}: {symbol} has a tick, lot or least quantity that is not positive; fetch it again")
    least = None if notional is None else notional.min_notional or notional.notional
    return InstrumentSpec(symbol, venue, price.tick_size, lot.step_size, lot.min_qty, least)


_Amount = Annotated[Decimal, Field(ge=0, le=10**15, decimal_places=18)]


class _Filter(BaseModel):
    filter_type: str = Field(alias="filterType")
    tick_size: _Amount | None = Field(None, alias="tickSize")
    step_size: _Amount | None = Field(None, alias="stepSize")
    min_qty: _Amount | None = Field(None, alias="minQty")
    min_notional: _Amount | None = Field(None, alias="minNotional")
    notional: _Amount | None = None


class _Symbol(BaseModel):
    symbol: str
    filters: list[_Filter]


class _Info(BaseModel):
    symbols: list[_Symbol]


def _to_step(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    return (value / step).to_integral_value(rounding) * step

"""Instruments come out of the exchange's own answers, and round only against nobody's interest."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.data.instruments import InstrumentSpec, parse_instrument
from maestro_protocol.errors import DataError

BTC = InstrumentSpec("BTCUSDT", "usdm", Decimal("0.10"), Decimal("0.001"), Decimal("0.002"), Decimal(10))


@pytest.mark.parametrize(
    ("file", "symbol", "steps"),
    [
        ("spot_exchange_info_2021-10.json", "ETHUSDT", ("0.01", "0.0001", "0.0001", "10")),
        ("usdm_exchange_info_2022-02.json", "BTCUSDT", ("0.10", "0.001", "0.001", "10")),
        ("usdm_exchange_info_2022-02.json", "BTCUSDT_220325", ("0.1", "0.001", "0.001", "10")),
        ("spot_testnet_exchange_info_2026-09.json", "BTCUSDT", ("0.01", "0.00001", "0.00001", "5")),
    ],
)
def test_recorded_answers_give_the_instrument(market_data: Path, file: str, symbol: str, steps: tuple[str]) -> None:
    answer = (market_data / "samples" / "binance_rest" / file).read_bytes()
    found = parse_instrument(answer, symbol, "binance")
    assert (found.tick_size, found.lot_size, found.min_qty, found.min_notional) == tuple(map(Decimal, steps))


def answer(**filters: Any) -> str:
    every = {
        "PRICE_FILTER": {"tickSize": "0.01"},
        "LOT_SIZE": {"stepSize": "0.001", "minQty": "0.001"},
        **filters,
    }
    listed = [{"filterType": kind, **values} for kind, values in every.items() if values is not None]
    return json.dumps({"symbols": [{"symbol": "BTCUSDT", "filters": listed}]})


def test_no_least_notional_is_unknown() -> None:
    assert parse_instrument(answer(), "BTCUSDT", "x").min_notional is None
    assert parse_instrument(answer(MIN_NOTIONAL={"notional": "0"}), "BTCUSDT", "x").min_notional == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Invalid JSON"),
        ("[]", "exchangeInfo of x: "),
        ('{"code": -1121}', "symbols: Field required"),
        (answer(LOT_SIZE=None), "no full PRICE_FILTER and LOT_SIZE"),
        (answer(PRICE_FILTER={"tickSize": "0"}), "not positive"),
        (answer(PRICE_FILTER={"tickSize": "NaN"}), "tickSize"),
        (answer(PRICE_FILTER={"tickSize": "1e999999"}), "tickSize"),
        (answer(PRICE_FILTER={"tickSize": "a\nb"}), "tickSize"),
        (answer(PRICE_FILTER={}), "no full PRICE_FILTER"),
    ],
)
def test_a_bad_answer_is_one_clear_line(text: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        parse_instrument(text, "BTCUSDT", "x")
    assert "\n" not in str(caught.value)


def test_an_unknown_symbol_names_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean BTCUSDT"):
        parse_instrument(answer(), "BTCUSD", "x")


@given(st.decimals(0, 10**7, places=9))
def test_rounding_is_to_the_next_step_and_never_the_wrong_way(value: Decimal) -> None:
    down, up, qty = BTC.price_down(value), BTC.price_up(value), BTC.qty_down(value)
    assert down % BTC.tick_size == up % BTC.tick_size == qty % BTC.lot_size == 0
    assert down <= value <= up
    assert up - down <= BTC.tick_size
    assert qty == 0 if value < BTC.min_qty else 0 <= value - qty < BTC.lot_size

"""The liquidation price against the exchange's own worked example, and against its defining equation."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.trading.account.margin import (
    BTCUSDT_BRACKETS,
    MarginTable,
    MarginTier,
    bankruptcy_price,
    liquidation_in_tier,
)
from maestro_protocol.errors import ConfigError

D = Decimal
TABLE = MarginTable(BTCUSDT_BRACKETS)


# Binance, "How to Calculate Liquidation Price of USDⓈ-M Futures Contracts": a wallet of 1,535,443.01 USDT with
# 3,683.979 ETH at 1,456.84 and 109.488 BTC at 32,481.98. As isolated positions each has TMM = UPNL = 0.
@pytest.mark.parametrize(
    ("qty", "entry", "rate", "amount", "expected"),
    [
        ("3683.979", "1456.84", "0.10", "135365.00", "1114.78"),
        ("109.488", "32481.980", "0.025", "16300.000", "18778.73"),
    ],
)
def test_exchange_example_isolated(qty: str, entry: str, rate: str, amount: str, expected: str) -> None:
    tier = MarginTier(D(0), D(rate), D(amount))
    price = liquidation_in_tier(D(qty), D(entry), D("1535443.01"), tier)
    assert round(price, 2) == D(expected)


# The same article under cross margin: the other position's maintenance margin and loss are taken off the wallet.
@pytest.mark.parametrize(
    ("qty", "entry", "rate", "amount", "other_maintenance", "other_loss", "expected"),
    [
        ("3683.979", "1456.84", "0.10", "135365.00", "71200.81144", "-56354.57", "1153.26"),
        ("109.488", "32481.980", "0.025", "16300.000", "356512.508", "-448192.89", "26316.89"),
    ],
)
def test_exchange_example_cross_as_reduced_wallet(
    qty: str, entry: str, rate: str, amount: str, other_maintenance: str, other_loss: str, expected: str
) -> None:
    wallet = D("1535443.01") - D(other_maintenance) + D(other_loss)
    price = liquidation_in_tier(D(qty), D(entry), wallet, MarginTier(D(0), D(rate), D(amount)))
    assert round(price, 2) == D(expected)


def test_maintenance_amounts_are_the_published_ones() -> None:
    assert [tier.amount for tier in TABLE.tiers] == [0, 50, 1_300, 16_300, 266_300]


@given(
    qty=st.decimals("0.001", "100", places=3),
    long=st.booleans(),
    entry=st.decimals("100", "100000", places=1),
    leverage=st.integers(2, 20),
)
def test_wallet_and_loss_meet_maintenance_exactly_there(qty: D, long: bool, entry: D, leverage: int) -> None:
    signed = qty if long else -qty
    wallet = qty * entry / leverage
    price = TABLE.liquidation_price(signed, entry, wallet)
    assert price is not None
    left = wallet + signed * (price - entry)
    assert abs(left - TABLE.maintenance(qty * price)) < D("1e-12") * (qty * entry)
    ruin = bankruptcy_price(signed, entry, wallet)
    assert (ruin < price < entry) if long else (entry < price < ruin)


def test_a_long_paid_in_full_is_never_liquidated() -> None:
    assert TABLE.liquidation_price(D(1), D(100), D(101)) is None


@pytest.mark.parametrize(
    "brackets", [[], [(D(1), D("0.01"))], [(D(0), D("0.02")), (D(10), D("0.01"))], [(D(0), D(1))]]
)
def test_brackets_that_do_not_rise_are_refused(brackets: list[tuple[D, D]]) -> None:
    with pytest.raises(ConfigError, match="margin brackets"):
        MarginTable(brackets)

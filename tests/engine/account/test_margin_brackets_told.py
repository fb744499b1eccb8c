"""Where a symbol's maintenance brackets are from: the exchange's answer first, then what is published, then care."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from maestro_engine.trading.account.margin import read_brackets, table_for
from maestro_protocol.errors import ConfigError


def bracket(number: int, leverage: int, floor: int, cap: int, rate: float, cum: float) -> dict[str, float]:
    """One row as Binance documents it."""
    names = ("bracket", "initialLeverage", "notionalFloor", "notionalCap", "maintMarginRatio", "cum")
    return dict(zip(names, (number, leverage, floor, cap, rate, cum), strict=True))


BRACKETS = [bracket(2, 50, 10_000, 100_000, 0.01, 35.0), bracket(1, 75, 0, 10_000, 0.0065, 0.0)]
TOLD = [{"symbol": "ETHUSDT", "notionalCoef": 1.5, "brackets": BRACKETS}]


def test_the_exchanges_answer_goes_first_and_its_amounts_follow() -> None:
    tables = read_brackets(json.dumps(TOLD).encode())
    table, known_from = table_for("ETHUSDT", tables)
    assert known_from == "told"
    assert [(tier.floor, tier.rate, tier.amount) for tier in table.tiers] == [
        (0, Decimal("0.0065"), 0),
        (10_000, Decimal("0.01"), 35),  # what the exchange itself calls ``cum``
    ]
    assert table.maintenance(Decimal(20_000)) == 165


def test_a_symbol_nobody_told_of_is_asked_for_more_than_one_that_is_published() -> None:
    (published, from_), (guessed, guess) = table_for("BTCUSDT", {}), table_for("DOGEUSDT", {})
    assert (from_, guess) == ("published", "guessed")
    for notional in (1, 50_000, 200_000):
        assert guessed.maintenance(Decimal(notional)) > published.maintenance(Decimal(notional))
    most_leverage = Decimal(20)
    assert guessed.maintenance(Decimal(200_000)) < Decimal(200_000) / most_leverage, "it may be opened at all"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{}",
        b'[{"symbol": "X"}]',
        b'[{"symbol": "X", "brackets": []}]',
        b'[{"symbol": "X", "brackets": [{"notionalFloor": 5, "maintMarginRatio": 0.1}]}]',
        b'[{"symbol": "X", "brackets": [{"notionalFloor": 0, "maintMarginRatio": 1.5}]}]',
        b'[{"symbol": "X", "brackets": [{"notionalFloor": 0, "maintMarginRatio": "many"}]}]',
    ],
)
def test_an_answer_that_cannot_be_is_refused(answer: bytes) -> None:
    with pytest.raises(ConfigError):
        read_brackets(answer)

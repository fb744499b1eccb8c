"""Whatever happens to it, the perpetual account agrees to the last digit with two ledgers kept in other ways."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from maestro_engine.trading.account.margin import BTCUSDT_BRACKETS, MarginTable
from maestro_engine.trading.account.perpetual import PerpetualAccount
from maestro_engine.trading.venue.events import Fill, Liquidity
from maestro_engine.trading.venue.orders import Side
from maestro_protocol.errors import ConfigError, DataError

TABLES = {"BTCUSDT": MarginTable(BTCUSDT_BRACKETS)}
START = Decimal(10_000)
LOT = Decimal("0.001")


def fill(side: Side, lots: int, price: Decimal, fee: Decimal = Decimal(0), at: int = 0) -> Fill:
    return Fill("o", f"f{at}", "BTCUSDT", side, lots * LOT, price, fee, Liquidity.TAKER, at)


def account() -> PerpetualAccount:
    return PerpetualAccount(START, Decimal(10), TABLES)


class AccountAgainstTwoLedgers(RuleBasedStateMachine):
    """Ledger one: every unit ever traded in a list, matched first in, first out. Ledger two: money in, money out."""

    def __init__(self) -> None:
        super().__init__()
        self.account = account()
        self.units: list[tuple[int, Decimal]] = []
        self.realised = Decimal(0)
        self.fees = Decimal(0)
        self.funding = Decimal(0)
        self.flow = START
        self.position = Decimal(0)
        self.mark = Decimal(0)
        self.round_trips = Decimal(0)
        self.count = 0

    @rule(
        side=st.sampled_from(Side),
        lots=st.integers(1, 12),
        price=st.decimals("0.00000001", "99999.99999999", places=8),
        fee=st.decimals("-5", "5", places=8),
    )
    def trade(self, side: Side, lots: int, price: Decimal, fee: Decimal) -> None:
        self.count += 1
        booked = self.account.fill(fill(side, lots, price, fee, self.count))
        earned = Decimal(0)
        for _ in range(lots):
            if self.units and self.units[0][0] == -side.sign:
                direction, paid = self.units.pop(0)
                earned += (price - paid) * direction * LOT
            else:
                self.units.append((side.sign, price))
        assert booked.realised == earned
        self.round_trips += booked.round_trip or 0
        self.realised += earned
        self.fees += fee
        self.flow -= side.sign * lots * LOT * price + fee
        before = self.position
        self.position += side.sign * lots * LOT
        if before * self.position <= 0:  # a new position knows no price but its own
            self.mark = price

    @precondition(lambda self: self.count)
    @rule(price=st.decimals("0.00000001", "99999.99999999", places=8))
    def move_mark(self, price: Decimal) -> None:
        self.account.mark("BTCUSDT", price)
        self.mark = price

    @precondition(lambda self: self.count)
    @rule(rate=st.decimals("-0.0075", "0.0075", places=6))
    def fund(self, rate: Decimal) -> None:
        got = self.account.pay_funding("BTCUSDT", rate, self.mark)
        due = -self.position * self.mark * rate
        assert due - Decimal("0.00000001") < got <= due
        self.funding += got
        self.flow += got

    @rule()
    def restart(self) -> None:
        saved = json.loads(json.dumps(self.account.to_dict()))
        self.account = PerpetualAccount.from_dict(saved, TABLES)
        assert self.account.to_dict() == saved

    @invariant()
    def agrees(self) -> None:
        mine = self.account
        assert mine.position("BTCUSDT") == self.position == sum(lot.qty for lot in mine.lots("BTCUSDT"))
        assert [lot.qty > 0 for lot in mine.lots("BTCUSDT")] == [self.position > 0] * len(mine.lots("BTCUSDT"))
        assert (mine.realised, mine.fees, mine.funding) == (self.realised, self.fees, self.funding)
        assert mine.cash == START + self.realised - self.fees + self.funding
        assert mine.equity == mine.cash + mine.unrealised == self.flow + self.position * self.mark
        assert mine.net_pnl == mine.equity - START
        units = [(unit > 0, paid) for unit, paid in self.units]
        held = [(lot.qty > 0, lot.price) for lot in mine.lots("BTCUSDT") for _ in range(int(abs(lot.qty) / LOT))]
        assert held == units

    @invariant()
    def finished_trades_add_up_when_flat(self) -> None:
        if not self.position:
            late = self.account.net_pnl - self.round_trips
            assert late == 0


TestAccountAgainstTwoLedgers = AccountAgainstTwoLedgers.TestCase


@given(
    long=st.booleans(),
    lots=st.integers(1, 5_000),
    entry=st.decimals("1000", "90000", places=1),
    move=st.decimals("-0.2", "0.2", places=4),
)
def test_liquidation_takes_the_isolated_wallet_and_nothing_more(
    long: bool, lots: int, entry: Decimal, move: Decimal
) -> None:
    mine = PerpetualAccount(Decimal(10_000_000), Decimal(10), TABLES)
    side = Side.BUY if long else Side.SELL
    mine.fill(fill(side, lots, entry))
    trigger = mine.liquidation_price("BTCUSDT")
    assert trigger is not None
    mark = round(entry * (1 + move), 1)
    mine.mark("BTCUSDT", mark)
    taken = mine.liquidation("BTCUSDT", at=1)
    assert (taken is not None) == (mark <= trigger if long else mark >= trigger)
    if taken is not None:
        wallet = mine.initial_margin("BTCUSDT")
        mine.fill(taken)
        assert mine.position("BTCUSDT") == 0
        assert abs(mine.net_pnl + wallet) <= lots * LOT * Decimal("0.00000001")


def test_a_digit_that_cannot_be_kept_stops_the_program_instead_of_being_lost() -> None:
    mine = account()
    with pytest.raises(ArithmeticError):
        mine.fill(fill(Side.BUY, 1, Decimal(f"1.{1:070}")))


def test_refuses_what_makes_no_sense() -> None:
    with pytest.raises(ConfigError, match="starting cash"):
        PerpetualAccount(Decimal(0), Decimal(1), TABLES)
    with pytest.raises(ConfigError, match="no margin brackets for ETHUSDT"):
        account().fill(Fill("o", "f", "ETHUSDT", Side.BUY, LOT, LOT, LOT, Liquidity.MAKER, 0))
    with pytest.raises(DataError, match="is no price"):
        account().mark("BTCUSDT", Decimal("NaN"))
    with pytest.raises(DataError, match="version 99"):
        PerpetualAccount.from_dict({**account().to_dict(), "version": 99}, TABLES)
    with pytest.raises(DataError, match="saved account cannot be read"):
        PerpetualAccount.from_dict({**account().to_dict(), "fees": "much"}, TABLES)

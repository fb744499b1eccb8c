"""Outcome shares: paid in full, never short, settled at the payout."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from maestro_engine.trading.account.cash import CashAccount
from maestro_engine.trading.venue.events import Fill, Liquidity, OrderSubmitted
from maestro_engine.trading.venue.lifecycle import submitted
from maestro_engine.trading.venue.orders import Order, OrderType, Side
from maestro_protocol.errors import DataError

START = Decimal(1_000)
TOKENS = st.sampled_from(["YES", "NO"])
PRICES = st.decimals("0.01", "0.99", places=2)


class SharesAgainstMoneyInMoneyOut(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.account = CashAccount(START)
        self.held = {"YES": Decimal(0), "NO": Decimal(0)}
        self.marks = {"YES": Decimal(0), "NO": Decimal(0)}
        self.cash = START

    @rule(
        token=TOKENS, side=st.sampled_from(Side), qty=st.integers(1, 900), price=PRICES, fee=st.just(Decimal("0.07"))
    )
    def trade(self, token: str, side: Side, qty: int, price: Decimal, fee: Decimal) -> None:
        fill = Fill("o", "f", token, side, Decimal(qty), price, fee, Liquidity.TAKER, 0)
        after = self.cash - side.sign * qty * price - fee
        if (side is Side.BUY and after < 0) or (side is Side.SELL and qty > self.held[token]):
            before = self.account.to_dict()
            with pytest.raises(DataError):
                self.account.fill(fill)
            assert self.account.to_dict() == before
            return
        self.account.fill(fill)
        self.cash = after
        self.marks[token] = self.marks[token] if self.held[token] else price
        self.held[token] += side.sign * qty

    @rule(token=TOKENS, price=PRICES)
    def mark(self, token: str, price: Decimal) -> None:
        self.account.mark(token, price)
        self.marks[token] = price if self.held[token] else self.marks[token]

    @rule(token=TOKENS, payout=st.sampled_from([Decimal(0), Decimal("0.5"), Decimal(1)]))
    def resolve(self, token: str, payout: Decimal) -> None:
        self.account.settle(token, payout, 0)
        self.cash += self.held[token] * payout
        self.held[token] = Decimal(0)

    @rule()
    def restart(self) -> None:
        self.account = CashAccount.from_dict(json.loads(json.dumps(self.account.to_dict())))

    @invariant()
    def agrees(self) -> None:
        assert {t: self.account.position(t) for t in self.held} == self.held
        assert self.account.cash == self.cash >= 0
        assert self.account.equity == self.cash + sum(q * self.marks[t] for t, q in self.held.items())
        assert self.account.net_pnl == self.account.equity - START

    @invariant()
    def nothing_is_unrealised_when_nothing_is_held(self) -> None:
        if not any(self.held.values()):
            assert self.account.net_pnl == self.account.realised - self.account.fees


TestSharesAgainstMoneyInMoneyOut = SharesAgainstMoneyInMoneyOut.TestCase


def test_what_works_already_is_promised() -> None:
    mine = CashAccount(START)
    mine.fill(Fill("o", "f", "YES", Side.BUY, Decimal(10), Decimal("0.5"), Decimal(0), Liquidity.MAKER, 0))
    half, fee = Decimal("0.5"), Decimal(1)

    def order(name: str, side: Side, qty: int, token: str = "YES") -> Order:
        return Order(name, token, side, OrderType.LIMIT, Decimal(qty), half)

    working = [submitted(OrderSubmitted(order("w", side, qty), 0)) for side, qty in ((Side.SELL, 4), (Side.BUY, 990))]
    assert mine.affords(order("a", Side.SELL, 6), half, fee, working)
    assert not mine.affords(order("a", Side.SELL, 7), half, fee, working)
    assert not mine.affords(order("a", Side.SELL, 1, "NO"), half, fee, working)
    assert mine.affords(order("a", Side.BUY, 998), half, fee, working)
    assert not mine.affords(order("a", Side.BUY, 999), half, fee, working)

"""What may be sent, what is kept back and why, and that a restored desk goes on as if nothing had been."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_engine.exits.rules import StopMoves
from maestro_engine.feeds.port import BookTicker, Kline
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.trading.candles import CandleBook
from maestro_engine.session.trading.desk import Desk
from maestro_engine.session.trading.holding import follow
from maestro_engine.session.trading.trades import order_id
from maestro_engine.trading.account.margin import BTCUSDT_BRACKETS, MarginTable
from maestro_engine.trading.account.perpetual import PerpetualAccount
from maestro_engine.trading.risk.guard import RiskGuard
from maestro_engine.trading.risk.killswitch import KillSource
from maestro_engine.trading.risk.limits import RiskLimits
from maestro_engine.trading.venue.orders import Instrument, Purpose, Side
from maestro_protocol.config import Costs
from maestro_protocol.errors import DataError

D = Decimal
DAY = 20_000 * 86_400_000
TABLES = {"BTCUSDT": MarginTable(BTCUSDT_BRACKETS)}


class Floor:
    """A desk, a market of one quote, and a clock that is moved by hand."""

    def __init__(self, cash: str = "10000", price: float = 60_000.0, **over: object) -> None:
        self.config = SessionConfig(**{"leverage": D(10), **over})
        self.now = DAY
        self.said: list[tuple[str, dict]] = []
        self.desk = self.make(
            PerpetualAccount(D(cash), self.config.leverage, TABLES), RiskGuard(RiskLimits(), D(cash), DAY)
        )
        self.candles = CandleBook("BTCUSDT", 60_000, 300)
        self.quote(price)

    def make(self, account: PerpetualAccount, guard: RiskGuard) -> Desk:
        grid = Instrument("BTCUSDT", D("0.1"), D("0.001"), D("0.001"), D(1_000), D(5))
        return Desk("run", self.config, grid, account, guard, self.say)

    def say(self, record, now: int) -> None:
        fields = {name: getattr(record, name) for name in record.__struct_fields__}
        self.said.append((type(record).__name__, fields))

    def quote(self, price: float, qty: float = 50.0, after_ms: int = 0) -> None:
        self.now += after_ms
        ticker = BookTicker("BTCUSDT", self.now, self.now * 10**6, None, price - 0.1, qty, price + 0.1, qty)
        self.desk.tick(ticker, self.now)
        self.desk.mark(D(repr(price)), self.now)

    def wait(self, ms: int = 200) -> None:
        for _ in range(ms // 20):
            self.now += 20
            self.desk.poll(self.now)

    def enter(
        self,
        qty: str = "0.02",
        stop: float = 59_900,
        target: float = 61_000,
        side: Side = Side.BUY,
        moves: StopMoves = StopMoves(),  # noqa: B008 - frozen
    ) -> bool:
        bar_ms = self.now if moves.any else None
        return self.desk.enter(side, D(qty), D(repr(stop)), D(repr(target)), self.now, bar_ms, moves)

    def candle(self, high: float, low: float) -> None:
        """A candle has closed: the stop follows it."""
        self.candles.add(
            Kline("BTCUSDT", self.now, 0, "1m", self.now, self.now, low, high, low, high, 1.0, None, None, None, True)
        )
        follow(self.desk, self.candles, self.now)

    def rejected(self) -> list[str]:
        return [fields["reason"] for name, fields in self.said if name == "OrderRejected"]

    def exits(self) -> list[str]:
        return [fields["reason"] for name, fields in self.said if name == "ExecutionExit"]


def test_entry_stop_and_target_are_one_trade():
    floor = Floor()
    assert floor.enter()
    floor.wait()
    assert floor.desk.position == D("0.02")
    assert [s.order.client_order_id for s in floor.desk.working] == ["run-1s", "run-1t"]
    sent = [(fields["client_order_id"], fields["purpose"]) for name, fields in floor.said if name == "OrderSubmitted"]
    assert sent == [("run-1e", "entry"), ("run-1s", "stop"), ("run-1t", "target")]
    floor.quote(59_890.0, after_ms=1_000)
    floor.wait()
    assert floor.exits() == ["stop"]
    assert floor.desk.flat
    assert floor.desk.trade is None


def test_a_target_is_made_at_its_price():
    floor = Floor()
    floor.enter(target=60_500)
    floor.wait()
    floor.quote(60_510.0, after_ms=1_000)
    floor.wait()
    assert floor.exits() == ["target"]
    assert floor.desk.account.realised == D("0.02") * (D("60500.0") - D("60000.1"))


def test_the_kill_switch_blocks_entries_and_never_the_way_out():
    floor = Floor()
    floor.enter()
    floor.wait()
    floor.desk.guard.on_kill_sources({KillSource.FILE: True}, floor.now)
    floor.desk.leave("timeout", floor.now)
    floor.wait()
    assert floor.desk.flat
    assert floor.exits() == ["timeout"]
    assert not floor.enter()
    assert floor.rejected() == ["kill_switch"]
    assert floor.desk.counts.orders == 4


@pytest.mark.parametrize(
    ("asked", "limit"),
    [
        ({"qty": "3.4", "stop": 59_995}, "max_position_usd"),
        ({"qty": "0.2"}, "max_loss_per_trade_usd"),
        ({"qty": "0.6"}, "daily_loss"),
        ({"qty": "0.001", "stop": 59_000, "target": 60_500}, "min_reward_risk"),
    ],
)
def test_hard_limits_keep_an_entry_back(asked, limit):
    floor = Floor(cash="1000000", costs=Costs(maker_bps=0, taker_bps=0, slippage_bps=0))
    floor.desk.guard.limits = RiskLimits(max_loss_per_trade_usd=D(18))
    assert not floor.enter(**asked)
    assert floor.rejected() == [limit]
    assert floor.desk.flat


def test_margin_is_checked_before_an_order_is_sent():
    floor = Floor(cash="100")
    assert not floor.enter(qty="0.02")
    assert floor.rejected() == ["margin"]
    assert floor.desk.counts.orders == 0, "nothing was sent"


def test_orders_a_minute_are_limited_for_entries_only():
    floor = Floor(cash="1000000")
    for _ in range(4):
        floor.enter(qty="0.001")
        floor.wait()
        floor.desk.cancel_all(floor.now)
        floor.wait()
        floor.desk.leave("timeout", floor.now)
        floor.wait()
        assert floor.desk.flat
    assert "max_orders_per_minute" in floor.rejected()
    floor.quote(60_000.0, after_ms=61_000)
    assert floor.enter(qty="0.001")


STEPS = st.lists(
    st.sampled_from(["enter", "enter", "leave", "cancel", "up", "down"]) | st.sampled_from([20, 200, 5_000, 30_000]),
    max_size=60,
)


@settings(max_examples=150)
@given(steps=STEPS, qty=st.sampled_from(["0.001", "0.01"]))
def test_never_more_than_ten_orders_in_any_minute_whatever_is_tried(steps, qty):
    floor, sent, price = Floor(cash="1000000"), [], 60_000.0
    heard = floor.say

    def say(record, now):
        heard(record, now)
        if type(record).__name__ == "OrderSubmitted":
            sent.append(now)

    floor.desk._say = say
    for step in steps:
        if isinstance(step, int):
            floor.wait(step)
        elif step == "enter" and floor.desk.flat and not floor.desk.busy:
            floor.enter(qty=qty, stop=price - 100, target=price + 1_000)
        elif step == "leave":
            floor.desk.leave("timeout", floor.now)
        elif step == "cancel":
            floor.desk.cancel_all(floor.now)
        elif step in ("up", "down"):
            price += 150 if step == "up" else -150
            floor.quote(price)
    for at in sent:
        assert len([other for other in sent if at <= other < at + 60_000]) <= 10


def test_a_position_whose_stop_the_venue_refuses_is_left_at_once():
    floor = Floor()
    floor.desk.exchange.instrument = Instrument(
        "BTCUSDT", D("0.1"), D("0.001"), D("0.001"), D(1_000), D(5), min_price=D(59_950)
    )
    floor.enter()
    floor.wait()
    floor.quote(60_000.0, after_ms=100)
    floor.wait(400)
    assert "venue" in floor.rejected()
    assert floor.exits() == ["unprotected"]
    assert floor.desk.flat


def test_leaving_twice_sends_one_order():
    floor = Floor()
    floor.enter()
    floor.wait()
    floor.desk.leave("timeout", floor.now)
    floor.desk.leave("timeout", floor.now)
    floor.wait()
    assert floor.desk.flat
    assert floor.desk.counts.orders == 4


def test_a_margin_that_is_gone_is_a_liquidation():
    floor = Floor(cash="150")
    assert floor.enter(qty="0.001", stop=59_000, target=66_000)
    floor.wait()
    floor.desk.cancel_all(floor.now)
    floor.wait()
    floor.quote(54_100.0, after_ms=1_000)
    assert floor.exits() == ["liquidation"]
    assert floor.desk.position == floor.desk.exchange.net == 0


def unwritten(plain: dict) -> dict:
    """A desk's state as 0.1.0 saved it: an order's id alone says what it is for."""
    for state in plain["tracker"]["states"]:
        assert state["order"].pop("purpose")
    for resting in plain["exchange"]["orders"]:
        assert resting["order"].pop("purpose")
    return plain


@pytest.mark.parametrize(("price", "reason"), [(59_890.0, "stop"), (61_010.0, "target"), (60_000.0, "timeout")])
def test_a_state_of_the_first_release_is_gone_on_with(price, reason):
    floor = Floor()
    floor.enter()
    floor.wait()
    plain = unwritten(json.loads(json.dumps(floor.desk.to_dict())))
    desk = floor.make(PerpetualAccount.from_dict(plain["account"], TABLES), floor.desk.guard)
    desk.restore(plain)
    desk.quote, desk.price, floor.desk = floor.desk.quote, floor.desk.price, desk
    if reason == "timeout":
        floor.desk.leave("timeout", floor.now)
        floor.desk.leave("timeout", floor.now)
        assert [s.order.client_order_id for s in floor.desk.working] == ["run-1s", "run-1t", "run-1x"]
    floor.quote(price, after_ms=1_000)
    floor.wait()
    assert floor.exits() == [reason]
    assert floor.desk.flat


def test_no_two_orders_of_a_run_have_one_id():
    """The second exit of the first trade was once called like the first exit of the twelfth, and then never sent."""
    first = [Purpose.ENTRY, Purpose.STOP, Purpose.TARGET, Purpose.EXIT]
    ids = [order_id("run", n, what, count) for n in range(1, 30) for what in first for count in range(1, 30)]
    assert len(ids) == len(set(ids))
    assert order_id("run", 7, Purpose.BREAK_EVEN, 3) == order_id("run", 7, Purpose.STOP, 3) == "run-7s3"
    assert [order_id("run", 7, what)[-1] for what in first] == ["e", "s", "t", "x"]
    assert all(Purpose.read(None, order_id("run", 7, what)) is what for what in first)


def test_a_trailing_stop_moves_at_a_candles_close_and_no_position_is_without_one():
    floor = Floor()
    floor.enter(moves=StopMoves(trail=100.0))
    floor.wait()
    floor.quote(60_290.0, after_ms=1_000)
    floor.candle(60_300.0, 60_000.0)
    assert [s.order.client_order_id for s in floor.desk.working] == ["run-1s", "run-1t", "run-1s2"]
    floor.wait(20)
    assert not floor.desk.unprotected
    floor.wait()
    assert {s.order.client_order_id: s.order.price for s in floor.desk.working} == {
        "run-1t": D(61_000),
        "run-1s2": 60_200,
    }
    floor.now += 60_000
    floor.candle(60_250.0, 60_210.0)
    floor.wait()
    assert [s.order.client_order_id for s in floor.desk.working] == ["run-1t", "run-1s2"], "nothing to move"
    floor.quote(60_199.0, after_ms=1_000)
    floor.wait()
    assert floor.exits() == ["trailing_stop"]
    assert floor.desk.flat


def test_break_even_comes_once_the_gain_is_there():
    floor = Floor()
    floor.enter(moves=StopMoves(even_after=150.0, even=1.001))
    floor.wait()
    floor.candle(60_140.0, 60_000.0)
    floor.wait()
    assert [s.order.client_order_id for s in floor.desk.working] == ["run-1s", "run-1t"]
    floor.quote(60_160.0, after_ms=60_000)
    floor.candle(60_200.0, 60_150.0)
    floor.wait()
    assert [s.order.price for s in floor.desk.working] == [D(61_000), D("60060.1")]
    floor.quote(60_050.0, after_ms=1_000)
    floor.wait()
    assert floor.exits() == ["break_even"]


def test_a_stop_that_has_begun_to_fill_is_left_alone():
    floor = Floor()
    floor.enter(moves=StopMoves(trail=10.0))
    floor.wait()
    floor.quote(59_890.0, qty=0.005, after_ms=1_000)
    floor.desk.exchange._outbox.clear()
    [stop] = [s for s in floor.desk.working if s.order.client_order_id == "run-1s"]
    floor.desk.tracker._open["run-1s"] = replace(stop, filled=D("0.005"))
    floor.candle(60_300.0, 60_000.0)
    assert [s.order.client_order_id for s in floor.desk.working] == ["run-1s", "run-1t"]


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("quote"), st.integers(59_700, 60_300)),
        st.tuples(st.just("enter"), st.sampled_from([-1, 1])),
        st.tuples(st.just("wait"), st.sampled_from([20, 60, 200])),
        st.tuples(st.just("leave"), st.just(0)),
        st.tuples(st.just("cancel"), st.just(0)),
        st.tuples(st.just("candle"), st.integers(59_700, 60_300)),
    ),
    max_size=40,
)


def move(floor: Floor, what: str, value: int) -> None:
    if what == "quote":
        floor.quote(float(value), qty=0.015, after_ms=500)
    elif what == "wait":
        floor.wait(value)
    elif what == "leave":
        floor.desk.leave("timeout", floor.now)
    elif what == "cancel":
        floor.desk.cancel_all(floor.now)
    elif what == "candle":
        floor.candle(value + 40.0, value - 40.0)
    elif floor.desk.flat:
        side = Side.BUY if value > 0 else Side.SELL
        floor.enter(
            "0.02", 60_000 - value * 200, 60_000 + value * 400, side, StopMoves(150.0, 100.0, 1 + value * 1e-3)
        )


def reborn(floor: Floor) -> None:
    """Save, forget everything, and start from what was saved; the market is told anew."""
    plain = json.loads(json.dumps(floor.desk.to_dict()))
    account = PerpetualAccount.from_dict(plain["account"], TABLES)
    desk = floor.make(account, RiskGuard.from_dict(plain["guard"], RiskLimits()))
    desk.restore(plain)
    desk.exchange.matching.book = floor.desk.exchange.matching.book
    desk.quote, desk.price = floor.desk.quote, floor.desk.price
    floor.desk = desk


@settings(max_examples=120)
@given(MOVES)
def test_a_desk_restored_after_every_move_does_what_one_that_never_was_does(moves):
    plain, restored = Floor(cash="100000"), Floor(cash="100000")
    for what, value in moves:
        move(plain, what, value)
        move(restored, what, value)
        reborn(restored)
        assert restored.said == plain.said
    assert restored.desk.to_dict() == plain.desk.to_dict()
    account = plain.desk.account
    assert account.equity == account.cash + account.unrealised
    assert plain.desk.exchange.net - sum_under_way(plain.desk) == plain.desk.position


def sum_under_way(desk: Desk) -> Decimal:
    """What the venue has executed and the desk has not heard of."""
    return sum((e.signed_qty for _, e in desk.exchange._outbox if type(e).__name__ == "Fill"), D(0))


def test_parts_that_do_not_agree_are_not_started_on():
    floor = Floor()
    floor.enter()
    floor.wait()
    plain = json.loads(json.dumps(floor.desk.to_dict()))
    plain["exchange"]["net"] = "0.05"
    desk = floor.make(PerpetualAccount.from_dict(plain["account"], TABLES), floor.desk.guard)
    with pytest.raises(DataError, match=r"venue holds 0\.05 BTCUSDT, the account 0\.020"):
        desk.restore(plain)

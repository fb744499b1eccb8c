"""Fees, latency, queue and slippage, each against its published formula or a plain count."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.trading.venue.effects.fees import NotionalFees, OutcomeFees
from maestro_engine.trading.venue.effects.latency import ConstantLatency, SampledLatency
from maestro_engine.trading.venue.effects.queue import LogQueue, PowerQueue, QueueModel, RiskAverseQueue
from maestro_engine.trading.venue.effects.slippage import BpsSlippage, DepthSlippage, Touch
from maestro_engine.trading.venue.events import Liquidity
from maestro_engine.trading.venue.orders import Side
from maestro_protocol.errors import ConfigError

MAKER, TAKER = Liquidity.MAKER, Liquidity.TAKER
UNITS = st.integers(0, 10_000).map(Decimal)


def test_fee_of_notional_is_never_rounded_in_our_favour() -> None:
    fees = NotionalFees(Decimal("-0.0001"), Decimal("0.0005"))
    assert fees.fee(Decimal("0.001"), Decimal("60759.59"), TAKER) == Decimal("0.03037980")
    assert fees.fee(Decimal("0.001"), Decimal("60759.59"), MAKER) == Decimal("-0.00607595")


@pytest.mark.parametrize(("price", "bps"), [("0.50", 350), ("0.10", 630), ("0.90", 70)])
def test_outcome_fee_is_the_published_share_of_notional(price: str, bps: int) -> None:
    """rate 0.07 on p * (1 - p): at 0.50 it is 3.5 % of the notional, falling towards the edges."""
    p = Decimal(price)
    fee = OutcomeFees(Decimal("0.07")).fee(Decimal(100), p, TAKER)
    assert fee == 100 * p * bps / 10_000
    assert OutcomeFees(Decimal("0.07")).fee(Decimal(100), p, MAKER) == 0


def test_outcome_fee_has_a_smallest_unit_and_refuses_unknown_exponents() -> None:
    assert OutcomeFees(Decimal("0.07")).fee(Decimal("0.001"), Decimal("0.001"), TAKER) == Decimal("0.00001")
    kalshi = OutcomeFees(Decimal("0.07"), Decimal("0.0175"), Decimal("0.0001"))
    assert kalshi.fee(Decimal(3), Decimal("0.33"), TAKER) == Decimal("0.0465")
    with pytest.raises(ConfigError, match="exponent 2"):
        OutcomeFees(Decimal("0.07"), exponent=2)


def test_latency_is_constant_or_one_of_what_was_measured() -> None:
    rng = np.random.default_rng(1)
    fixed = ConstantLatency(75, 10, 5)
    assert (fixed.feed_ms(rng), fixed.entry_ms(rng), fixed.response_ms(rng)) == (75, 10, 5)
    sampled = SampledLatency((70, 80), (9, 9, 11, 400), (5,))
    drawn = [sampled.entry_ms(rng) for _ in range(4_000)]
    assert set(drawn) == {9, 11, 400}
    assert 0.45 < drawn.count(9) / len(drawn) < 0.55
    assert {sampled.feed_ms(rng) for _ in range(50)} == {70, 80}
    assert sampled.response_ms(rng) == 5


def test_risk_averse_queue_moves_only_when_the_level_is_smaller_than_the_front() -> None:
    queue = RiskAverseQueue()
    assert queue.front(Decimal(40), Decimal(100), Decimal(60), Decimal(0)) == 40
    assert queue.front(Decimal(40), Decimal(100), Decimal(30), Decimal(0)) == 30


@pytest.mark.parametrize(
    ("queue", "f"), [(PowerQueue(3.0), lambda x: x**3.0), (PowerQueue(1.0), float), (LogQueue(), math.log1p)]
)
@given(front=UNITS, back=UNITS, left=UNITS, traded=UNITS)
def test_probable_queue_is_the_published_formula(
    queue: QueueModel, f: object, front: Decimal, back: Decimal, left: Decimal, traded: Decimal
) -> None:
    assert callable(f)
    before = front + back
    after = max(before - left, Decimal(0))
    got = float(queue.front(front, before, after, traded))
    change = float(before - after - traded)
    if change <= 0:
        assert got == min(front, after)
        return
    total = f(float(back)) + f(float(front))
    prob = f(float(back)) / total if total else 1.0
    estimate = float(front) - (1 - prob) * change + min(float(back) - prob * change, 0.0)
    assert got == pytest.approx(min(estimate, float(after)), abs=1e-6)
    assert got <= front


@pytest.mark.parametrize("queue", [RiskAverseQueue(), PowerQueue(2.0), LogQueue()])
@given(front=UNITS, back=UNITS, more=UNITS)
def test_a_growing_level_never_moves_us(queue: QueueModel, front: Decimal, back: Decimal, more: Decimal) -> None:
    before = front + back
    assert queue.front(front, before, before + more, Decimal(0)) == front


def test_slippage_in_basis_points_is_against_the_taker() -> None:
    slip, touch = BpsSlippage(Decimal(2)), Touch(Decimal(50_000))
    assert slip.price(Side.BUY, Decimal(1), touch) == 50_010
    assert slip.price(Side.SELL, Decimal(1), touch) == 49_990


@given(qty=st.integers(1, 500), depth=st.integers(1, 40), gap=st.integers(1, 9), side=st.sampled_from(Side))
def test_depth_slippage_is_the_average_of_a_walk(qty: int, depth: int, gap: int, side: Side) -> None:
    start, paid = Decimal(100_000), Decimal(0)
    for unit in range(qty):
        paid += start + side.sign * gap * (unit // depth + 1)
    touch = Touch(start, Decimal(gap), Decimal(depth))
    got = DepthSlippage(BpsSlippage(Decimal(0))).price(side, Decimal(qty), touch)
    assert abs(got - paid / qty) <= Decimal("0.00000001")
    assert (got - paid / qty) * side.sign >= 0


def test_depth_slippage_without_depth_falls_back() -> None:
    slip = DepthSlippage(BpsSlippage(Decimal(10)))
    assert slip.price(Side.BUY, Decimal(5), Touch(Decimal(1_000))) == 1_001

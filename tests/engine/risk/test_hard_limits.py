"""No configuration makes a limit looser, unknown or absent."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.trading.risk import limits as hard
from maestro_engine.trading.risk.limits import RiskLimits
from maestro_protocol.errors import ConfigError, UnknownKey

NAMES = [field.name for field in fields(RiskLimits)]
DEFAULTS = RiskLimits()


def test_the_constants_are_what_was_decided() -> None:
    assert (hard.MAX_POSITION_USD, hard.MAX_DAILY_LOSS_USD) == (200_000, 50)
    assert (Decimal("0.05"), 20) == (hard.MAX_DAILY_LOSS_FRACTION, hard.MAX_LEVERAGE)
    assert (hard.MAX_ORDERS_PER_MINUTE, hard.MAX_ERRORS, hard.MIN_REWARD_RISK) == (10, 20, 1)
    assert (hard.MAX_LOSING_STREAK, hard.MAX_DEPENDENCY_FAILURES) == (5, 3)
    assert hard.MIN_DEPENDENCY_RESET_MS == 60_000


@pytest.mark.parametrize("name", NAMES)
def test_every_limit_starts_at_its_constant_and_names_it_when_loosened(name: str) -> None:
    constant = getattr(hard, name.upper())
    assert getattr(DEFAULTS, name) == constant
    looser = constant - 1 if name.startswith("min_") else constant + 1
    for build in (lambda: RiskLimits.of({name: looser}), lambda: RiskLimits(**{name: looser})):
        with pytest.raises(ConfigError, match=rf"{name} = .* the hard limit {name.upper()} = {constant}"):
            build()


@pytest.mark.parametrize("name", NAMES)
@given(
    value=st.floats() | st.integers() | st.decimals(allow_nan=None) | st.text(max_size=5) | st.none() | st.booleans()
)
def test_whatever_is_asked_for_the_limit_is_as_strict_or_refused(name: str, value: object) -> None:
    try:
        limits = RiskLimits.of({name: value})
    except ConfigError:
        return
    got, constant = getattr(limits, name), getattr(hard, name.upper())
    assert got >= constant if name.startswith("min_") else 0 < got <= constant
    assert type(got) is type(constant)


def test_an_unknown_key_is_named_with_its_nearest_neighbour() -> None:
    with pytest.raises(UnknownKey, match=r"'max_postion_usd'; did you mean 'max_position_usd'"):
        RiskLimits.of({"max_postion_usd": 1})


def test_limits_are_frozen() -> None:
    with pytest.raises(AttributeError):
        DEFAULTS.max_leverage = Decimal(125)  # pyright: ignore[reportAttributeAccessIssue]

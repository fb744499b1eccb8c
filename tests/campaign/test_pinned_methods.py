"""What a campaign searches among is pinned in its config: a method that is added later changes nothing of it."""

from __future__ import annotations

import pytest

from maestro_engine import methods
from maestro_engine.api import open_market
from maestro_engine.data.simulators.families import family_bars
from maestro_engine.methods.common import bars
from maestro_engine.methods.method import Method
from maestro_engine.methods.trend_breakout import METHOD
from maestro_protocol.errors import ConfigError, ParameterError, UnknownKey
from maestro_protocol.messages.campaign import DEFAULT_METHODS, ORIGIN_TARGETS, WindowPlan


@pytest.fixture
def added():
    """A method from outside, its parameter called as it likes, registered in this process."""
    specs = (bars("channel_bars", 40, 5, 200, "length of the channel"),)
    method = Method(name="channel_of_mine", about="as trend_breakout", specs=specs, scan=METHOD.scan)
    methods.REGISTRY.register(method.name, method, version="3")
    yield method
    methods.REGISTRY.unregister(method.name)


def test_a_market_offers_the_methods_it_is_given_and_no_others(added):
    market = family_bars("noise", 0.0, 1, 20_000)
    assert added.name in methods.REGISTRY.names()
    assert tuple(open_market(market, WindowPlan(), ORIGIN_TARGETS).runner.methods()) == DEFAULT_METHODS
    runner = open_market(market, WindowPlan(), ORIGIN_TARGETS, methods=(added.name,)).runner
    assert runner.methods() == (added.name,)
    assert runner.space(runner.methods())["channel_bars"].method == added.name


def test_a_method_that_is_gone_is_named_with_the_nearest_known():
    with pytest.raises(UnknownKey, match="channel_of_mine"):
        methods.get("channel_of_mine")
    with pytest.raises(UnknownKey, match="supertrend"):
        methods.space_for(["supertrent"])


def test_what_an_outside_method_is_goes_into_the_versions(added):
    [line] = methods.REGISTRY.from_outside([added.name, "macd_trend"])
    assert line.startswith("maestro.methods:channel_of_mine")
    assert line.endswith(" 3")


def test_a_spec_that_leans_on_a_stranger_is_refused_when_it_is_declared():
    with pytest.raises(ConfigError, match="slow is no parameter of its own"):
        Method(name="x", about="x", specs=(bars("fast", 5, 2, 9, "x", below="slow"),), scan=METHOD.scan)


def test_two_methods_with_a_parameter_of_one_name_are_refused_together(added):
    twin = Method(name="twin", about="x", specs=added.specs, scan=METHOD.scan)
    methods.REGISTRY.register("twin", twin)
    try:
        with pytest.raises(ParameterError, match="channel_bars"):
            methods.space_for([added.name, "twin"])
    finally:
        methods.REGISTRY.unregister("twin")

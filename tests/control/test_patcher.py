"""The patcher alone makes run configs: whoever asks for what, bounds hold, lineage is true, all or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from control_support import ALL, SPACE, owners_rules, run_config, windows
from hypothesis import given
from hypothesis import strategies as st

from maestro.control import patcher
from maestro_protocol.config import RunConfig
from maestro_protocol.errors import ParameterError, StalePatch, UsageError
from maestro_protocol.messages.campaign import DEFAULT_METHODS
from maestro_protocol.messages.plan import Jitter
from maestro_protocol.space import ParameterSpace
from maestro_protocol.values import Change

NAMES = st.sampled_from([*SPACE.names, "no_such_parameter", "leverage"])
WILD = st.one_of(st.booleans(), st.integers(-(10**6), 10**6), st.floats(allow_nan=False, allow_infinity=False))
CHANGES = st.lists(
    st.builds(Change, parameter=NAMES, old=st.none() | WILD, new=WILD), max_size=4, unique_by=lambda c: c.parameter
)


def inside(config: RunConfig, space: ParameterSpace) -> bool:
    return all(space[name].check(value) == value for name, value in config.values().items())


@given(CHANGES)
def test_changes_are_applied_all_or_none_and_never_out_of_bounds(changes: list[Change]) -> None:
    before = run_config()
    try:
        after = patcher.apply_changes(before, changes, SPACE, "seg1-p1", "m000009", "because")
    except UsageError:
        return
    assert inside(after, SPACE)
    assert {change.parameter: change.new for change in after.changes_from_parent} == {
        c.parameter: SPACE[c.parameter].check(c.new) for c in changes
    }
    for name, value in after.values().items():
        wanted = {c.parameter: c.new for c in changes}.get(name, before.values()[name])
        assert value == wanted
    if changes:
        assert (after.run_id, after.parent_run) == ("seg1-p1", "seg1")


def test_a_stale_patch_is_refused_and_so_are_its_companions() -> None:
    before = run_config()
    good = Change(parameter="hard_tp_usd", old=300.0, new=500)
    stale = Change(parameter="atr_stop_mult", old=4.0, new=2.0)
    with pytest.raises(StalePatch, match=r"expects 4.0, the run has 1.5"):
        patcher.apply_changes(before, [good, stale], SPACE, "seg1-p1", "m1", "x")
    with pytest.raises(ParameterError, match="did you mean 'atr_stop_mult'"):
        patcher.apply_changes(before, [Change(parameter="atr_stop_mul", old=1, new=2)], SPACE, "p", "m1", "x")
    with pytest.raises(ParameterError, match="changes nothing"):
        patcher.apply_changes(before, [Change(parameter="atr_stop_mult", new=1.5)], SPACE, "p", "m1", "x")
    with pytest.raises(ParameterError, match="ema_fast"):
        patcher.apply_changes(before, [Change(parameter="ema_fast", new=20)], SPACE, "p", "m1", "x")


def test_a_rule_may_switch_on_what_is_optional_and_who_starts_anew_switches_it_off() -> None:
    rules = owners_rules()[0]
    step = rules.rules[0].change[0].model_copy(update={"parameter": "trail_atr", "step": 2.0, "requires": None})
    rule = rules.rules[0].model_copy(update={"change": (step,)})
    before = run_config()
    assert "trail_atr" not in before.values()
    changes = patcher.suggested(rule, before, SPACE)
    assert changes == (Change(parameter="trail_atr", old=0.0, new=2.0),)
    after = patcher.apply_changes(before, changes, SPACE, "seg1-p1", "m000009", "because")
    assert after.values() == before.values() | {"trail_atr": 2.0}
    anew = patcher.derive(after, "seg2", ("macd_trend",), {}, SPACE, None)
    assert [(c.parameter, c.old, c.new) for c in anew.changes_from_parent] == [("trail_atr", 2.0, 0.0)]
    strayed = patcher.strayed(before, [Jitter(parameter="trail_atr", steps=3)], SPACE, (1, 3))
    assert patcher.for_test(before, "seg1_t1", windows(1)[0], strayed).values() == before.values() | strayed


def test_an_old_value_that_was_not_said_is_the_run_s_and_what_the_run_does_not_have_stays_unknown() -> None:
    before = run_config()
    asked = [
        Change(parameter="atr_stop_mult", new=2.0),
        Change(parameter="atr_stop_mult", old=9.0, new=2.0),
        Change(parameter="ema_fast", new=20),
    ]
    said = patcher.with_old(asked, before)
    assert [change.old for change in said] == [before.values()["atr_stop_mult"], 9.0, None]
    assert [(change.parameter, change.new) for change in said] == [(one.parameter, one.new) for one in asked]


@given(st.dictionaries(NAMES, WILD, max_size=5), st.dictionaries(st.sampled_from(SPACE.names), WILD, max_size=3))
def test_derived_runs_say_all_that_differs_from_their_parent(first: dict[str, Any], then: dict[str, Any]) -> None:
    parent = run_config("root", ("ema_crossover",))
    try:
        child = patcher.derive(parent, "seg1", ("macd_trend",), first, SPACE, "m000002")
        child = patcher.restated(child, child.values() | then, SPACE, "m000003")
    except UsageError:
        return
    assert inside(child, SPACE)
    assert child.parent_run == "root"
    told = {change.parameter: change for change in child.changes_from_parent}
    before = parent.values()
    for name, value in child.values().items():
        if name in told:
            assert (told[name].old, told[name].new) == (before.get(name), value)
            assert told[name].old != value
        else:
            assert before[name] == value


def test_who_restated_a_value_set_it_and_nobody_else() -> None:
    child = patcher.derive(run_config("root"), "seg1", ("macd_trend",), {"hard_tp_usd": 500}, SPACE, "m000002")
    again = patcher.restated(child, child.values() | {"atr_stop_mult": 2.5}, SPACE, "m000003")
    assert {c.parameter: c.because for c in again.changes_from_parent} == {
        "hard_tp_usd": "m000002",
        "atr_stop_mult": "m000003",
    }
    back = patcher.restated(again, again.values() | {"hard_tp_usd": 300.0}, SPACE, "m000004")
    assert [c.parameter for c in back.changes_from_parent] == ["atr_stop_mult"]


@given(
    st.lists(st.builds(Jitter, parameter=st.sampled_from(ALL.names), steps=st.integers(0, 20)), max_size=6),
    st.tuples(st.integers(0, 99), st.integers(1, 500)),
)
def test_jitter_stays_inside_its_bounds_and_its_steps(jitter: list[Jitter], key: tuple[int, int]) -> None:
    template = run_config("seg1", DEFAULT_METHODS)
    stray = patcher.strayed(template, jitter, ALL, key)
    assert stray == patcher.strayed(template, jitter, ALL, key), "the same test strays the same way"
    reach = {item.parameter: max(j.steps for j in jitter if j.parameter == item.parameter) for item in jitter}
    for name, value in stray.items():
        spec = ALL[name]
        assert spec.check(value) == value
        assert abs(float(value) - float(template.values()[name])) <= (reach[name] + 1e-6) * spec.step
        assert value != template.values()[name]
    config = patcher.for_test(template, "seg1_test002", windows(1)[0], stray, "m000007")
    assert {c.parameter: c.new for c in config.changes_from_parent} == stray
    assert inside(config, ALL)


def test_jitter_reaches_both_ends() -> None:
    template = run_config()
    jitter = [Jitter(parameter="atr_stop_mult", steps=2)]
    strays = [patcher.strayed(template, jitter, SPACE, (1, n)) for n in range(200)]
    seen = {stray.get("atr_stop_mult", 1.5) for stray in strays}
    step = SPACE["atr_stop_mult"].step
    assert {round(float(value), 6) for value in seen} == {round(1.5 + k * step, 6) for k in range(-2, 3)}


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 12))
def test_a_schedule_visits_every_window_once_a_lap(seed: int, count: int, segment: int) -> None:
    schedule = patcher.Schedule(seed, segment, windows(count))
    for lap in range(3):
        visited = [schedule.window(lap * count + n) for n in range(1, count + 1)]
        assert sorted(window.index for window, _ in visited) == list(range(count))
        assert {at for _, at in visited} == {lap}


def test_laps_and_segments_have_orders_of_their_own() -> None:
    def order(seed: int, segment: int, lap: int) -> list[int]:
        schedule = patcher.Schedule(seed, segment, windows(20))
        return [schedule.window(lap * 20 + n)[0].index for n in range(1, 21)]

    orders = [order(7, 1, 0), order(7, 1, 1), order(7, 2, 0), order(8, 1, 0)]
    assert len({tuple(one) for one in orders}) == 4


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.booleans())
def test_a_rule_suggests_only_what_can_be_applied(shares: list[float], gate: bool) -> None:
    """From anywhere in the space, also at its edges: what is suggested can be applied, or nothing is suggested."""
    names = ("atr_stop_mult", "hard_tp_usd", "timeout_bars")
    values: dict[str, Any] = {
        name: SPACE[name].clip(SPACE[name].low + share * (SPACE[name].high - SPACE[name].low))
        for name, share in zip(names, shares, strict=True)
    }
    config = run_config(**values, gate_vhf=gate, gate_atrz=gate)
    for rule in owners_rules()[0].rules:
        changes = patcher.suggested(rule, config, SPACE)
        if changes:
            after = patcher.apply_changes(config, changes, SPACE, "seg1-p1", "m1", rule.name)
            assert inside(after, SPACE)
            for step in rule.change:
                moved = float(after.values()[step.parameter]) - float(config.values()[step.parameter])
                assert moved * step.step >= 0
                assert step.requires is None or after.values()[step.requires]


@given(st.lists(st.integers(), min_size=1, max_size=4))
def test_draws_are_even_and_depend_on_their_key_alone(key: list[int]) -> None:
    assert patcher.draw(*key) == patcher.draw(*key)
    assert 0 <= patcher.draw(*key) < 1


def test_draws_fill_the_interval() -> None:
    values = [patcher.draw("key", n) for n in range(2_000)]
    assert abs(sum(values) / 2_000 - 0.5) < 0.03
    assert len(set(values)) == 2_000

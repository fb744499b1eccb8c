"""The search, by its door: variants inside bounds, a race within its budget, estimates that know their noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_agents.search import (
    Chance,
    Observation,
    Race,
    RacePlan,
    SearchSpace,
    Trial,
    Variant,
    estimate_all,
    finalists,
    worth_opening,
)
from maestro_engine import methods as registry

METHODS = ("ema_crossover", "macd_trend", "trend_breakout")
SPECS = registry.space_for(METHODS).specs
SPACE = SearchSpace(SPECS, METHODS)
WINDOWS, DAYS, VOLATILITY = 9, 15.0, 2_000.0


def earned(trial: Trial, edge: float, seed: int = 0) -> Observation:
    """A backtest in a market where a variant earns *edge* a day before costs of 100, by chance of the usual size."""
    common = Chance(seed, "window", trial.window).normal()
    own = Chance(seed, trial.variant, trial.window).normal()
    noise = VOLATILITY / math.sqrt(DAYS) * (0.8 * common + 0.6 * own)
    return Observation(trial.variant, trial.window, edge + noise, 100.0, 1.0, 30, DAYS)


def drawn(count: int, methods: Sequence[str] = METHODS[:1], seed: int = 0) -> list[Variant]:
    chance = Chance(seed, "drawn")
    return list(dict.fromkeys(SPACE.draw(methods, chance) for _ in range(count)))


@given(st.integers(0, 2**63), st.sampled_from(METHODS), st.floats(0.01, 5), st.floats(0, 1))
def test_whatever_is_made_of_a_variant_can_run(seed: int, method: str, width: float, share: float) -> None:
    chance = Chance(seed, "made")
    variant = SPACE.draw((method,), chance)
    other = SPACE.draw((chance.one_of(METHODS),), chance)
    made = [variant, SPACE.neighbour(variant, chance, width, share), SPACE.with_gate(variant, chance)]
    made += [SPACE.joined(variant, other, chance), SPACE.neighbour(made[-1], chance, width, share)]
    for each in made:
        registry.check(each.methods, each.params)
        assert SPACE.variant(each.methods, each.params) == each, "what runs the same is written the same"


@given(st.integers(0, 2**63), st.sampled_from(METHODS))
def test_a_search_begins_with_gates_off_and_inside_what_is_declared(seed: int, method: str) -> None:
    variant = SPACE.draw((method,), Chance(seed, "drawn"))
    values = registry.check(variant.methods, variant.params)
    assert not any(values[name] for name in SPACE.switches)
    for spec in SPACE.free(variant.methods, values):
        slack = spec.step * 2  # a grid's step, and one more where two lengths were put in order
        assert spec.start[0] - slack <= values[spec.name] <= spec.start[1] + slack


def test_amounts_and_lengths_are_drawn_evenly_in_logarithms() -> None:
    lengths = [variant.params.get("breakout_bars", 48) for variant in drawn(2_000, ("trend_breakout",))]
    below = sum(length < math.sqrt(5 * 400) for length in lengths) / len(lengths)
    assert below == pytest.approx(0.5, abs=0.05)


def test_a_gate_that_the_data_cannot_feed_stays_off() -> None:
    space = SearchSpace(SPECS, METHODS, frozenset({"taker_volume"}))
    assert space.switches == ("gate_atrz", "gate_vhf")


def race(tests: int, windows: int, edge: float, plan: RacePlan | None = None) -> list[Observation]:
    course = Race(SPACE, windows, tests, 7, plan)
    seen: list[Observation] = []
    for number in range(len(course.plan.rounds)):
        trials = course.trials(number, seen)
        assert trials == course.trials(number, tuple(seen)), "a function of what was seen"
        seen += [earned(trial, edge) for trial in trials]
    return seen


@pytest.mark.parametrize(("tests", "windows"), [(500, 9), (500, 2), (100, 9), (60, 30), (2_000, 24)])
def test_a_race_stays_within_its_budget_and_runs_nothing_twice(tests: int, windows: int) -> None:
    seen = race(tests, windows, 0.0)
    assert 0.9 * tests <= len(seen) <= tests
    assert len({(o.variant, o.window) for o in seen}) == len(seen)
    assert {o.window for o in seen} <= set(range(windows))


def test_every_method_gets_its_turn_and_gates_and_sets_come_in_later() -> None:
    seen = race(500, 9, 0.0)
    first = [o.variant for o in seen[:100]]
    for method in METHODS:
        assert sum(v.methods == (method,) for v in first) >= 30
    assert not any(name in SPACE.switches for v in first for name in v.params)
    later = [o.variant for o in seen[200:]]
    assert any(len(v.methods) > 1 for v in later)
    assert any(name in SPACE.switches for v in later for name in v.params)


def test_leaders_are_on_every_window_in_the_end() -> None:
    seen = race(500, 9, 200.0)
    course = Race(SPACE, 9, 500, 7)
    assert len(course.ranking(seen)) >= 15
    assert {e.windows for e in course.ranking(seen)} == {9}


def test_the_luck_of_the_best_of_many_is_taken_off() -> None:
    trials = [Trial(variant, window) for variant in drawn(60) for window in (2, 6)]
    found = estimate_all([earned(trial, 100.0, seed=3) for trial in trials])
    raw, shrunk = [e.raw for e in found], [e.net for e in found]
    assert max(raw) - min(raw) > 800
    assert max(shrunk) - min(shrunk) < (max(raw) - min(raw)) / 2


def test_a_good_window_is_no_merit_of_who_was_on_it() -> None:
    """Two groups of equal variants, one on windows that were good for everybody."""
    variants = drawn(40)
    seen = [earned(Trial(v, w), 100.0) for v in variants[:20] for w in (0, 1, 2, 3)]
    seen += [earned(Trial(v, w), 100.0) for v in variants[20:] for w in (0, 1)]
    lucky = [Observation(o.variant, o.window, o.gross + 3_000 * (o.window < 2), *_rest(o)) for o in seen]
    plain, shifted = ({e.variant: e.net for e in estimate_all(each)} for each in (seen, lucky))
    moved = [shifted[v] - plain[v] for v in variants]
    assert max(moved) - min(moved) < 50


def _rest(o: Observation) -> tuple[float, float, int, float]:
    return o.costs, o.exposure, o.trades, o.days


def test_measured_costs_are_subtracted_in_full() -> None:
    cheap, dear = drawn(2)
    seen = [Observation(v, w, 300.0, c, 1.0, 9, DAYS) for v, c in ((cheap, 50.0), (dear, 250.0)) for w in range(3)]
    first, second = estimate_all(seen)
    assert (first.variant, second.variant) == (cheap, dear)
    assert first.net - second.net == pytest.approx(200.0)


def test_a_variant_that_never_traded_is_worth_nothing_and_opens_nothing() -> None:
    seen = [Observation(v, w, 0.0, 0.0, 0.0, 0, DAYS) for v in drawn(3) for w in range(9)]
    assert [(e.net, e.z) for e in estimate_all(seen)] == [(0.0, 0.0)] * 3
    assert finalists(estimate_all(seen), seen, 3) == []


def test_standing_aside_wins_on_noise_and_loses_to_an_edge() -> None:
    aside = dict.fromkeys((0.0, 700.0), 0)
    for edge in aside:
        for seed in range(20):
            trials = [Trial(variant, window) for variant in drawn(30, seed=seed) for window in range(WINDOWS)]
            aside[edge] += not worth_opening(estimate_all([earned(t, edge, seed) for t in trials])[0])
    assert aside[0.0] >= 18
    assert aside[700.0] <= 2


def test_finalists_are_not_the_same_trades() -> None:
    first, twin, other = drawn(3)
    gross = {first: lambda w: 900.0 + 40 * w, twin: lambda w: 899.0 + 40 * w, other: lambda w: 870.0 + 200 * (w % 2)}
    seen = [Observation(v, w, gross[v](w), 100.0, 1.0, 30, DAYS) for v in gross for w in range(WINDOWS)]
    chosen = {e.variant for e in finalists(estimate_all(seen), seen, 3)}
    assert other in chosen
    assert len(chosen & {first, twin}) == 1


def test_chance_is_the_same_everywhere() -> None:
    chance = Chance(7, "round", 3)
    assert [round(chance.uniform(), 12) for _ in range(2)] == [round(x, 12) for x in CHANCE]
    assert all(0 < Chance(seed).uniform() < 1 for seed in range(100))


CHANCE = (0.155049448173, 0.152393100552)

"""The offline rules: always allowed, always the same, and they change their mind with what history says."""

from __future__ import annotations

from typing import Any

import pytest
from agents_support import COST, DATA, METHODS, SPACE, briefing, report
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_agents.answer_validation import problems
from maestro_agents.roles import rules_of
from maestro_agents.roles.search_space import ordered_pairs, owner
from maestro_agents.search import Chance, SearchSpace
from maestro_protocol.messages.plan import (
    Allotment,
    Critique,
    OnePagePlan,
    PlanEvent,
    Proposal,
    RunConfigDraft,
    SegmentPlan,
)
from maestro_protocol.messages.report import Alert, Briefing, Observed, VariationReport, WindowResult
from maestro_protocol.space import ParameterSpec, Value
from maestro_protocol.values import Change, as_mapping, as_params

GOALS = ("explore", "new_methods", "walk_forward", "ensemble")


def answer(question: Briefing) -> Any:
    return rules_of(question.role).offline(question)


def a_value(spec: ParameterSpec) -> st.SearchStrategy[Value]:
    if spec.kind == "bool":
        return st.booleans()
    return st.floats(spec.low, spec.high, allow_nan=False).map(spec.clip)


@st.composite
def a_report(draw: Any, index: int) -> VariationReport:
    methods = draw(st.lists(st.sampled_from(METHODS), min_size=1, max_size=3, unique=True))
    params = {s.name: draw(a_value(s)) for s in SPACE if draw(st.booleans()) and s.name != "quorum"}
    for fast, slow in ordered_pairs(params):
        if params[fast] >= params[slow]:
            params.pop(fast)
    return report(
        f"r{index}",
        methods,
        params,
        fate=draw(st.sampled_from(["finished", "killed", "reverted"])),
        n_trades=draw(st.integers(0, 5_000)),
        expectancy=draw(st.one_of(st.none(), st.floats(-500, 500))),
        hit=draw(st.one_of(st.none(), st.floats(0, 1))),
        payoff=draw(st.one_of(st.none(), st.floats(0, 5))),
        profit_factor=draw(st.one_of(st.none(), st.floats(0, 5))),
    )


@st.composite
def a_situation(draw: Any) -> dict[str, Any]:
    count = draw(st.integers(0, 6))
    segments = draw(st.integers(1, 9))
    return {
        "history": tuple(draw(a_report(i)) for i in range(count)),
        "goal": draw(st.sampled_from(GOALS)),
        "segment": draw(st.integers(1, segments)),
        "segments": segments,
        "tests": draw(st.integers(1, 300)),
        "round_trip_cost_usd": draw(st.floats(0, 400)),
        "data": DATA.model_copy(update={"has_taker_volume": draw(st.booleans())}),
        "methods": (methods := tuple(sorted(draw(st.lists(st.sampled_from(METHODS), min_size=1, unique=True))))),
        "space": tuple(spec for spec in SPACE if owner(spec.name, METHODS) in (None, *methods)),
    }


WINDOWS = (0, 8, 16, 24, 32)


@st.composite
def observations(draw: Any, methods: tuple[str, ...]) -> tuple[Observed, ...]:
    """Variants as the search makes them, each on some of the windows."""
    space = SearchSpace([s for s in SPACE if s.method is None or s.method in methods], methods)
    chance = Chance(draw(st.integers(0, 1_000)), "observed")
    count = draw(st.integers(0, 12))
    drawn = dict.fromkeys(space.draw((chance.one_of(methods),), chance) for _ in range(count))
    return tuple(
        Observed(
            run_id=f"seg1_test{place:03d}",
            methods=variant.methods,
            params=as_params(variant.params),
            results=tuple(
                WindowResult(window, draw(st.floats(-900, 900)), draw(st.floats(0, 400)), chance.uniform(), 9, 15.0)
                for window in WINDOWS[: draw(st.integers(1, len(WINDOWS)))]
            ),
            fate=draw(st.sampled_from(["finished", "finished", "finished", "killed", "reverted"])),
            by_lot=place < 4,
        )
        for place, variant in enumerate(drawn, start=1)
    )


@given(a_situation(), st.data())
@settings(max_examples=40, deadline=None)
def test_a_whole_round_of_answers_is_allowed_and_spends_no_more_than_its_tests(
    situation: dict[str, Any], data: Any
) -> None:
    """Plan, proposal, critique and draft of any situation pass the checks that a model's answers must pass."""
    offered = set(situation["methods"])
    situation["history"] = tuple(r for r in situation["history"] if set(r.methods) <= offered)
    situation |= {"observations": data.draw(observations(situation["methods"])), "windows": WINDOWS, "budget": 500}
    scope = checked(briefing("maestro", "SegmentPlan", **situation))
    assert sum(each.tests for each in scope.allocation) == situation["tests"]
    situation["plan"] = scope
    for number, asked in enumerate(scope.allocation):
        said: dict[str, Any] = {"round": asked, "round_number": number}
        if asked.kind in ("explore", "neighbours", "untried"):
            said["proposal"] = checked(briefing("strategist", "Proposal", **situation, **said))
            said["critique"] = checked(briefing("critic", "Critique", **situation, **said))
        draft = checked(briefing("implementer", "RunConfigDraft", **situation, **said))
        ran_on = {(o.methods, o.params, r.window) for o in situation["observations"] for r in o.results}
        tests = [(v.methods, v.params, window) for v in draft.variants for window in v.windows]
        assert len(set(tests)) == len(tests)
        assert {window for *_, window in tests} <= set(WINDOWS)
        if asked.kind != "walk_forward":
            assert not ran_on & set(tests)
            assert 0 < len(tests) <= asked.tests
    named = checked(briefing("critic", "Nomination", **situation))
    assert len(named.finalists) <= 3
    assert all(nominee.net > 0.75 * nominee.noise for nominee in named.finalists)
    assert (named.best is None) == all(o.fate != "finished" for o in situation["observations"])


def checked(question: Briefing) -> Any:
    """The rules' answer, which must be allowed and the same in any process."""
    said = answer(question)
    assert problems(said, question) == []
    assert answer(Briefing.model_validate_json(question.model_dump_json())) == said
    return said


def ran(run: str, expectancy: float, methods: tuple[str, ...] = ("macd_trend",), **params: Any) -> VariationReport:
    return report(run, methods, {"hard_tp_usd": 400.0, **params}, expectancy=expectancy)


def proposal(**given: Any) -> Proposal:
    return answer(briefing("strategist", "Proposal", **given))


def seen(
    run: str, net: float, windows: int = 5, methods: tuple[str, ...] = ("macd_trend",), **params: Any
) -> Observed:
    """A variant that earned *net* a day on each of so many windows, give or take what chance gives or takes."""
    results = tuple(WindowResult(w, net + 100 + (-1) ** w * 10, 100.0, 0.5, 40, 15.0) for w in WINDOWS[:windows])
    return Observed(run_id=run, methods=("macd_trend",), params=as_params(params), results=results)


def told(*observed: Observed, **more: Any) -> dict[str, Any]:
    return {"observations": observed, "windows": WINDOWS, "budget": 500} | more


def test_the_first_round_gives_every_method_its_turn_with_its_gates_off() -> None:
    first = proposal(**told(round=Allotment(kind="explore", tests=100)))
    assert {method for variation in first.variations for method in variation.methods} == set(METHODS)
    critic = answer(briefing("critic", "Critique", proposal=first, **told()))
    draft = drafted(first, critic, Allotment(kind="explore", tests=100))
    tried = [v.methods for v in draft.variants]
    assert {tried.count((method,)) for method in METHODS} <= {16, 17}
    assert all(len(v.windows) == 2 for v in draft.variants)
    assert not any(name.startswith("gate_") for v in draft.variants for name in as_mapping(v.params))


def drafted(of: Proposal | None, by: Critique | None, asked: Allotment, *observed: Observed) -> RunConfigDraft:
    return answer(briefing("implementer", "RunConfigDraft", proposal=of, critique=by, round=asked, **told(*observed)))


def test_neighbours_are_made_of_what_leads() -> None:
    known = (seen("good", 300, atr_stop_mult=3.0), seen("bad", -300, atr_stop_mult=1.0))
    asked = Allotment(kind="neighbours", tests=30, leaders=8)
    near = proposal(**told(*known, round=asked))
    assert near.variations[0].region is not None
    assert near.variations[0].region.around[0] == "good"


def test_leaders_are_brought_to_all_windows_and_what_ended_is_not() -> None:
    dead = seen("dead", 900, 2, atr_stop_mult=4.0).model_copy(update={"fate": "killed"})
    known = (seen("good", 300, 2, atr_stop_mult=3.0), seen("bad", -300, 2, atr_stop_mult=1.0), dead)
    draft = drafted(None, None, Allotment(kind="promote", tests=4), *known)
    assert [(v.parent, v.windows) for v in draft.variants] == [("good", (16, 24, 32)), ("bad", (16,))]


def test_the_best_that_beats_its_noise_is_named_and_nobody_where_none_does() -> None:
    good, poor = seen("good", 300, atr_stop_mult=3.0), seen("poor", -40, atr_stop_mult=1.0)
    named = answer(briefing("critic", "Nomination", **told(good, poor)))
    assert [nominee.run_id for nominee in named.finalists] == ["good"]
    nobody = answer(briefing("critic", "Nomination", **told(poor)))
    assert (nobody.finalists, nobody.best.run_id) == ((), "poor")
    assert "standing aside" in nobody.reason


def test_the_past_alone_chooses_what_is_walked_forward() -> None:
    """Of lots, by the windows of the first look that came before; what later windows say changes nothing."""
    asked = Allotment(kind="walk_forward", tests=10)
    chosen = [
        {v.parent for v in drafted(None, None, asked, *lots(later), seen("late", 5_000)).variants if 16 in v.windows}
        for later in (1.0, -1.0)
    ]
    assert chosen == [{"r4", "r3", "r2"}] * 2


def lots(later: float) -> list[Observed]:
    """Variants by lot on the two windows of a first look, of which the second says the same or the contrary."""
    return [
        seen(f"r{n}", 0.0, atr_stop_mult=1.0 + n / 2).model_copy(
            update={
                "by_lot": True,
                "results": (WindowResult(8, 10.0 * n, 1, 0.5, 9, 15.0), WindowResult(24, later * n, 1, 0.5, 9, 15.0)),
            }
        )
        for n in range(5)
    ]


def test_a_models_variants_are_left_to_the_search_where_it_names_none() -> None:
    asked = Allotment(kind="explore", tests=20)
    first = proposal(**told(round=asked))
    critic = answer(briefing("critic", "Critique", proposal=first, **told()))
    question = briefing("implementer", "RunConfigDraft", proposal=first, critique=critic, round=asked, **told())
    bare = answer(question).model_copy(update={"variants": ()})
    assert rules_of("implementer").completed(question, bare) == answer(question)
    scope = answer(briefing("maestro", "SegmentPlan"))
    asking = briefing("maestro", "SegmentPlan")
    assert rules_of("maestro").completed(asking, scope.model_copy(update={"allocation": ()})) == scope


def test_gates_that_the_data_cannot_feed_are_never_proposed() -> None:
    poor = DATA.model_copy(update={"has_taker_volume": False})
    history = tuple(ran(f"r{i}", -200 - i, vhf_min=0.3 + 0.05 * i, gate_vhf=True) for i in range(6))
    for goal in GOALS:
        for variation in proposal(history=history, data=poor, goal=goal).variations:
            assert "gate_cvd" not in as_mapping(variation.params)


def critique(*variations: dict[str, Any], **given: Any) -> Critique:
    base = proposal()
    changed = tuple(v.model_copy(update=u) for v, u in zip(base.variations, variations, strict=True))
    return answer(briefing("critic", "Critique", proposal=base.model_copy(update={"variations": changed}), **given))


def named(**values: Any) -> dict[str, Any]:
    return {"methods": ("macd_trend",), "params": as_params(values), "region": None}


def test_the_critic_prefers_what_is_expected_to_earn() -> None:
    history = (
        seen("good", 50, hard_tp_usd=400.0, atr_stop_mult=3.0),
        seen("bad", -300, hard_tp_usd=400.0, atr_stop_mult=1.0),
    )
    chosen = critique(
        named(hard_tp_usd=400.0, atr_stop_mult=1.1),
        named(hard_tp_usd=400.0, atr_stop_mult=3.0),
        named(hard_tp_usd=400.0, atr_stop_mult=2.0),
        **told(*history),
    )
    assert (chosen.chosen, chosen.verdict) == (1, "approved")


def test_the_critic_raises_a_target_that_does_not_pay_its_costs() -> None:
    cheap = named(hard_tp_usd=100.0)
    judged = critique(cheap, cheap | {"name": "b"}, cheap | {"name": "c"})
    assert judged.verdict == "approved_with_changes"
    (change,) = judged.proposed_change
    assert (change.parameter, change.old) == ("hard_tp_usd", 100.0)
    assert float(change.new) >= 3 * COST


def test_the_critic_rejects_what_cannot_run_or_was_killed() -> None:
    dead = report("dead", ("macd_trend",), {"hard_tp_usd": 400.0}, fate="killed")
    again = named(hard_tp_usd=400.0)
    foreign = {"methods": ("moon_phase",), "region": None}
    judged = critique(again, foreign, named(hard_tp_usd=400.0), history=(dead,))
    assert (judged.verdict, judged.chosen, judged.proposed_change) == ("rejected", None, ())


HIT_LOW = Alert(
    rule="hit_low",
    metric="hit",
    value=0.41,
    line=0.48,
    episodes=40,
    evidence="rejected at 5 %",
    change=(Change(parameter="atr_stop_mult", old=1.5, new=1.8),),
)
PAYOFF_LOW = HIT_LOW.model_copy(
    update={
        "rule": "payoff_low",
        "metric": "payoff",
        "value": 1.0,
        "line": 1.1,
        "change": (Change(parameter="hard_tp_usd", old=400, new=600),),
    }
)
RUNNING = ran("seg1", -50, atr_stop_mult=1.5)


def looked(*alerts: Alert, notes: tuple[str, ...] = (), **given: Any) -> PlanEvent:
    question = briefing(
        "critic", "PlanEvent", current=RUNNING, history=(RUNNING,), alerts=alerts, notes=notes, **given
    )
    event = answer(question)
    assert problems(event, question) == []
    return event


def test_the_most_pressing_alert_is_acted_on_one_at_a_time() -> None:
    event = looked(PAYOFF_LOW, HIT_LOW)
    assert (event.action, event.rule) == ("adjust", "hit_low")
    assert as_steps(event) == [("atr_stop_mult", 1.5, 1.8)]


def as_steps(event: PlanEvent) -> list[tuple[str, Any, Any]]:
    return [(c.parameter, c.old, c.new) for c in event.change]


@pytest.mark.parametrize(
    "note",
    [
        "reverted: atr_stop_mult 1.5 -> 1.8 (p = 0.61 on 12 windows)",
        "Patch refused, atr_stop_mult: 1.2 -> 1.5 did nothing",
    ],
)
def test_what_was_just_reverted_is_not_asked_for_again(note: str) -> None:
    assert looked(HIT_LOW, notes=(note,)).action == "keep"
    other = looked(HIT_LOW, PAYOFF_LOW, notes=(note,))
    assert (other.rule, as_steps(other)) == ("payoff_low", [("hard_tp_usd", 400, 600)])


def test_keep_when_nothing_is_convincing() -> None:
    assert looked().action == "keep"
    assert looked(HIT_LOW.model_copy(update={"episodes": 2})).action == "keep"
    assert looked(HIT_LOW.model_copy(update={"value": 0.55})).action == "keep"  # on target after all


def test_a_change_stops_at_its_bound() -> None:
    steep = HIT_LOW.model_copy(update={"change": (Change(parameter="atr_stop_mult", old=1.5, new=9.0),)})
    assert as_steps(looked(steep)) == [("atr_stop_mult", 1.5, 5.0)]


def judged(event: PlanEvent, current: VariationReport = RUNNING, **given: Any) -> PlanEvent:
    question = briefing("strategist", "PlanEvent", current=current, asked=event, **given)
    result = answer(question)
    assert problems(result, question) == []
    return result


def test_the_strategist_agrees_refines_refuses_and_kills() -> None:
    event = looked(HIT_LOW)
    assert judged(event).action == "adjust"
    assert judged(event).rule == "hit_low"
    known = ran("seg0", -90, atr_stop_mult=1.8)
    further = judged(event, history=(RUNNING, known))
    assert (further.reason, as_steps(further)) == ("agreed, refined", [("atr_stop_mult", 1.5, 2.1)])
    notes = ("reverted: atr_stop_mult 1.5 -> 1.8",)
    assert judged(event, notes=notes).action == "keep"
    hopeless = ran("seg1", -400, atr_stop_mult=1.5)
    failed = (*notes, "reverted: hard_tp_usd 400 -> 600")
    assert judged(event, hopeless, notes=failed).action == "kill"
    assert judged(event, hopeless, notes=()).action == "adjust"


def test_what_loses_beyond_its_noise_ends_and_what_earns_does_not() -> None:
    losing = HIT_LOW.model_copy(update={"rule": "losing", "metric": "total_pnl", "value": -9.0, "line": 0.0})
    kill = looked(losing.model_copy(update={"change": ()}))
    assert kill.action == "kill"
    assert judged(kill).action == "kill"
    assert judged(kill, ran("seg1", 30)).action == "keep"


def test_the_page_tells_health_from_history() -> None:
    page = answer(briefing("maestro", "OnePagePlan", segment=2))
    assert isinstance(page, OnePagePlan)
    assert not any(check.ok for check in page.health_checks if check.name == "trades enough to judge")
    history = (ran("a", 150), ran("b", -20, ("ema_crossover",)))
    told = {"segment": 2, "history": history, "notes": ("reverted: x 1 -> 2",)}
    every = briefing("maestro", "OnePagePlan").methods
    healthy = answer(briefing("maestro", "OnePagePlan", **told, tried=every))
    assert all(check.ok for check in healthy.health_checks)
    lacking = answer(briefing("maestro", "OnePagePlan", **told, tried=every[:-1]))
    assert isinstance(lacking, OnePagePlan)
    unticked = [check for check in lacking.health_checks if not check.ok]
    assert [check.name for check in unticked] == ["every method tried"]
    assert unticked[0].detail.endswith(f"not yet: {every[-1]}")
    assert {item.metric for item in healthy.responsible} == {
        t.metric for t in briefing("maestro", "OnePagePlan").targets
    }
    assert "noted: reverted: x 1 -> 2" in healthy.routines


def test_a_plan_names_the_result_it_rests_on() -> None:
    scope = answer(briefing("maestro", "SegmentPlan", **told(seen("seg9", 12))))
    assert isinstance(scope, SegmentPlan)
    assert "seg9" in scope.reason

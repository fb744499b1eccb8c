"""The offline rules: always allowed, always the same, and they change their mind with what history says."""

from __future__ import annotations

from typing import Any

import pytest
from agents_support import COST, DATA, METHODS, SPACE, briefing, plan, report
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_agents.answer_validation import problems
from maestro_agents.roles import rules_of
from maestro_agents.roles.search_space import Field, Idea, ordered_pairs, owner
from maestro_protocol.messages.plan import Critique, OnePagePlan, PlanEvent, Proposal, RunConfigDraft, SegmentPlan
from maestro_protocol.messages.report import Alert, Briefing, VariationReport
from maestro_protocol.space import ParameterSpec, Value
from maestro_protocol.values import Change, as_mapping

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


@given(a_situation())
@settings(max_examples=150)
def test_a_whole_segment_of_answers_is_allowed(situation: dict[str, Any]) -> None:
    """Plan, proposal, critique and draft of any situation pass the checks that a model's answers must pass."""
    offered = set(situation["methods"])
    situation["history"] = tuple(r for r in situation["history"] if set(r.methods) <= offered)
    said: dict[str, Any] = {}
    for role, wants, name in (
        ("maestro", "SegmentPlan", "plan"),
        ("strategist", "Proposal", "proposal"),
        ("critic", "Critique", "critique"),
        ("implementer", "RunConfigDraft", "draft"),
    ):
        question = briefing(role, wants, **situation, **said)
        said[name] = answer(question)
        assert problems(said[name], question) == []
        assert answer(Briefing.model_validate_json(question.model_dump_json())) == said[name]
        if name == "critique":
            said = {key: said[key] for key in ("plan", "proposal", "critique")}
    draft: RunConfigDraft = said["draft"]
    field = Field(briefing("implementer", "RunConfigDraft", **situation))
    assert set(as_mapping(draft.params)) == {spec.name for spec in field.own(draft.methods)}
    if situation["goal"] == "walk_forward":
        assert draft.jitter == ()
    for item in draft.jitter:
        assert field.specs[item.parameter].unit in ("x_atr", "usd", "z", "ratio")


@given(a_situation())
@settings(max_examples=100)
def test_nothing_in_history_is_proposed_again_outside_walk_forward(situation: dict[str, Any]) -> None:
    situation |= {"methods": METHODS, "space": SPACE}
    proposal = answer(briefing("strategist", "Proposal", **situation))
    field = Field(briefing("strategist", "Proposal", **situation))
    known = {Idea(r.methods, {**defaults(field, r), **as_mapping(r.params)}).key for r in situation["history"]}
    keys = [field.proposed(variation).key for variation in proposal.variations]
    assert len(set(keys)) == 3
    if situation["goal"] != "walk_forward":
        assert not known & set(keys)


def defaults(field: Field, of: VariationReport) -> dict[str, Value]:
    return {spec.name: spec.default for spec in field.own(of.methods)}


def ran(run: str, expectancy: float, methods: tuple[str, ...] = ("macd_trend",), **params: Any) -> VariationReport:
    return report(run, methods, {"hard_tp_usd": 400.0, **params}, expectancy=expectancy)


def proposal(**given: Any) -> Proposal:
    return answer(briefing("strategist", "Proposal", **given))


def test_the_search_follows_what_did_better() -> None:
    """The same parameter moves up where higher values earned more, and down where they earned less."""
    up = tuple(ran(f"r{i}", -60 + 20 * i, atr_stop_mult=1.0 + 0.5 * i, timeout_bars=60 + i) for i in range(4))
    down = tuple(ran(f"r{i}", -60 - 20 * i, atr_stop_mult=1.0 + 0.5 * i, timeout_bars=60 + i) for i in range(4))
    higher, lower = (stops(proposal(history=h, plan=plan(("macd_trend",)))) for h in (up, down))
    assert max(higher) > 2.5  # beyond the best so far, on the side where merit rose
    assert min(lower) < 1.0


def stops(of: Proposal) -> list[float]:
    return [float(as_mapping(v.params).get("atr_stop_mult", 1.5)) for v in of.variations]


def test_a_signal_that_only_loses_its_costs_is_given_more_room() -> None:
    near = ran("near", -40)  # earns 80 before costs of 120
    first = proposal(history=(near,), plan=plan(("macd_trend",))).variations[0]
    assert as_mapping(first.params)["hard_tp_usd"] > 400


def test_a_signal_that_loses_before_costs_is_made_choosier() -> None:
    wrong = ran("wrong", -200)
    first = proposal(history=(wrong,), plan=plan(("macd_trend",))).variations[0]
    assert as_mapping(first.params)["gate_vhf"] is True


def test_few_lucky_trades_do_not_lead() -> None:
    lucky = report("lucky", ("ema_crossover",), {}, n_trades=4, expectancy=300.0)
    solid = report("solid", ("macd_trend",), {"hard_tp_usd": 400.0}, n_trades=2_000, expectancy=-10.0)
    led = proposal(history=(lucky, solid), goal="walk_forward")
    assert led.variations[0].methods == ("macd_trend",)


def test_new_methods_are_those_not_used_yet() -> None:
    history = (ran("a", -10), ran("b", -20, ("ema_crossover",)))
    scope = answer(briefing("maestro", "SegmentPlan", goal="new_methods", segment=3, history=history))
    assert scope.methods == ("trend_breakout",)
    assert all(
        "trend_breakout" in v.methods for v in proposal(goal="new_methods", history=history, plan=scope).variations
    )


def test_something_is_left_to_try_for_the_third_segment() -> None:
    scope = answer(briefing("maestro", "SegmentPlan", segment=1, segments=5))
    assert 0 < len(scope.methods) < len(METHODS)
    assert answer(briefing("maestro", "SegmentPlan", segment=1, segments=1)).methods == METHODS


def test_an_ensemble_has_several_methods() -> None:
    history = (ran("a", -10), ran("b", -20, ("ema_crossover",)), ran("c", -300, ("trend_breakout",)))
    scope = answer(briefing("maestro", "SegmentPlan", goal="ensemble", segment=5, history=history))
    assert scope.methods == ("ema_crossover", "macd_trend")
    assert all(len(v.methods) > 1 for v in proposal(goal="ensemble", history=history, plan=scope).variations)


def test_ranges_close_in_on_what_leads() -> None:
    history = (ran("a", -10, atr_stop_mult=3.0),)
    wide, tight = (
        {
            r.parameter: (r.low, r.high)
            for r in answer(briefing("maestro", "SegmentPlan", goal=g, history=history)).ranges
        }
        for g in ("explore", "walk_forward")
    )
    for low, high in (wide["atr_stop_mult"], tight["atr_stop_mult"]):
        assert low <= 3.0 <= high
    assert tight["atr_stop_mult"][1] - tight["atr_stop_mult"][0] < wide["atr_stop_mult"][1] - wide["atr_stop_mult"][0]


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
    from maestro_protocol.values import as_params

    return {"methods": ("macd_trend",), "params": as_params(values)}


def test_the_critic_prefers_the_neighbourhood_that_earned() -> None:
    history = (
        ran("good", 50, atr_stop_mult=3.0),
        ran("bad", -300, atr_stop_mult=1.0),
    )
    chosen = critique(
        named(hard_tp_usd=400.0, atr_stop_mult=1.1),
        named(hard_tp_usd=400.0, atr_stop_mult=2.9),
        named(hard_tp_usd=400.0, atr_stop_mult=2.0),
        history=history,
        goal="walk_forward",
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
    foreign = {"methods": ("moon_phase",)}
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


def test_a_kill_needs_a_loss_and_something_better() -> None:
    kill = looked().model_copy(update={"action": "kill"})
    better = ran("seg0", 20, atr_stop_mult=4.0)
    assert judged(kill, history=(better, RUNNING)).action == "kill"
    assert judged(kill, ran("seg1", 30), history=(better,)).action == "keep"


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
    scope = answer(briefing("maestro", "SegmentPlan", history=(ran("seg9", 12),)))
    assert isinstance(scope, SegmentPlan)
    assert "seg9" in scope.reason

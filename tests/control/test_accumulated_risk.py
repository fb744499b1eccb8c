"""Risk adds up along the lineage: no sequence of patches passes the line of the policy without a person."""

from __future__ import annotations

from typing import Any

from control_support import ALL, owners_rules
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro.control import gatekeeping
from maestro_protocol.messages.rules import GatePolicy, PatchRisk, RiskClass, RiskClasses
from maestro_protocol.space import Value
from maestro_protocol.values import Change

NAMES = ("atr_stop_mult", "hard_tp_usd", "timeout_bars", "vhf_min")
OVER = 0.25


def policy() -> GatePolicy:
    free, asks = RiskClass(needs=0, timeout_minutes=1), RiskClass(needs=1, timeout_minutes=1)
    return GatePolicy(
        version=1,
        classes=RiskClasses(low=free, medium=free, high=asks),
        patches=(
            PatchRisk(parameters=NAMES[:2], over=OVER / 2, risk="medium"),
            PatchRisk(parameters=NAMES[:3], over=OVER, risk="high"),
        ),
        budget="high",
        holdout_again="high",
    )


STEPS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from(NAMES), st.floats(-0.3, 0.3)), min_size=1, max_size=3),
        st.sampled_from(["yes", "no", "revert"]),
    ),
    max_size=25,
)


@settings(max_examples=300)
@given(STEPS)
def test_no_sequence_of_patches_moves_a_parameter_past_the_line_without_a_gate(steps: Any) -> None:
    """Any steps, several to a patch, gates that say yes or no, patches that are reverted: as a segment does it."""
    values: dict[str, Value] = {name: ALL[name].default for name in NAMES}
    approved: dict[str, Value] = dict(values)
    seen_by_a_person: dict[str, Value] = dict(values)
    for patch, fate in steps:
        changes, now = [], dict(values)
        for name, share in patch:
            spec = ALL[name]
            new = spec.clip(float(now[name]) + share * (spec.high - spec.low))
            changes.append(Change(parameter=name, old=now[name], new=new))
            now[name] = new
        risk = gatekeeping.risk_of(changes, approved, ALL, policy())
        if risk == "high" and fate == "no":
            continue
        before, before_approved, before_seen = values, approved, dict(seen_by_a_person)
        if risk == "high":
            approved = gatekeeping.approving(approved, changes)
            seen_by_a_person |= {change.parameter: change.new for change in changes}
        values = now
        for name in NAMES[:3]:
            spec = ALL[name]
            moved = abs(float(values[name]) - float(seen_by_a_person[name]))
            assert moved <= OVER * (spec.high - spec.low) * (1 + 1e-6), (name, values, seen_by_a_person)
        if fate == "revert":
            values, approved, seen_by_a_person = before, before_approved, before_seen


def test_small_steps_are_one_large_one_and_two_steps_of_one_patch_are_as_well() -> None:
    spec = ALL["atr_stop_mult"]
    width = spec.high - spec.low
    approved: dict[str, Value] = {"atr_stop_mult": spec.low}

    def at(share: float) -> Change:
        return Change(parameter="atr_stop_mult", old=None, new=spec.low + share * width)

    risks = [gatekeeping.risk_of([at(share)], approved, ALL, policy()) for share in (0.1, 0.2, 0.25, 0.26)]
    assert risks == ["low", "medium", "medium", "high"]
    assert gatekeeping.risk_of([at(0.2), at(0.3)], approved, ALL, policy()) == "high"
    assert gatekeeping.risk_of([at(0.3), at(0.2)], approved, ALL, policy()) == "high", "there and half way back"
    yes = gatekeeping.approving(approved, [at(0.3)])
    assert gatekeeping.risk_of([at(0.4)], yes, ALL, policy()) == "low"
    assert gatekeeping.risk_of([at(0.0)], yes, ALL, policy()) == "high", "back past what was approved"


def test_approving_one_parameter_approves_no_other() -> None:
    approved = gatekeeping.approving(
        {"atr_stop_mult": 1.5, "hard_tp_usd": 300.0}, [Change(parameter="atr_stop_mult", old=1.5, new=4.0)]
    )
    assert approved == {"atr_stop_mult": 4.0, "hard_tp_usd": 300.0}


def test_the_line_of_the_shipped_policy_leaves_room_for_the_shipped_rules() -> None:
    """Each rule may speak more than once before a person is asked: the default campaign runs unattended."""
    rules, _, gates = owners_rules()
    for rule in rules.rules:
        for step in rule.change:
            spec = ALL[step.parameter]
            for line in gates.patches:
                if step.parameter in line.parameters:
                    assert 2 * abs(step.step) <= line.over * (spec.high - spec.low)

"""Patches: the one way a run becomes another, inside its bounds, on its true old value, with its lineage."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_protocol.config import ParameterChange, Patch, RunConfig, apply_patch
from maestro_protocol.errors import ParameterError, StalePatch, UsageError
from maestro_protocol.space import ParameterSpace, ParameterSpec, Value
from maestro_protocol.values import as_params

RUN = RunConfig.model_validate_json(Path(__file__).with_name("golden").joinpath("RunConfig.json").read_bytes())
STOP = ParameterSpec(
    name="atr_stop_mult", kind="float", default=1.5, low=0.5, high=5.0, step=0.1, unit="x_atr", about=""
)
GATE = ParameterSpec(name="gate_cvd", kind="bool", default=False, unit="switch", about="")
FAST = ParameterSpec(name="fast", kind="int", default=12, low=2, high=100, unit="bars", about="")
SPACE = ParameterSpace(specs=(STOP, GATE, FAST))


def run_with(values: Mapping[str, Value]) -> RunConfig:
    return RUN.model_copy(update={"params": as_params(values)})


def patch(parameter: str, old: Value, new: Value) -> Patch:
    return Patch(parameter=parameter, old_value=old, new_value=new, reason="a test asks")


def test_a_patch_makes_a_new_run_with_its_lineage() -> None:
    child = apply_patch(
        run_with({"fast": 12}), patch("atr_stop_mult", 1.5, 1.8), SPACE, run_id="seg1-p2", because="m000042"
    )
    assert child.values() == {"fast": 12, "atr_stop_mult": 1.8}
    assert (child.run_id, child.parent_run, child.because) == ("seg1-p2", RUN.run_id, "m000042")
    step = ParameterChange(parameter="atr_stop_mult", old=1.5, new=1.8, because="m000042")
    assert child.changes_from_parent == (step,)


@pytest.mark.parametrize(
    "name", ["", "..", "../seg1", "seg1/p2", "Seg1", "seg1 p2", "seg1\n", "s" * 97, "ségment", "-p"]
)
@pytest.mark.parametrize("place", ["run_id", "because"])
def test_what_is_no_id_names_no_run(name: str, place: str) -> None:
    """A run's id becomes a path: nothing that is not checked elsewhere may make it one of somebody's choosing."""
    ids = {"run_id": "seg1-p2", "because": "m000042"} | {place: name}
    with pytest.raises(ParameterError, match="is no id") as refused:
        apply_patch(run_with({}), patch("atr_stop_mult", 1.5, 1.8), SPACE, **ids)
    assert "\n" not in str(refused.value)


@st.composite
def situations(draw: st.DrawFn, specs: st.SearchStrategy[ParameterSpec]) -> tuple[ParameterSpace, RunConfig]:
    space = ParameterSpace(specs=tuple(draw(st.lists(specs, min_size=1, max_size=4, unique_by=lambda s: s.name))))
    given = {s.name: s.clip(draw(st.floats(s.low, s.high))) for s in space.specs if draw(st.booleans())}
    return space, run_with(given)


@given(data=st.data())
def test_whatever_is_asked_bounds_hold_and_the_run_itself_is_untouched(
    data: st.DataObject, specs: st.SearchStrategy[ParameterSpec]
) -> None:
    space, run = data.draw(situations(specs))
    before = run.model_dump_json()
    spec = data.draw(st.sampled_from(space.specs))
    current = space.resolve(run.values())[spec.name]
    numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53) | st.booleans()
    new = data.draw(numbers | st.floats(spec.low, spec.high).map(spec.clip))
    old = data.draw(st.just(current) | numbers)
    try:
        child = apply_patch(run, patch(spec.name, old, new), space, run_id="child")
    except ParameterError:
        pass
    else:
        assert old == current
        assert child.values()[spec.name] == new
        assert space.resolve(child.values()) == space.resolve(run.values()) | {spec.name: new}
    assert run.model_dump_json() == before


@given(data=st.data())
def test_the_inverse_brings_the_values_back(data: st.DataObject, specs: st.SearchStrategy[ParameterSpec]) -> None:
    space, run = data.draw(situations(specs))
    spec = data.draw(st.sampled_from(space.specs))
    old = space.resolve(run.values())[spec.name]
    new = spec.clip(data.draw(st.floats(spec.low, spec.high)))
    if new == old:
        with pytest.raises(ParameterError, match="changes nothing"):
            apply_patch(run, patch(spec.name, old, new), space, run_id="child")
        return
    child = apply_patch(run, patch(spec.name, old, new), space, run_id="child")
    back = apply_patch(child, patch(spec.name, new, old), space, run_id="grandchild")
    assert space.resolve(back.values()) == space.resolve(run.values())
    assert back.parent_run == "child"
    untouched = {"run_id", "parent_run", "changes_from_parent", "because", "params"}
    assert back.model_dump(exclude=untouched) == run.model_dump(exclude=untouched)


@pytest.mark.parametrize("old", [1.4, 1.8])
def test_a_patch_that_expects_another_old_value_is_stale(old: float) -> None:
    with pytest.raises(StalePatch, match=f"atr_stop_mult: the patch expects {old}, the run has 1.5"):
        apply_patch(run_with({}), patch("atr_stop_mult", old, 2.0), SPACE, run_id="child")


def test_a_patch_whose_old_value_is_unknown_says_null_and_is_never_applied() -> None:
    unknown = Patch(parameter="gate_cvd", old_value=None, new_value=True, reason="a test asks")
    assert json.loads(unknown.model_dump_json())["old_value"] is None
    assert Patch.model_validate_json(unknown.model_dump_json()) == unknown
    with pytest.raises(StalePatch, match="gate_cvd: the patch expects an unknown value, the run has False"):
        apply_patch(run_with({}), unknown, SPACE, run_id="child")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (patch("atr_stop_mult", 1.5, 5.1), "atr_stop_mult: 5.1 is outside its bounds 0.5 .. 5"),
        (patch("atr_stop_mult", 1.5, True), "atr_stop_mult: True is not a number"),
        (patch("atr_stop_mult", 1.5, 1e300), "atr_stop_mult: 1e+300"),
        (patch("fast", 12, 12.5), "fast: 12.5 is not a whole number"),
        (patch("gate_cvd", False, 2), "gate_cvd: 2 is not true or false"),
        (patch("gate_cvb", False, True), "unknown parameter 'gate_cvb'; did you mean 'gate_cvd'"),
        (patch("fast", 12, 12), "fast: is 12 already"),
    ],
    ids=lambda case: str(case)[:40],
)
def test_a_patch_that_cannot_be_is_refused_in_one_line(asked: Patch, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        apply_patch(run_with({}), asked, SPACE, run_id="child")
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


@given(data=st.data())
def test_a_patch_comes_back_as_it_went(data: st.DataObject, drawn: Callable[[Any], st.SearchStrategy[Any]]) -> None:
    sent: Patch = data.draw(drawn(Patch))
    received = Patch.model_validate_json(sent.model_dump_json())
    assert received == sent
    assert type(received.new_value) is type(sent.new_value)
    assert json.loads(sent.model_dump_json())["applied_at"] == sent.applied_at

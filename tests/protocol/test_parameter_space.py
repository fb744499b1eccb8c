"""Parameter specs and spaces: bounds, grids, types and names hold whoever asks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from maestro_protocol.errors import ParameterError
from maestro_protocol.space import ParameterSpace, ParameterSpec, Value

anything = st.floats(allow_nan=False) | st.integers(-(10**6), 10**6)


def number(**given: object) -> ParameterSpec:
    values = {"name": "slow", "kind": "int", "default": 26, "low": 5, "high": 200, "unit": "bars", "about": ""}
    return ParameterSpec.model_validate(values | given)


@given(data=st.data(), asked=anything)
def test_clip_lands_inside_the_bounds_on_the_grid_and_stays_there(
    data: st.DataObject, asked: float, specs: st.SearchStrategy[ParameterSpec]
) -> None:
    spec = data.draw(specs)
    near = data.draw(st.just(asked) | st.floats(spec.low - spec.step, spec.high + spec.step))
    clipped = spec.clip(near)
    assert spec.low <= clipped <= spec.high
    assert spec.check(clipped) == clipped
    assert type(clipped) is {"int": int, "float": float, "bool": bool}[spec.kind]
    assert spec.clip(clipped) == clipped
    if spec.kind != "bool":
        steps = (clipped - spec.low) / spec.step
        assert steps == pytest.approx(round(steps), abs=1e-5)
        inside = min(max(near, spec.low), spec.high)
        reach = spec.step if inside > clipped else spec.step / 2  # the last step may end short of ``high``
        assert abs(clipped - inside) <= reach * (1 + 1e-6) + 1e-9


@given(data=st.data(), asked=anything)
def test_check_takes_what_is_inside_and_names_what_is_not(
    data: st.DataObject, asked: float, specs: st.SearchStrategy[ParameterSpec]
) -> None:
    spec = data.draw(specs)
    fits = spec.low <= asked <= spec.high and (spec.kind == "float" or asked % 1 == 0)
    if fits:
        assert spec.check(asked) == asked
    else:
        with pytest.raises(ParameterError, match=f"^{spec.name}: "):
            spec.check(asked)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 10**400, True, 26.5, 4, 201])
def test_a_whole_number_is_one_and_inside_its_bounds(wrong: Value) -> None:
    with pytest.raises(ParameterError, match=r"^slow: ") as caught:
        number().check(wrong)
    assert len(str(caught.value)) < 120


def test_types_come_out_as_declared() -> None:
    switch = ParameterSpec(name="gate", kind="bool", default=False, unit="switch", about="")
    assert number().check(30.0) == 30
    assert type(number().check(30.0)) is int
    assert type(number(kind="float").check(30)) is float
    assert switch.check(1) is True
    with pytest.raises(ParameterError, match="not true or false"):
        switch.check(2)


def test_nothing_is_near_what_is_not_a_number() -> None:
    with pytest.raises(ParameterError, match="nan"):
        number().clip(math.nan)
    assert number().clip(math.inf) == 200
    assert number(low=1, high=8, step=3, default=1).clip(math.inf) == 7


@pytest.mark.parametrize(
    "wrong",
    [
        {"default": 4},
        {"default": 2.5},
        {"default": "26"},
        {"low": 300},
        {"low": 0.5},
        {"step": 0.5},
        {"step": 0},
        {"step": -1},
        {"high": math.inf},
        {"unit": "furlongs"},
        {"name": "Slow"},
        {"name": "../slow"},
    ],
    ids=str,
)
def test_a_spec_that_does_not_hold_together_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises((ValidationError, ParameterError)):
        number(**wrong)


SPACE = ParameterSpace(specs=(number(), number(name="atr_stop_mult", kind="float", default=9.5, unit="x_atr")))


def test_a_space_names_the_nearest_parameter() -> None:
    assert "slow" in SPACE
    assert SPACE["slow"].default == 26
    with pytest.raises(ParameterError, match=r"unknown parameter 'atr_stop'; did you mean 'atr_stop_mult'\?"):
        SPACE["atr_stop"]
    with pytest.raises(ParameterError, match="known: atr_stop_mult, slow"):
        SPACE["xyzzy"]


def test_a_space_resolves_what_is_given_over_its_defaults() -> None:
    assert SPACE.resolve({}) == {"slow": 26, "atr_stop_mult": 9.5}
    assert SPACE.resolve({"slow": 30}) == {"slow": 30, "atr_stop_mult": 9.5}
    with pytest.raises(ParameterError, match=r"slow: 4 is outside its bounds 5 \.\. 200"):
        SPACE.resolve({"slow": 4})
    with pytest.raises(ParameterError, match="fast"):
        SPACE.resolve({"fast": 12})


def test_what_is_optional_is_known_by_name_and_had_by_who_gives_it() -> None:
    space = ParameterSpace(specs=(number(),), optional=(number(name="trail", kind="float", default=0.0, low=0.0),))
    assert space.names == ("slow",)
    assert space.defaults() == space.resolve({}) == {"slow": 26}
    assert space.resolve({"trail": 2}) == {"slow": 26, "trail": 2.0}
    assert "trail" in space
    assert space.merged([number(name="trail"), number(name="fast", default=12)]).names == ("slow", "fast")
    with pytest.raises(ParameterError, match="did you mean 'trail'"):
        space.resolve({"trai": 1})
    with pytest.raises(ValidationError, match="declared twice: slow"):
        ParameterSpace(specs=(number(),), optional=(number(),))


def test_a_space_declares_each_parameter_once() -> None:
    with pytest.raises(ValidationError, match="declared twice: slow"):
        ParameterSpace(specs=(number(), number()))
    merged = SPACE.merged([number(default=50), number(name="fast", default=12)])
    assert merged.names == ("slow", "atr_stop_mult", "fast")
    assert merged["slow"].default == 26


def test_whose_a_parameter_is_and_what_it_hangs_on_are_read_from_what_it_declares() -> None:
    def declared(name: str, **more: object) -> ParameterSpec:
        fixed = {"name": name, "kind": "int", "default": 5, "low": 1, "high": 9, "unit": "bars", "about": ""}
        return ParameterSpec.model_validate(fixed | more)

    gate = ParameterSpec(name="calm", kind="bool", default=False, unit="switch", about="")
    space = ParameterSpace(
        specs=(
            declared("long", method="channel"),
            declared("short", method="channel", below="long"),
            declared("lone", below="elsewhere"),
            declared("limit", switch="calm"),
            gate,
        )
    )
    assert [spec.name for spec in space.of_method("channel")] == ["long", "short"]
    assert space.of_method("nobody") == ()
    assert (space.gate_of("limit"), space.gate_of("long")) == ("calm", None)
    assert space.ordered_pairs() == (("short", "long"),)
    with pytest.raises(ParameterError):
        space.gate_of("limits")

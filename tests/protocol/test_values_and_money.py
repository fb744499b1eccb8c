"""Values, changes and amounts on the wire: two forms read, one written, every number the one that was meant."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from maestro_protocol.base import Money, money
from maestro_protocol.space import Value
from maestro_protocol.values import Change, Changes, NamedValue, Params, as_mapping, as_params

PARAMS: TypeAdapter[tuple[NamedValue, ...]] = TypeAdapter(Params)
CHANGES: TypeAdapter[tuple[Change, ...]] = TypeAdapter(Changes)
AMOUNTS: TypeAdapter[list[Decimal]] = TypeAdapter(list[Money])

names = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
numbers = st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)


def same(one: Value | None, other: Value | None) -> bool:
    """Equal, of one type and of one sign: 1, 1.0 and true are three values, as are 0.0 and -0.0."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return type(one) is type(other) and one == other


@given(st.dictionaries(names, numbers, max_size=8))
@example({"big": 2**53, "whole": 3.0, "zero": -0.0, "tiny": 5e-324, "large": 1e308, "on": True})
def test_values_are_read_in_both_forms_and_written_in_one(values: dict[str, Value]) -> None:
    as_list = [{"name": name, "value": value} for name, value in values.items()]
    from_mapping = PARAMS.validate_json(json.dumps(values))
    assert from_mapping == PARAMS.validate_json(json.dumps(as_list)) == as_params(values)
    wire = PARAMS.dump_json(from_mapping)
    back = as_mapping(PARAMS.validate_json(wire))
    assert list(back) == list(json.loads(wire)) == list(values)
    assert all(same(back[name], values[name]) for name in values)


@given(st.dictionaries(names, st.tuples(st.none() | numbers, numbers), max_size=8))
@example({"big": (2**53, -(2**53)), "whole": (3, 3.0), "zero": (0.0, -0.0), "on": (None, True)})
def test_changes_are_read_in_both_forms_and_written_in_one(steps: dict[str, tuple[Value | None, Value]]) -> None:
    as_list = [{"parameter": name, "old": old, "new": new} for name, (old, new) in steps.items()]
    from_list = CHANGES.validate_json(json.dumps(as_list))
    wire = CHANGES.dump_json(from_list)
    assert all(" -> " in step for step in json.loads(wire).values())
    back = CHANGES.validate_json(wire)
    assert [change.parameter for change in back] == list(steps)
    for change in back:
        old, new = steps[change.parameter]
        assert same(change.old, old)
        assert same(change.new, new)


def test_a_number_that_no_float_holds_is_refused() -> None:
    with pytest.raises(ValidationError):
        PARAMS.validate_json(json.dumps({"atr_bars": -(10**400)}))


def test_a_change_is_written_as_people_write_it() -> None:
    assert CHANGES.dump_python((Change(parameter="atr_stop_mult", old=1.5, new=1.8),)) == {
        "atr_stop_mult": "1.5 -> 1.8"
    }
    assert CHANGES.dump_python((Change(parameter="gate_cvd", new=True),)) == {"gate_cvd": "null -> true"}


GARBAGE = [
    "1.5 -> evil()",
    "1.5 -> __import__('os')",
    "1.5 -> {{ 7 * 7 }}",
    "1.5 -> 1.8 -> 2.0",
    "1.5 -> ",
    "-> 1.8",
    "1.5",
    "1.5->1.8",
    "",
    "1.5 -> null",
    '1.5 -> "1.8"',
    "1.5 -> [1.8]",
    "1.5 -> NaN",
    "1.5 -> Infinity",
    "1.5 -> 1e999",
    "1.5 -> 0x10",
    "1.5 -> " + "[" * 100_000,
    1.8,
    None,
    ["1.5 -> 1.8"],
    {"old": 1.5, "new": 1.8},
]


@pytest.mark.parametrize("step", GARBAGE, ids=lambda step: str(step)[:24])
def test_a_change_that_is_not_two_numbers_is_refused(step: object) -> None:
    with pytest.raises(ValidationError):
        CHANGES.validate_python({"atr_stop_mult": step})
    with pytest.raises(ValidationError):
        CHANGES.validate_json(json.dumps({"atr_stop_mult": step}))


@given(st.text(max_size=30))
def test_no_text_at_all_breaks_the_reader_of_changes(step: str) -> None:
    try:
        changes = CHANGES.validate_python({"fast": step})
    except ValidationError:
        return
    assert isinstance(changes[0].new, int | float)


@pytest.mark.parametrize("value", ["12", "yes", "true", None, [12], {"value": 12}, "NaN", math.nan, math.inf, 1e999])
def test_a_value_is_a_number_or_a_switch_and_no_text(value: object) -> None:
    with pytest.raises(ValidationError):
        PARAMS.validate_python({"fast": value})
    with pytest.raises(ValidationError):
        PARAMS.validate_json(json.dumps([{"name": "fast", "value": value}]))


@pytest.mark.parametrize("name", ["../fast", "Fast", "", "1st", "fast\n", "fa st", "f" * 65, "__class__"])
def test_a_name_is_a_plain_word(name: str) -> None:
    with pytest.raises(ValidationError):
        PARAMS.validate_python({name: 1})
    with pytest.raises(ValidationError):
        CHANGES.validate_python({name: "1 -> 2"})


def test_a_parameter_is_named_once() -> None:
    with pytest.raises(ValidationError, match="named twice: fast"):
        PARAMS.validate_python([{"name": "fast", "value": 1}, {"name": "fast", "value": 2}])
    with pytest.raises(ValidationError, match="named twice: fast"):
        CHANGES.validate_python([{"parameter": "fast", "new": 1}, {"parameter": "fast", "new": 2}])


def test_lists_have_an_end() -> None:
    with pytest.raises(ValidationError, match="at most 64"):
        PARAMS.validate_python({f"p{n}": n for n in range(65)})
    with pytest.raises(ValidationError, match="at most 16"):
        CHANGES.validate_python({f"p{n}": "1 -> 2" for n in range(17)})


cents = st.integers(-(10**11), 10**11)
micros = st.integers(-(10**15) + 1, 10**15 - 1)


@given(st.lists(cents, max_size=50))
def test_sums_of_cents_are_exact_through_json(amounts: list[int]) -> None:
    sent = [money(cent * 10_000) for cent in amounts]
    received = AMOUNTS.validate_json(AMOUNTS.dump_json(sent))
    assert sum(received) == Decimal(sum(amounts)).scaleb(-2)


@given(micros)
def test_an_amount_of_fifteen_digits_comes_back_as_it_went(amount: int) -> None:
    wire = AMOUNTS.dump_json([money(amount)])
    assert isinstance(json.loads(wire)[0], float)
    assert AMOUNTS.validate_json(wire) == AMOUNTS.validate_python(json.loads(wire)) == [money(amount)]


def test_money_is_exact_where_floats_are_not() -> None:
    assert money(100_000) + money(200_000) == money(300_000) == Decimal("0.3")
    assert AMOUNTS.validate_json("[0.1, 0.2, -0.3]") == [Decimal("0.1"), Decimal("0.2"), Decimal("-0.3")]


@pytest.mark.parametrize("amount", ["0.1234567", "1e12", "NaN", "Infinity", "1e999", '"lots"', "null", "[]"])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValidationError):
        AMOUNTS.validate_json(f"[{amount}]")

"""Text of others commands nothing: no escape sequence, no other direction of writing; nothing hidden is left."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_protocol.sanitize import escaped, one_line, printable


@given(st.text())
def test_what_is_left_are_characters_and_line_ends_and_as_many_as_before(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert not {c for c in shown if unicodedata.category(c) == "Cc"} - {"\n", "\t"}
    assert printable(shown) == shown


@pytest.mark.parametrize(
    "order",
    ["\x1b[2J", "\x9b2J", "\x07", "\r", "\x00", "\x85", "\u202e", "\u2066", "\u2028", "\u200b", "\ufeff", "\ud800",
     "\U000e0041"],
)  # fmt: skip
def test_an_order_is_shown_as_such(order: str) -> None:
    assert printable(f"a{order}b").startswith("a\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("text", ["", "ação ñandú", "日本語 עברית العربية", "a\tb\nc", "−0.5 ≥ 3 – 4 … 🙂"])
def test_text_of_people_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@given(st.text())
def test_a_line_stays_one_line_and_json_says_the_same(text: str) -> None:
    assert len(one_line(f"a{text}b").splitlines()) == 1
    told = escaped(json.dumps({"said": text}, ensure_ascii=False, indent=1))
    assert json.loads(told) == {"said": text}
    assert printable(told) == told

"""Exact amounts are written in plain digits, and read back as they were."""

from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from maestro_engine.trading.venue.money import json_of, plain


class _Told(Struct):
    amount: Decimal
    text: str
    ratio: float


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9), st.text(), st.floats()
)
def test_no_amount_has_an_exponent(amount, text, ratio):
    written = json_of(_Told(amount, f"x{text}", ratio))
    told = json.loads(written)
    assert Decimal(told["amount"]) == amount
    assert "E" not in told["amount"]
    assert told["text"] == f"x{text}"


def test_nothing_is_nothing():
    assert [plain(Decimal(text)) for text in ("0E-11", "1E-8", "-2.5E+3", "0")] == ["0", "0.00000001", "-2500", "0"]

"""blind owns what a blind prompt hides: dates, symbols and prices by which a model could remember the market."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import cast

HIDDEN = "[hidden]"
STEPS = ("change", "proposed_change")
"""Fields of messages that hold parameters' values: ``2000 -> 2050`` is no date there."""
QUOTES = ("USDT", "USDC", "BUSD", "USD", "EUR", "BTC", "ETH")
NAMES = {
    "BTC": "bitcoin",
    "XBT": "bitcoin",
    "ETH": "ether(?:eum)?",
    "SOL": "solana",
    "BNB": "binance coin",
    "XRP": "ripple",
}
_MONTHS = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    "|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
)
_DATES = re.compile(
    r"(?ix) \b(?:19|20)\d\d[-/.]\d{1,2}(?:[-/.]\d{1,2})?(?:[t\s]\d{1,2}:\d\d(?::\d\d)?(?:\.\d+)?z?)?\b"  # 2025-01-31
    r"| \b\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)\d\d\b"  # 31.01.2025
    rf"| \b(?:\d{{1,2}}\.?\s+)?(?:{_MONTHS})\.?\s+(?:\d{{1,2}},?\s+)?(?:19|20)\d\d\b"  # 31 January 2025, Jan 31, 2025
    r"| \b20[0-3]\d\b"  # 2025
    r"| \b1[0-9]{12}\b"  # milliseconds since the epoch
)
_PRICES = re.compile(
    r"(?i)\b(?:prices?|entry|exit|open(?:s|ed)?|close[sd]?|highs?|lows?|traded|trades)\s*(?:=|:|at|of|near|was|is)\s*\$?\d[\d.,]*k?"
    r"|\$\s?\d[\d.,]*k?"
)


def redacted(value: object, *, symbol: str) -> object:
    """*value* with every text in it freed of dates, the symbol and its usual names, and prices."""
    if isinstance(value, str):
        return _PRICES.sub(HIDDEN, _DATES.sub(HIDDEN, _symbol(symbol).sub(HIDDEN, value)))
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {key: item if key in STEPS else redacted(item, symbol=symbol) for key, item in items}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [redacted(item, symbol=symbol) for item in cast("Sequence[object]", value)]
    return value


def _symbol(symbol: str) -> re.Pattern[str]:
    base = next((symbol.removesuffix(q) for q in QUOTES if symbol.endswith(q) and symbol != q), symbol).strip("-_.")
    words = [re.escape(symbol), rf"\b{re.escape(base)}(?:[-_/.]?(?:{'|'.join(QUOTES)}))?\b"]
    if base in NAMES:
        words.append(rf"\b{NAMES[base]}\b")
    return re.compile("|".join(words), re.IGNORECASE)

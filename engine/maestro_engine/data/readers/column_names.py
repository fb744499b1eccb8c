"""column_names owns what a bar column may be called, and the columns as a file has them, unjudged."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from maestro_engine.data.bars import Floats, Ints
from maestro_protocol.errors import DataError

REQUIRED = ("open_time", "open", "high", "low", "close", "volume")

# Names are compared in lower case without anything but letters and digits, so "Open time", "open_time" and
# "openTime" are one name. The exchange's own names come first; the others are those of pandas, ccxt,
# freqtrade, python-binance and yfinance exports. An earlier name wins over a later one.
ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "open_time": "opentime opentimestamp opentimems klineopentime starttime candlebegintime timestamp timestampms"
        " ts unix unixtimestamp datetime time date t indexlevel0 index unnamed0",
        "open": "open openprice o",
        "high": "high highprice h",
        "low": "low lowprice l",
        "close": "close closeprice c",
        "volume": "volume basevolume volumebase baseassetvolume vol v",
        "taker_buy_volume": "takerbuyvolume takerbuybasevolume takerbuybaseassetvolume takerbuybaseasset"
        " takerbuybase takerbuybasevol takerbuybaseav takerbuyvol takerbasevolume tbbaseassetvolume tbbasevolume"
        " tbbaseav tbbav buyvolume",
        "funding_rate": "fundingrate lastfundingrate funding",
        "symbol": "symbol pair ticker",
    }
)

QUOTES = (
    "usdt",
    "usdc",
    "fdusd",
    "busd",
    "tusd",
    "dai",
    "usd",
    "eur",
    "gbp",
    "try",
    "brl",
    "jpy",
    "btc",
    "eth",
    "bnb",
)
"""Assets that others are quoted in, the more so the earlier; of two the later one is the base."""

HEADERLESS = (
    *("open_time", "open", "high", "low", "close", "volume"),
    *("close_time", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume", "ignore"),
)
"""Column order of the exchange's kline archives (data.binance.vision), which came without header until 2025."""


@dataclass(frozen=True, slots=True)
class ReadingNote:
    """What a reader did with a file beyond reading it, for the findings of the checks."""

    kind: str
    repaired: bool
    """True: something of the file was left out; False: it was only taken in another notation."""
    text: str
    count: int
    rows: tuple[int, ...] = ()
    """Data rows, counted from 1, before which it was; the first thousand."""


@dataclass(frozen=True, slots=True, eq=False)
class RawBars:
    """Bar columns of shape ``(n,)`` in the file's own order: times UTC milliseconds, a missing number NaN."""

    open_time: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    taker_buy_volume: Floats | None = None
    funding_rate: Floats | None = None
    symbol: str | None = None
    """What the file itself says they are bars of."""
    local_times: bool = False
    """The times are written as text or clock readings that name no zone."""
    notes: tuple[ReadingNote, ...] = ()
    """What the reader left out or took in another way than it stands there."""

    @classmethod
    def of(
        cls,
        open_time: Ints,
        numbers: Mapping[str, Floats],
        *,
        symbol: str | None,
        local_times: bool,
        notes: tuple[ReadingNote, ...] = (),
    ) -> RawBars:
        """Columns by their names. Raises KeyError where a required one is missing."""
        return cls(
            open_time,
            *(numbers[name] for name in REQUIRED[1:]),
            taker_buy_volume=numbers.get("taker_buy_volume"),
            funding_rate=numbers.get("funding_rate"),
            symbol=symbol,
            local_times=local_times,
            notes=notes,
        )

    def __len__(self) -> int:
        return len(self.open_time)


def match_columns(names: Sequence[str]) -> dict[str, int]:
    """Canonical column -> index into *names*, for those that are there.

    Raises DataError when one is there twice, since which of the two is meant cannot be known.
    """
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in names]
    if plain and not plain[0]:
        plain[0] = "unnamed0"  # pandas writes an index without a name so
    found: dict[str, int] = {}
    for column, aliases in ALIASES.items():
        alias = next((alias for alias in aliases.split() if alias in plain), None)
        if alias is None:
            continue
        if plain.count(alias) > 1:
            raise DataError(f"{plain.count(alias)} columns are called {alias!r}; keep the one that is meant")
        found[column] = plain.index(alias)
    if "volume" not in found and (volume := _base_volume(plain)) is not None:
        found["volume"] = volume
    return found


def _base_volume(plain: Sequence[str]) -> int | None:
    """Of columns such as ``Volume BTC`` and ``Volume USDT`` the base asset's: the one less used to quote others."""
    assets = {name.removeprefix("volume"): i for i, name in enumerate(plain) if re.fullmatch("volume[a-z0-9]+", name)}
    ranked = sorted(assets, key=lambda asset: QUOTES.index(asset) if asset in QUOTES else len(QUOTES))
    if not ranked or (len(ranked) > 1 and ranked[-2] not in QUOTES):
        return None
    return assets[ranked[-1]]


def require_columns(found: Mapping[str, int], names: Sequence[str]) -> None:
    """Raise DataError naming the required columns that are missing and what the file has instead."""
    missing = [column for column in REQUIRED if column not in found]
    if missing:
        seen = ", ".join(one_line(name, 24) for name in names[:14]) or "none"
        raise DataError(f"no column {', '.join(missing)}; the file has: {seen}")


def one_line(text: object, limit: int = 120) -> str:
    """*text* of unknown origin on one printable line of at most *limit* characters."""
    line = "".join(char if char.isprintable() else "?" for char in str(text))
    return line if len(line) <= limit else line[: limit - 3] + "..."

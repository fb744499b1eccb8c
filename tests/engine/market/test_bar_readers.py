"""Bar files of every make give the same bars, and broken ones one clear line."""
# pyarrow ships no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false

from __future__ import annotations

import gzip
import io
import tempfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.data.bars import Bars
from maestro_engine.data.loading import load_bars, read_bars, symbol_of
from maestro_engine.data.readers import arrow_reader, csv_reader
from maestro_engine.data.simulators.regimes import simulate_bars
from maestro_protocol.errors import DataError

HEADER = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote,ignore"
BARS = simulate_bars("noise", seed=3, n=300)


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def rows(bars: Bars, time: Callable[[int], object] = str, count: int | None = None) -> str:
    assert bars.taker_buy_volume is not None
    lines: list[str] = []
    for i in range(len(bars) if count is None else count):
        at = int(bars.open_time[i])
        ohlcv = ",".join(repr(float(c[i])) for c in (bars.open, bars.high, bars.low, bars.close, bars.volume))
        lines.append(f"{time(at)},{ohlcv},{at + 299_999},0,0,{float(bars.taker_buy_volume[i])!r},0,0\n")
    return "".join(lines)


def zipped(text: str, *names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, text)
    return packed.getvalue()


FORMS: dict[str, bytes] = {
    "headerless": rows(BARS).encode(),
    "header": f"{HEADER}\n{rows(BARS)}".encode(),
    "seconds": rows(BARS, lambda ms: ms // 1000).encode(),
    "microseconds": rows(BARS, lambda ms: ms * 1000).encode(),
    "nanoseconds": rows(BARS, lambda ms: ms * 10**6).encode(),
    "units mixed, as in archives joined over January 2025": rows(
        BARS, lambda ms: ms if ms < BARS.open_time[99] else ms * 1000
    ).encode(),
    "float times": f"{HEADER}\n{rows(BARS, float)}".encode(),
    "ISO times": f"{HEADER}\n{rows(BARS, iso)}".encode(),
    "ISO times with zone": f"{HEADER}\n{rows(BARS, lambda ms: iso(ms).replace(' ', 'T') + '+00:00')}".encode(),
    "semicolons, mark, CRLF": f"{HEADER}\n{rows(BARS)}".replace(",", ";").replace("\n", "\r\n").encode("utf-8-sig"),
    "other names": f"{HEADER}\n{rows(BARS)}".replace("open_time", "Timestamp")
    .replace("taker_buy_volume", "Taker buy base asset volume")
    .encode(),
    "a publisher's line above": f"https://example.org\n{HEADER}\n{rows(BARS)}".encode(),
    "pandas index": f"{HEADER}\n{rows(BARS, iso)}".replace("open_time", "", 1).encode(),
    "trailing delimiters": f"{HEADER}\n{rows(BARS)}".replace("\n", ",,\n").encode(),
    "quoted": (f"{HEADER}\n" + rows(BARS).replace(",0,0,", ',"0","0",')).encode(),
    "gzip": gzip.compress(rows(BARS).encode()),
    "zip": zipped(rows(BARS), "BTCUSDT-5m-2025-01.csv"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_csv_gives_the_same_bars(tmp_path: Path, form: str) -> None:
    path = tmp_path / "BTCUSDT-5m.csv"
    path.write_bytes(FORMS[form])
    bars = read_bars(path)
    assert bars.digest == BARS.digest
    assert (bars.symbol, bars.step_ms, bars.source) == ("BTCUSDT", 300_000, "BTCUSDT-5m.csv")
    assert not bars.simulated
    assert not bars.close.flags.writeable


def test_parquet_written_and_read_gives_the_same_bars(tmp_path: Path) -> None:
    arrow_reader.write_parquet(BARS, tmp_path / "bars.parquet")
    bars = read_bars(tmp_path / "bars.parquet", symbol="ETHUSDT")
    assert bars.digest == BARS.digest
    assert bars.symbol == "ETHUSDT"


def parquet(path: Path, **other: pa.Array) -> Path:
    columns = {
        name: pa.array(getattr(BARS, name)) for name in ("open_time", "open", "high", "low", "close", "volume")
    }
    pq.write_table(pa.table({**columns, **other}), path)
    return path


@pytest.mark.parametrize(
    "times",
    [
        pa.array(BARS.open_time, pa.timestamp("ms")),
        pa.array(BARS.open_time * 1000, pa.timestamp("us", "America/New_York")),
        pa.array(BARS.open_time * 10**6, pa.timestamp("ns")),
        pa.array([iso(int(ms)) for ms in BARS.open_time]),
        pa.array([str(ms) for ms in BARS.open_time], pa.large_string()),
        pa.array(BARS.open_time / 1000.0),
        pa.array(BARS.open_time.astype(np.uint64)),
    ],
    ids=lambda array: str(array.type),
)
def test_parquet_times_of_every_type_are_the_same_moments(tmp_path: Path, times: pa.Array) -> None:
    bars = read_bars(parquet(tmp_path / "x.parquet", open_time=times))
    assert np.array_equal(bars.open_time, BARS.open_time)
    assert bars.taker_buy_volume is None


@pytest.mark.parametrize(
    "closes",
    [
        pa.array([repr(float(x)) for x in BARS.close]),
        pa.array([repr(float(x)) for x in BARS.close]).dictionary_encode(),
        pa.array([Decimal(repr(float(x))) for x in BARS.close], pa.decimal128(18, 8)),
    ],
    ids=lambda array: str(array.type)[:10],
)
def test_parquet_prices_kept_as_text_or_decimals_are_the_same_numbers(tmp_path: Path, closes: pa.Array) -> None:
    bars = read_bars(parquet(tmp_path / "x.parquet", close=closes))
    assert np.array_equal(bars.close, BARS.close)


def test_a_pandas_index_is_the_time(tmp_path: Path) -> None:
    table = pq.read_table(parquet(tmp_path / "x.parquet"))
    names = ["__index_level_0__" if name == "open_time" else name.title() for name in table.column_names]
    pq.write_table(table.rename_columns(names), tmp_path / "y.parquet")
    assert np.array_equal(read_bars(tmp_path / "y.parquet").open_time, BARS.open_time)


def test_empty_funding_cells_mean_none_due_and_it_is_said(tmp_path: Path) -> None:
    rates = pa.array([0.0001 if i % 96 == 0 else None for i in range(len(BARS))])
    bars, report = load_bars(parquet(tmp_path / "x.parquet", fundingRate=rates))
    assert bars.funding_rate is not None
    assert bars.funding_rate.sum() == pytest.approx(0.0004)
    assert [(f.kind, f.outcome, f.row) for f in report.findings] == [("no_funding", "repaired", 2)]


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("BTCUSDT-5m-2025-01.csv", "BTCUSDT"),
        ("binance_usdm_NEARUSDT_1m_2025-02.parquet", "NEARUSDT"),
        ("BTC_USDT-5m.csv", "BTCUSDT"),
        ("eth-usd.csv.gz", "ETHUSD"),
        ("1000PEPEUSDT.zip", "1000PEPEUSDT"),
        ("data.csv", "UNKNOWN"),
        ("\x1b[31m; rm -rf.csv", "UNKNOWN"),
        ("", "UNKNOWN"),
    ],
)
def test_the_symbol_is_the_pair_in_the_name(name: str, symbol: str) -> None:
    assert symbol_of(name) == symbol


TEN = f"{HEADER}\n{rows(BARS, count=10)}"
AFTER = int(BARS.open_time[10])
BROKEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty"),
    "blank lines": (b"\n\n", "empty"),
    "binary": (b"\x00\x01\x02", "neither Parquet nor text"),
    "UTF-16": (TEN.encode("utf-16"), "neither Parquet nor text"),
    "Latin-1 in a price": (TEN.encode() + f"{AFTER},".encode() + b"\xe9" + b",1,1,1,1,1,1,1,1,1,1\n", "UTF-8"),
    "prose": (b"hello world\n", "no column open_time"),
    "no times": (b"open,high,low,close,volume\n1,1,1,1,1\n", "no column open_time; the file has: open, high"),
    "9 columns without header": (f"{AFTER},1,1,1,1,1,1,1,1\n".encode(), "9 columns without a header"),
    "header alone": (HEADER.encode(), "a header and no bars"),
    "short line": ((TEN + "1,2,3\n").encode(), "line 12: 3 columns where 12 are expected"),
    "text in a price": ((TEN + f"{AFTER},1,x=1,1,1,1,1,1,1,1,1,1\n").encode(), "row 11, column high: 'x=1'"),
    "no price": ((TEN + f"{AFTER},1,,1,1,1,1,1,1,1,1,1\n").encode(), "row 11 (2025-01-01T00:50:00Z): a price"),
    "text in a time": ((TEN + "today,1,1,1,1,1,1,1,1,1,1,1\n").encode(), "row 11: 'today' is not a time"),
    "no time": ((TEN + ",1,1,1,1,1,1,1,1,1,1,1\n").encode(), "row 11: no time"),
    "time of another age": ((TEN + "20250101,1,1,1,1,1,1,1,1,1,1,1\n").encode(), "row 11: the time"),
    "two closes": (("close," + TEN).encode(), "2 columns are called 'close'"),
    "unsorted": ((HEADER + "\n" + rows(BARS) + rows(BARS, count=1)).encode(), "row 301"),
    "cut gzip": (gzip.compress(TEN.encode())[:80], "damaged or not CSV"),
    "bad gzip": (b"\x1f\x8b\x08" + b"\xff" * 80, "damaged or not CSV"),
    "cut zip": (zipped(TEN, "a.csv")[:80], "damaged or not CSV"),
    "two in a zip": (zipped(TEN, "a.csv", "b.csv"), "2 CSV files"),
    "none in a zip": (zipped(TEN, "readme.txt"), "0 CSV files"),
    "a line without end": (b"time,open,high,low,close,volume\n" + b"1" * 3_000_000, "damaged or not CSV"),
    "Parquet's mark alone": (b"PAR1", "damaged or not Parquet"),
    "Parquet's marks around rubbish": (b"PAR1" + b"x" * 99 + b"PAR1", "damaged or not Parquet"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_one_clear_line(tmp_path: Path, case: str) -> None:
    content, reason = BROKEN[case]
    path = tmp_path / "broken.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_bars(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert reason in line
    assert "\n" not in line


def test_what_is_no_file_is_one_clear_line(tmp_path: Path) -> None:
    places = {
        tmp_path: "is a folder",
        tmp_path / "none": "no such file",
        Path("/dev/zero"): "not a regular file",
        tmp_path / ("x" * 5000): "cannot be opened",
        tmp_path / "a\0b": "no such file|cannot be opened",
    }
    for path, reason in places.items():
        with pytest.raises(DataError, match=reason):
            load_bars(path)


def test_a_parquet_file_cut_short_or_of_wrong_types_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match="damaged or not Parquet"):
        read_bars(path)
    path.write_bytes(b"open_time,open")
    with pytest.raises(DataError, match="not Parquet, whatever its name says"):
        read_bars(path)
    parquet(path, close=pa.array([[1.0]] * len(BARS)))
    with pytest.raises(DataError, match="column close is list"):
        read_bars(path)
    parquet(path, open_time=pa.array([True] * len(BARS)))
    with pytest.raises(DataError, match="time column is bool"):
        read_bars(path)


def test_too_many_bytes_or_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "bomb.csv.gz"
    packed.write_bytes(gzip.compress(rows(BARS).encode() + b"\n" * 3_000_000))
    monkeypatch.setattr(csv_reader, "MAX_BYTES", 1_000_000)
    with pytest.raises(DataError, match="over 1,000,000 bytes unpacked"):
        read_bars(packed)
    monkeypatch.setattr(csv_reader, "MAX_ROWS", 100)
    (tmp_path / "long.csv").write_text(rows(BARS))
    with pytest.raises(DataError, match="over 100 rows"):
        read_bars(tmp_path / "long.csv")
    monkeypatch.setattr(arrow_reader, "MAX_ROWS", 100)
    with pytest.raises(DataError, match="300 rows; at most 100"):
        read_bars(parquet(tmp_path / "x.parquet"))


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(
    ("said", "symbol"),
    [("ETH/USDT", "ETHUSDT"), ("btc-perp", "BTC-PERP"), ("approve all of it; rm -rf", "SOLUSDT"), ("", "SOLUSDT")],
)
def test_a_files_own_symbol_goes_before_its_name(tmp_path: Path, said: str, symbol: str, apart: bool) -> None:
    path = tmp_path / "SOLUSDT-5m.csv"
    lines = f"{HEADER}\n{rows(BARS)}".splitlines()
    path.write_text("".join(f"{line},{said if place else 'symbol'}\n" for place, line in enumerate(lines)))
    assert load_bars(path, apart=apart)[0].symbol == symbol
    assert load_bars(path, symbol="XRPUSDT", apart=apart)[0].symbol == "XRPUSDT"


def test_bars_of_two_symbols_are_no_market(tmp_path: Path) -> None:
    table = pq.read_table(parquet(tmp_path / "x.parquet"))
    names = pa.array(["AAAUSDT"] * 200 + ["BBBUSDT"] * (len(table) - 200)).dictionary_encode()
    pq.write_table(table.append_column("Symbol", names), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"bars of 2 symbols \(AAAUSDT, BBBUSDT, \.\.\.\)"):
        load_bars(tmp_path / "x.parquet")


def test_a_symbol_from_outside_is_checked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="symbol"):
        read_bars(parquet(tmp_path / "x.parquet"), symbol="../etc")


def refused_or_read(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fuzz"
        path.write_bytes(content)
        try:
            bars, _ = load_bars(path)
        except DataError as error:
            refusal = str(error)
            bars = None
        else:
            refusal = ""
    assert "\n" not in refusal
    if bars is not None:
        assert np.all(np.diff(bars.open_time) == bars.step_ms)
        assert np.all((bars.low > 0) & (bars.low <= bars.high) & np.isfinite(bars.high))


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_or_read(content: bytes) -> None:
    refused_or_read(content)


@given(st.lists(st.lists(st.text(max_size=12) | st.floats().map(str), max_size=13).map(",".join), max_size=8))
def test_any_text_below_a_header_is_refused_or_read(lines: list[str]) -> None:
    refused_or_read("\n".join([HEADER, *lines]).encode("utf-8", errors="replace"))


@given(
    st.sampled_from([FORMS["headerless"], FORMS["gzip"], FORMS["zip"]]), st.integers(0, 5000), st.binary(max_size=9)
)
def test_a_damaged_csv_is_refused_or_read(content: bytes, at: int, rubbish: bytes) -> None:
    at %= len(content)
    refused_or_read(content[:at] + rubbish + content[at + len(rubbish) :])


@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=9))
def test_damaged_parquet_is_refused_or_read(at: int, rubbish: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        arrow_reader.write_parquet(BARS, Path(folder) / "x")
        content = (Path(folder) / "x").read_bytes()
    at %= len(content)
    refused_or_read(content[:at] + rubbish + content[at + len(rubbish) :])

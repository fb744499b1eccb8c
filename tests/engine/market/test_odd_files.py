"""Files as publishers, tables and operating systems leave them give the same bars, or say what is wrong with them."""

from __future__ import annotations

import dataclasses
import gzip
import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.data.bars import Bars
from maestro_engine.data.digest import sealed
from maestro_engine.data.faults.clock import clock_change, close_time_offset, to_utc
from maestro_engine.data.faults.funding import UNITS
from maestro_engine.data.findings import CheckPolicy, DataFinding, DataReport
from maestro_engine.data.loading import check_file, load_bars
from maestro_engine.data.simulators.regimes import simulate_bars
from maestro_protocol.errors import DataError, UsageError

CASES = Path(__file__).parents[4] / "shared" / "cases" / "data"
NAMES = ("open", "high", "low", "close", "volume")
MARCH = int(datetime(2025, 3, 7, tzinfo=UTC).timestamp() * 1000)
NOVEMBER = int(datetime(2024, 11, 1, tzinfo=UTC).timestamp() * 1000)


def market(start: int = MARCH, n: int = 1_200, step: int = 300_000) -> Bars:
    """Bars of the five columns that every file has."""
    bars = simulate_bars("noise", seed=4, n=n, step_ms=step, start_ms=start)
    return sealed(dataclasses.replace(bars, taker_buy_volume=None))


BARS = market()
HEADER = "open_time,open,high,low,close,volume\n"


def picked(bars: Bars, rows: np.ndarray) -> Bars:
    """Some *rows* of *bars*."""
    columns = {name: getattr(bars, name)[rows] for name in ("open_time", *NAMES)}
    return dataclasses.replace(bars, **columns, taker_buy_volume=None)


def lines(bars: Bars, time: str = "{ms}", zone: str = "UTC") -> list[str]:
    told: list[str] = []
    for i, at in enumerate(bars.open_time):
        moment = datetime.fromtimestamp(int(at) / 1000, ZoneInfo(zone))
        values = ",".join(repr(float(getattr(bars, name)[i])) for name in NAMES)
        told.append(f"{time.format(ms=int(at), t=moment)},{values}\n")
    return told


def file(tmp_path: Path, text: str | bytes, name: str = "BTCUSDT-5m.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def found(report: DataReport, kind: str) -> DataFinding:
    return next(finding for finding in report.findings if finding.kind == kind)


ROWS = lines(BARS)
BODY = "".join(ROWS)
PLAIN = HEADER + BODY
DATE_TIME = "".join(lines(BARS, "{t:%Y.%m.%d},{t:%H:%M}"))
SAME: dict[str, tuple[str, set[str]]] = {
    "joined with its header": (HEADER + "".join(ROWS[:300]) + HEADER + "".join(ROWS[300:]), {"header_again"}),
    "joined with an address too": (
        f"https://example.org\n{HEADER}{''.join(ROWS[:300])}https://example.org\n{HEADER}{''.join(ROWS[300:])}",
        {"header_again"},
    ),
    "a header where there was none": ("".join(ROWS[:300]) + HEADER + "".join(ROWS[300:]), {"header_again"}),
    "a header as the last line": (PLAIN + HEADER, {"header_again"}),
    "semicolons and decimal commas": (PLAIN.replace(",", ";").replace(".", ","), {"decimal_comma"}),
    "tabs and decimal commas": (PLAIN.replace(",", "\t").replace(".", ","), {"decimal_comma"}),
    "decimal commas without a header": (BODY.replace(",", ";").replace(".", ","), {"decimal_comma"}),
    "UTC in words": (HEADER + "".join(lines(BARS, "{t:%Y-%m-%d %H:%M:%S} UTC")), set()),
    "GMT with an offset": (
        HEADER + "".join(lines(BARS, "{t:%d.%m.%Y %H:%M:%S.000} GMT{t:%z}", "Europe/Berlin")),
        set(),
    ),
    "points in dates": (HEADER + "".join(lines(BARS, "{t:%Y.%m.%d %H:%M}")), set()),
    "slashes after the year": (HEADER + "".join(lines(BARS, "{t:%Y/%m/%d %H:%M}")), set()),
    "no separators": (HEADER + "".join(lines(BARS, "{t:%Y%m%d %H%M%S}")), set()),
    "date and time": (f"<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\n{DATE_TIME}", set()),
    "date and time without a header": (DATE_TIME, set()),
    "date and time as numbers": (
        "date,time,open,high,low,close,volume\n" + "".join(lines(BARS, "{t:%Y%m%d},{t:%H%M%S}")),
        set(),
    ),
    "newest first below an address": (
        f"https://example.org\n{HEADER}{''.join(reversed(ROWS))}".replace("open_time", "Unix").replace(
            "volume", "Volume BTC"
        ),
        {"newest_first"},
    ),
    "close times for open times": (
        HEADER + "".join(row.replace(row[:13], str(int(row[:13]) + 299_999), 1) for row in ROWS),
        {"close_times"},
    ),
    "close times in seconds": (
        HEADER + "".join(row.replace(row[:13], str(int(row[:10]) + 299), 1) for row in ROWS),
        {"close_times"},
    ),
}


@pytest.mark.parametrize("form", SAME)
def test_odd_forms_give_the_same_bars_and_what_was_done_is_said(tmp_path: Path, form: str) -> None:
    text, kinds = SAME[form]
    bars, report = load_bars(file(tmp_path, text), apart=True)
    assert bars.digest == BARS.digest
    assert {finding.kind for finding in report.findings} == kinds


def test_a_header_again_is_placed_and_one_of_another_layout_is_refused(tmp_path: Path) -> None:
    path = file(tmp_path, SAME["joined with its header"][0])
    again = found(check_file(path), "header_again")
    assert (again.outcome, again.count, [change.row for change in again.changes]) == ("repaired", 1, [301])
    other = HEADER + "".join(ROWS[:9]) + "open_time,close,high,low,open,volume\n" + "".join(ROWS[9:])
    with pytest.raises(DataError, match="row 10: another header stands there"):
        load_bars(file(tmp_path, other))


def test_volumes_of_two_assets_are_told_apart_and_a_comma_that_may_be_either_is_refused(tmp_path: Path) -> None:
    twice = "unix,open,high,low,close,{},{}\n" + "".join(f"{row[:-1]},7.5\n" for row in ROWS)
    for first, second, volume in (
        ("Volume BTC", "Volume USDT", BARS.volume[0]),
        ("Volume USDT", "Volume BTC", 7.5),
        ("Volume ETH", "Volume BTC", BARS.volume[0]),
        ("Volume SHIB", "Volume USD", BARS.volume[0]),
    ):
        assert load_bars(file(tmp_path, twice.format(first, second)))[0].volume[0] == volume
    with pytest.raises(DataError, match="no column volume"):
        load_bars(file(tmp_path, twice.format("Volume SHIB", "Volume DOGE")))
    thousands = "".join(f"{int(at)};1,201;1,202;1,200;1,201;7\n" for at in BARS.open_time)
    with pytest.raises(DataError, match=r"'1,201': whether that is a decimal comma or groups thousands"):
        load_bars(file(tmp_path, thousands))


@pytest.mark.parametrize("beside", ["._a.csv", "__MACOSX/._a.csv", "x/.a.csv", "a.csv.CHECKSUM", ".DS_Store"])
def test_what_systems_leave_in_archives_is_not_read(tmp_path: Path, beside: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(beside, "mac")
        archive.writestr("a.csv", PLAIN)
    assert load_bars(file(tmp_path, packed.getvalue(), "a.zip"))[0].digest == BARS.digest


def local(bars: Bars, zone: str) -> str:
    return HEADER + "".join(lines(bars, "{t:%Y-%m-%d %H:%M:%S}", zone))


@pytest.mark.parametrize(
    ("zone", "start", "where"),
    [
        ("America/New_York", datetime(2025, 3, 8, tzinfo=UTC), "US"),
        ("Europe/Berlin", datetime(2025, 3, 29, tzinfo=UTC), "EU"),
        ("Europe/London", datetime(2025, 3, 29, tzinfo=UTC), "EU"),
        ("America/Chicago", datetime(2024, 11, 2, tzinfo=UTC), "US"),
        ("Europe/Athens", datetime(2024, 10, 26, tzinfo=UTC), "EU"),
        ("Australia/Sydney", datetime(2025, 10, 4, tzinfo=UTC), "AU"),
        ("Australia/Sydney", datetime(2025, 4, 4, tzinfo=UTC), "AU"),
        ("Pacific/Auckland", datetime(2025, 9, 26, tzinfo=UTC), "NZ"),
    ],
)
@pytest.mark.parametrize("step", [60_000, 900_000, 3_600_000])
def test_local_times_over_a_clock_change_need_their_zone(
    tmp_path: Path, zone: str, start: datetime, where: str, step: int
) -> None:
    first = int(start.timestamp() * 1000)
    bars = market(first, 3 * 86_400_000 // step, step)
    for text in (local(bars, zone), HEADER + "".join(reversed(local(bars, zone).splitlines(keepends=True)[1:]))):
        path = file(tmp_path, gzip.compress(text.encode()))
        report = check_file(path)
        change = found(report, "clock_change")
        assert change.outcome == "fatal"
        assert f"({where})" in change.text
        assert "--time-zone" in change.text
        assert "gap" not in {finding.kind for finding in report.findings}
    again, _ = load_bars(file(tmp_path, local(bars, zone)), policy=CheckPolicy(time_zone=zone))
    assert again.digest == bars.digest


def test_an_hour_missing_elsewhere_is_a_gap_and_a_zone_must_be_one(tmp_path: Path) -> None:
    holed = picked(BARS, np.delete(np.arange(len(BARS)), slice(60, 72)))
    assert found(check_file(file(tmp_path, local(holed, "UTC"))), "gap").count == 1
    with pytest.raises(UsageError, match="no time zone 'Mars/Olympus'"):
        load_bars(file(tmp_path, local(BARS, "UTC")), policy=CheckPolicy(time_zone="Mars/Olympus"))
    with pytest.raises(DataError, match="never was in America/New_York"):
        load_bars(file(tmp_path, local(BARS, "UTC")), policy=CheckPolicy(time_zone="America/New_York"))
    with pytest.raises(DataError, match="say their zone themselves"):
        load_bars(file(tmp_path, PLAIN), policy=CheckPolicy(time_zone="Europe/Berlin"))
    assert load_bars(file(tmp_path, local(BARS, "UTC")), policy=CheckPolicy(time_zone="UTC"))[0].digest == BARS.digest


@given(
    st.sampled_from(["America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Tokyo"]),
    st.integers(1_500_000_000, 1_800_000_000),
    st.sampled_from([300_000, 3_600_000, 14_400_000]),
)
def test_local_times_come_back_to_the_moments_they_were(zone: str, start: int, step: int) -> None:
    moments = start // 3_600 * 3_600_000 + step * np.arange(400, dtype=np.int64)
    clock = ZoneInfo(zone)
    readings = np.array(
        [int(datetime.fromtimestamp(int(ms) / 1000, clock).replace(tzinfo=UTC).timestamp() * 1000) for ms in moments],
        dtype=np.int64,
    )
    back = to_utc(readings, zone)
    # A single bar within the hour that comes twice cannot say which of the two it was.
    assert np.all((back == moments) | (np.abs(back - moments) == (1_800_000 if "Howe" in zone else 3_600_000)))
    if step == 300_000:
        assert np.array_equal(back[12:], moments[12:])
    assert zone != "Asia/Tokyo" or clock_change(readings, step) is None
    assert close_time_offset(moments, step) == 0


def changed(**columns: np.ndarray) -> str:
    told = {name: columns.get(name, getattr(BARS, name)) for name in NAMES}
    extra = {name: column for name, column in columns.items() if name not in NAMES}
    rows = zip(BARS.open_time, *told.values(), *extra.values(), strict=True)
    header = ",".join(("open_time", *NAMES, *extra))
    return f"{header}\n" + "".join(",".join(repr(cell.item()) for cell in row) + "\n" for row in rows)


def test_a_wick_is_named_and_a_price_in_another_unit_refused(tmp_path: Path) -> None:
    high = BARS.high.copy()
    high[40] *= 50
    _, report = load_bars(file(tmp_path, changed(high=high)))
    wick = found(report, "wick")
    assert (wick.outcome, wick.count, wick.row, wick.time) == ("note", 1, 41, "2025-03-07T03:20:00Z")
    low = BARS.low.copy()
    low[[7, 9]] /= 50
    assert found(load_bars(file(tmp_path, changed(low=low)))[1], "wick").count == 2
    thousandths = {name: getattr(BARS, name).copy() for name in ("open", "high", "low", "close")}
    for column in thousandths.values():
        column[100:103] /= 1000
    broken = found(check_file(file(tmp_path, changed(**thousandths))), "price_break")
    assert (broken.outcome, broken.count, broken.row) == ("fatal", 2, 101)
    assert "0.001 times the close right before it" in broken.text


def funding(rate: float, every: int) -> np.ndarray:
    rates = np.zeros(len(BARS))
    rates[::every] = rate
    return rates


@pytest.mark.parametrize(
    ("rate", "every", "kind"),
    [
        (0.0001, 96, None),
        (-0.0004, 96, None),
        (0.0001, 12, None),
        (0.01, 96, "funding_unit"),
        (1.0, 96, "funding_unit"),
    ],
)
def test_a_whole_file_is_never_at_the_cap_of_funding(
    tmp_path: Path, rate: float, every: int, kind: str | None
) -> None:
    rates = funding(rate, every)
    report = check_file(file(tmp_path, changed(funding_rate=rates)))
    assert {finding.kind for finding in report.fatal} == ({kind} if kind else set())
    if kind is not None:
        assert "--funding-unit" in found(report, kind).text
    for unit, part in UNITS.items():
        if rate * part > 0.001:
            continue
        bars, _ = load_bars(file(tmp_path, changed(funding_rate=rates)), policy=CheckPolicy(funding_unit=unit))
        assert bars.funding_rate is not None
        assert np.array_equal(bars.funding_rate, rates * part)


def test_one_settlement_at_the_cap_is_possible_and_one_beyond_it_is_not(tmp_path: Path) -> None:
    rates = funding(0.0001, 96)
    rates[96] = 0.03
    assert not check_file(file(tmp_path, changed(funding_rate=rates))).fatal
    rates[96] = 0.3
    fault = found(check_file(file(tmp_path, changed(funding_rate=rates))), "funding_unit")
    assert (fault.count, fault.row) == (1, 97)


def test_a_rate_on_every_bar_is_no_funding(tmp_path: Path) -> None:
    report = check_file(file(tmp_path, changed(funding_rate=funding(0.0001, 1))))
    assert "288 payments a day" in found(report, "funding_repeated").text
    hourly = market(step=3_600_000)
    rates = np.repeat(np.linspace(1e-5, 9e-5, len(hourly) // 8 + 1), 8)[: len(hourly)]
    text = "open_time,open,high,low,close,volume,funding_rate\n" + "".join(
        f"{row[:-1]},{rate!r}\n" for row, rate in zip(lines(hourly), rates.tolist(), strict=True)
    )
    assert found(check_file(file(tmp_path, text)), "funding_repeated").outcome == "fatal"


def test_a_market_with_sessions_is_refused_in_those_words(tmp_path: Path) -> None:
    for step, open_hours in ((300_000, range(14, 21)), (3_600_000, range(14, 21)), (14_400_000, range(24))):
        bars = market(n=40 * 86_400_000 // step, step=step)
        hours, days = bars.open_time // 3_600_000 % 24, (bars.open_time // 86_400_000 + 3) % 7
        there = np.isin(hours, list(open_hours)) & (days < 5)
        stock = picked(bars, there)
        report = check_file(file(tmp_path, HEADER + "".join(lines(stock))))
        assert [finding.kind for finding in report.fatal] == ["closed_hours"]
        assert (
            "a market with sessions: closed from Fri 21:00 to Mon 14:00" in report.fatal[0].text or step == 14_400_000
        )
    holed = np.delete(np.arange(len(BARS)), slice(300, 700))
    gap = picked(BARS, holed)
    assert [f.kind for f in check_file(file(tmp_path, HEADER + "".join(lines(gap)))).fatal] == ["long_gap"]


def test_what_a_repair_changed_is_listed(tmp_path: Path) -> None:
    kept = np.delete(np.arange(len(BARS)), [50, 51, 200])
    holed = picked(BARS, kept)
    gap = found(check_file(file(tmp_path, HEADER + "".join(lines(holed)))), "gap")
    assert [change.line for change in gap.changes] == [
        f"row 51 (2025-03-07T04:20:00Z): 2 before it none -> 2025-03-07T04:10:00Z to 2025-03-07T04:15:00Z"
        f" at {BARS.close[49]:.12g}",
        f"row 199 (2025-03-07T16:45:00Z): 1 before it none -> 2025-03-07T16:40:00Z at {BARS.close[199]:.12g}",
    ]
    again = found(check_file(file(tmp_path, PLAIN + ROWS[5])), "duplicate")
    assert [(change.row, change.before, change.after) for change in again.changes] == [(1201, "1201", None)]


EXPECTED: dict[str, tuple[str | None, str | None]] = {
    "04_header_in_middle.csv": ("same", "header_again"),
    "08_zip_with_checksum.zip": ("same", None),
    "09_semicolon_decimal_comma.csv": ("same", "decimal_comma"),
    "13_local_dst_spring_5m.csv": (None, "clock_change"),
    "14b_local_dst_spring_15m.csv": (None, "clock_change"),
    "18_text_UTC.csv": ("same", None),
    "21_cdd_desc.csv": ("other", "newest_first"),
    "33_wick_50x.csv": ("other", "wick"),
    "46_funding_percent.csv": (None, "funding_unit"),
    "47_funding_ffilled.csv": (None, "funding_repeated"),
    "54_times_plus_059.csv": ("same", "close_times"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_collected_files_get_their_right_answers(name: str) -> None:
    if not CASES.is_dir():
        pytest.skip(f"no collected files in {CASES.name} beside the checkout")
    digest, kind = EXPECTED[name]
    plain = load_bars(CASES / "01_plain.csv")[0]
    report = check_file(CASES / name)
    assert kind is None or kind in {finding.kind for finding in report.findings}
    assert (report.digest is None) == (digest is None)
    if digest is not None:
        assert (report.digest == plain.digest) == (digest == "same")
    if name.startswith("13"):
        assert load_bars(CASES / name, policy=CheckPolicy(time_zone="America/New_York"))[0].digest == plain.digest


def test_funding_between_whole_hours_and_bars_beside_the_clock_are_named(tmp_path: Path) -> None:
    rates = funding(0.0001, 96)
    assert not [f for f in check_file(file(tmp_path, changed(funding_rate=rates))).findings if "times" in f.kind]
    rates[100] = 0.0001
    named = found(check_file(file(tmp_path, changed(funding_rate=rates))), "funding_times")
    assert (named.outcome, named.count, named.row) == ("note", 1, 101)
    late = check_file(file(tmp_path, HEADER + "".join(lines(market(start=MARCH + 150_000)))))
    assert "150 s into one of the UTC clock" in found(late, "off_clock").text
    assert not late.fatal


def test_funding_that_is_empty_between_settlements_is_no_list_of_repairs(tmp_path: Path) -> None:
    rows = [f"{row[:-1]},{'0.0001' if i % 96 == 0 else ''}\n" for i, row in enumerate(lines(BARS))]
    report = check_file(file(tmp_path, HEADER.replace("volume", "volume,funding_rate") + "".join(rows)))
    repaired = found(report, "no_funding")
    assert (repaired.outcome, repaired.count, repaired.changes) == ("repaired", 1_200 - 13, ())

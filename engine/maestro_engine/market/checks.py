"""checks owns what makes bars usable: every fault found, counted and placed, then mended as stated or refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from maestro_engine.market.bars import Bars, Floats, Ints
from maestro_engine.market.digest import OPTIONAL_COLUMNS, PRICE_COLUMNS, sealed
from maestro_engine.market.files.columns import RawBars
from maestro_engine.market.timeframes import TIMEFRAMES, name_of, utc_text

Mask = npt.NDArray[np.bool_]
Outcome = Literal["fatal", "repaired", "note"]

MAX_FILLED_SHARE = 0.1
"""More missing bars than this share of those there, and the file is refused rather than filled."""
_ROUNDING = 1e-9  # relative; sums of decimals kept as floats miss each other by less


@dataclass(frozen=True, slots=True)
class CheckPolicy:
    """What may be mended. Gaps of up to ``fill_up_to`` bars are filled with flat bars of zero volume."""

    repair: bool = True
    """False: whatever would need a repair is fatal."""
    fill_up_to: int = 12
    long_gaps: Literal["error", "longest"] = "error"
    """A longer gap is an error, or the longest stretch without one is kept and the rest left out."""


STRICT = CheckPolicy(repair=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of fault: how often, and where first. ``dataclasses.asdict`` of it is ready for JSON."""

    kind: str
    outcome: Outcome
    text: str
    """What is wrong, and what was done about it or is to be done."""
    count: int
    row: int | None
    """Data row of the first place, counted from 1, a header not counted."""
    time: str | None
    """UTC open time of that row, ISO 8601."""

    @property
    def line(self) -> str:
        if self.row is None:
            return self.text
        return f"row {self.row} ({self.time}): {self.text}" + (f" [{self.count:,} such]" if self.count > 1 else "")


@dataclass(frozen=True, slots=True)
class DataReport:
    """What a bar file holds and what was found in it. ``dataclasses.asdict`` of it is ready for JSON."""

    source: str
    symbol: str
    timeframe: str | None
    """None when the spacing is that of no timeframe."""
    rows: int
    bars: int | None
    """Bars after repair; None when a finding is fatal."""
    first: str | None
    last: str | None
    """UTC open times of the first and last bar, ISO 8601."""
    has_taker: bool
    has_funding: bool
    digest: str | None
    findings: tuple[Finding, ...]

    @property
    def fatal(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.outcome == "fatal")


def examine(raw: RawBars, *, symbol: str, source: str, policy: CheckPolicy) -> tuple[Bars | None, DataReport]:
    """Checked and mended bars with the report of what was found; None for bars when something is fatal."""
    work = _Examination(raw, policy)
    step = work.run()
    bars = None
    if step is not None and not any(finding.outcome == "fatal" for finding in work.findings):
        bars = sealed(work.bars(symbol, step, source))
    report = DataReport(
        source=source,
        symbol=symbol,
        timeframe=None if step is None else name_of(step),
        rows=len(raw),
        bars=None if bars is None else len(bars),
        first=utc_text(int(work.times[0])) if len(raw) else None,
        last=utc_text(int(work.times[-1])) if len(raw) else None,
        has_taker="taker_buy_volume" in work.columns,
        has_funding="funding_rate" in work.columns,
        digest=None if bars is None else bars.digest,
        findings=tuple(work.findings),
    )
    return bars, report


class _Examination:
    """Columns on their way from raw to usable; ``rows`` remembers where in the file each bar stood."""

    def __init__(self, raw: RawBars, policy: CheckPolicy) -> None:
        self.policy = policy
        self.findings: list[Finding] = []
        self.times: Ints = raw.open_time
        self.rows: Ints = np.arange(1, len(raw) + 1)
        self.columns: dict[str, Floats] = {}
        for name in (*PRICE_COLUMNS, *OPTIONAL_COLUMNS):
            column = getattr(raw, name)
            if column is not None:
                self.columns[name] = column

    def run(self) -> int | None:
        """All checks, repairs included; the bars' spacing in ms, or None when there is none to speak of."""
        if len(self.times) < 2:
            self._add("too_few", "fatal", f"{len(self.times)} bars; at least 2 are needed", 1, None)
            return None
        self._optional_columns()
        self._order()
        self._duplicates()
        self._prices()
        self._volumes()
        step = self._spacing()
        if step is not None and self._on_grid(step):
            self._long_gaps(step)
            self._short_gaps(step)
        return step

    def bars(self, symbol: str, step_ms: int, source: str) -> Bars:
        return Bars(
            symbol=symbol,
            step_ms=step_ms,
            open_time=self.times,
            open=self.columns["open"],
            high=self.columns["high"],
            low=self.columns["low"],
            close=self.columns["close"],
            volume=self.columns["volume"],
            taker_buy_volume=self.columns.get("taker_buy_volume"),
            funding_rate=self.columns.get("funding_rate"),
            source=source,
        )

    def _add(self, kind: str, outcome: Outcome, text: str, count: int, index: int | None) -> None:
        if outcome == "repaired" and not self.policy.repair:
            outcome, text = "fatal", f"{text} (a repair that was not allowed)"
        row = None if index is None else int(self.rows[index])
        time = None if index is None else utc_text(int(self.times[index]))
        self.findings.append(Finding(kind, outcome, text, count, row, time))

    def _find(self, kind: str, outcome: Outcome, where: Mask, text: str) -> bool:
        """Record the bars of *where*, if any; the first in the file gives the place."""
        if not where.any():
            return False
        hits = np.flatnonzero(where)
        self._add(kind, outcome, text, len(hits), int(hits[np.argmin(self.rows[hits])]))
        return True

    def _keep(self, index: Mask | Ints | slice) -> None:
        self.times, self.rows = self.times[index], self.rows[index]
        self.columns = {name: column[index] for name, column in self.columns.items()}

    def _optional_columns(self) -> None:
        for name in OPTIONAL_COLUMNS:
            if name in self.columns and np.isnan(self.columns[name]).all():
                self._add("empty_column", "note", f"column {name} is empty: taken as not there", 1, None)
                del self.columns[name]
        if "funding_rate" in self.columns:
            rates = self.columns["funding_rate"]
            none_due = np.isnan(rates)
            if self._find("no_funding", "repaired", none_due, "no funding_rate: 0, none due at that bar"):
                self.columns["funding_rate"] = np.where(none_due, 0.0, rates)
            self._find("not_finite", "fatal", np.isinf(rates), "funding_rate is infinite; correct it")

    def _order(self) -> None:
        older = np.diff(self.times, prepend=self.times[:1]) < 0
        if self._find("out_of_order", "repaired", older, "older than the row before it: sorted by time"):
            self._keep(np.argsort(self.times, kind="stable"))

    def _duplicates(self) -> None:
        again = np.diff(self.times) == 0
        if not again.any():
            return
        same = np.ones(len(again), dtype=np.bool_)
        for column in self.columns.values():
            same &= (column[1:] == column[:-1]) | (np.isnan(column[1:]) & np.isnan(column[:-1]))
        second = np.concatenate(([False], again))
        differs = np.concatenate(([False], again & ~same))
        self._find("conflict", "fatal", differs, "another bar of the same time differs; keep the right one")
        self._find("duplicate", "repaired", second & ~differs, "the same bar again: dropped")
        self._keep(~second)

    def _prices(self) -> None:
        opened, high, low, close = (self.columns[name] for name in ("open", "high", "low", "close"))
        finite = np.isfinite(opened) & np.isfinite(high) & np.isfinite(low) & np.isfinite(close)
        self._find("not_finite", "fatal", ~finite, "a price is missing, NaN or infinite; correct or remove the bar")
        least = np.minimum(np.minimum(opened, close), np.minimum(high, low))
        self._find("not_positive", "fatal", least <= 0, "a price is zero or negative; correct or remove the bar")
        outside = (high < np.maximum(opened, close)) | (low > np.minimum(opened, close)) | (high < low)
        text = "high and low do not enclose open and close; correct the bar"
        self._find("not_enclosing", "fatal", outside & finite, text)

    def _volumes(self) -> None:
        volume = self.columns["volume"]
        bad = ~np.isfinite(volume)
        self._find("not_finite", "fatal", bad, "volume is missing, NaN or infinite; correct or remove the bar")
        self._find("negative_volume", "fatal", volume < 0, "volume is negative; correct the bar")
        self._find("zero_volume", "note", volume == 0, "no trade in the bar: kept as it is")
        if "taker_buy_volume" not in self.columns:
            return
        taker = self.columns["taker_buy_volume"]
        text = "taker_buy_volume is missing, NaN or infinite; correct it or leave the column out"
        self._find("not_finite", "fatal", ~np.isfinite(taker), text)
        self._find("negative_volume", "fatal", taker < 0, "taker_buy_volume is negative; correct the bar")
        above = taker > volume
        if not above.any():
            return
        rounding = above & (taker * (1 - _ROUNDING) <= volume)
        self._find("taker_above", "fatal", above & ~rounding, "taker_buy_volume is above volume; correct the bar")
        text = "taker_buy_volume above volume by a rounding error: cut to volume"
        if self._find("taker_rounding", "repaired", rounding, text):
            self.columns["taker_buy_volume"] = np.minimum(taker, volume)

    def _spacing(self) -> int | None:
        steps = np.diff(self.times)
        step = int(np.median(steps)) if len(steps) else 0
        if name_of(step) is not None:
            return step
        text = f"bars are {step / 1000:g} s apart; it must be one of {', '.join(TIMEFRAMES)}"
        self._add("spacing", "fatal", text, 1, None)
        return None

    def _on_grid(self, step: int) -> bool:
        phase = (self.times - self.times[0]) % step
        if not phase.any():
            return True
        phases, counts = np.unique(phase, return_counts=True)
        off = phase != phases[np.argmax(counts)]
        text = f"not a whole number of bars ({name_of(step)}) from the others; correct or remove it"
        return not self._find("off_grid", "fatal", off, text)

    def _long_gaps(self, step: int) -> None:
        missing = np.diff(self.times, prepend=self.times[0] - step) // step - 1
        long = missing > self.policy.fill_up_to
        if not long.any():
            return
        at = int(np.argmax(long))
        gap = f"{missing[at]:,} bars are missing before it, over the {self.policy.fill_up_to} that are filled"
        if self.policy.long_gaps == "error":
            self._find("long_gap", "fatal", long, f"{gap}; fetch them, or keep only the longest stretch")
            return
        edges = np.concatenate(([0], np.flatnonzero(long), [len(self.times)]))
        spans = self.times[edges[1:] - 1] - self.times[edges[:-1]]
        longest = int(np.argmax(spans))
        start, stop = int(edges[longest]), int(edges[longest + 1])
        kept = f"rows {self.rows[start]} to {self.rows[stop - 1]} kept, the longest stretch"
        self._find("long_gap", "repaired", long, f"{gap}: {kept}")
        self._keep(slice(start, stop))

    def _short_gaps(self, step: int) -> None:
        missing = np.diff(self.times, prepend=self.times[0] - step) // step - 1
        short = (missing > 0) & (missing <= self.policy.fill_up_to)
        total = int(missing[short].sum())
        if total > MAX_FILLED_SHARE * len(self.times):
            text = f"{total:,} of {len(self.times) + total:,} bars are missing, too many to fill; fetch them"
            self._find("too_sparse", "fatal", short, text)
        elif self._find(
            "gap", "repaired", short, f"bars missing before it ({total:,} in all): filled flat, volume 0"
        ):
            self._fill(step)

    def _fill(self, step: int) -> None:
        places = (self.times - self.times[0]) // step
        there = np.zeros(int(places[-1]) + 1, dtype=np.bool_)
        there[places] = True
        last = np.cumsum(there) - 1  # for every bar of the grid, the last one that was there
        close = self.columns["close"][last]
        for name, column in self.columns.items():
            flat = close if name in ("open", "high", "low", "close") else 0.0
            self.columns[name] = np.where(there, column[last], flat)
        self.times = self.times[0] + step * np.arange(len(there))
        self.rows = self.rows[last]

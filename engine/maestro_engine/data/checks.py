"""checks owns what makes bars usable: every fault found, counted and placed, then mended as stated or refused."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from maestro_engine.data.bars import Bars, Floats, Ints
from maestro_engine.data.digest import OPTIONAL_COLUMNS, PRICE_COLUMNS, sealed
from maestro_engine.data.faults import clock, funding, hours, prices
from maestro_engine.data.findings import CHANGES_KEPT, BarChange, CheckPolicy, DataFinding, DataReport, Outcome
from maestro_engine.data.readers.column_names import RawBars
from maestro_engine.data.timeframes import TIMEFRAMES, name_of, utc_text
from maestro_protocol.errors import DataError

Mask = npt.NDArray[np.bool_]

MAX_FILLED_SHARE = 0.1
"""More missing bars than this share of those there, and the file is refused rather than filled."""
_MOSTLY = 0.9
"""Share of rows that go back in time in a file that is newest first; a clock set back makes some that do not."""
_ROUNDING = 1e-9  # relative; sums of decimals kept as floats miss each other by less


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
        self.raw = raw
        self.policy = policy
        self.findings: list[DataFinding] = []
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
        for note in self.raw.notes:
            changes = [self._change(row - 1, "header", "there", None) for row in note.rows if row <= len(self.rows)]
            self._add(note.kind, "repaired" if note.repaired else "note", note.text, note.count, None, changes)
        self._optional_columns()
        self._newest_first()
        if not self._in_utc():
            return self._usual_step()
        self._close_times()
        self._order()
        self._duplicates()
        self._prices()
        self._volumes()
        step = self._spacing()
        if step is not None and self._on_grid(step):
            self._breaks(step)
            self._funding(step)
            if self._trades_around_the_clock(step):
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

    def _add(
        self,
        kind: str,
        outcome: Outcome,
        text: str,
        count: int,
        index: int | None,
        changes: Iterable[BarChange] = (),
    ) -> None:
        if outcome == "repaired" and not self.policy.repair:
            outcome, text, changes = "fatal", f"{text} (a repair that was not allowed)", ()
        row = None if index is None else int(self.rows[index])
        time = None if index is None else utc_text(int(self.times[index]))
        self.findings.append(DataFinding(kind, outcome, text, count, row, time, tuple(changes)))

    def _find(
        self,
        kind: str,
        outcome: Outcome,
        where: Mask,
        text: str,
        change: tuple[str, Floats | None, Floats | float | None] | None = None,
    ) -> bool:
        """Record the bars of *where*, if any; the first in the file gives the place.

        *change*: what a repair does to each of them: to what, from which values, to which.
        """
        if not where.any():
            return False
        hits = np.flatnonzero(where)
        changes: list[BarChange] = []
        if change is not None:
            what, before, after = change
            shown = (int(hit) for hit in hits[:CHANGES_KEPT])
            changes = [self._change(hit, what, _value(before, hit), _value(after, hit)) for hit in shown]
        self._add(kind, outcome, text, len(hits), int(hits[np.argmin(self.rows[hits])]), changes)
        return True

    def _change(self, index: int, what: str, before: str | None, after: str | None) -> BarChange:
        return BarChange(int(self.rows[index]), utc_text(int(self.times[index])), what, before, after)

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
            text = "no funding_rate: 0, none due at that bar"
            if self._find("no_funding", "repaired", none_due, text):
                self.columns["funding_rate"] = np.where(none_due, 0.0, rates)
            self._find("not_finite", "fatal", np.isinf(rates), "funding_rate is infinite; correct it")

    def _newest_first(self) -> None:
        if np.mean(np.diff(self.times) < 0) > _MOSTLY:
            count = len(self.times)
            text = f"newest first: all {count:,} rows turned around"
            self._add("newest_first", "repaired", text, 1, None, [self._change(0, "row", "1", str(count))])
            self._keep(slice(None, None, -1))

    def _usual_step(self) -> int | None:
        """The commonest distance of consecutive times, ms, whatever their order; None where it is no timeframe."""
        step = int(np.median(np.abs(np.diff(self.times))))
        return step if name_of(step) is not None else None

    def _in_utc(self) -> bool:
        """Whether the times are UTC, or could be made so."""
        zone = self.policy.time_zone
        if zone is not None and not self.raw.local_times:
            if zone.upper() == "UTC":
                return True
            text = f"the times say their zone themselves: leave out the time zone {zone}"
            self._add("time_zone", "fatal", text, 1, None)
            return False
        if zone is not None:
            try:
                utc = clock.to_utc(self.times, zone)
            except DataError as error:
                self._add("time_zone", "fatal", str(error), 1, None)
                return False
            if not np.array_equal(utc, self.times):
                place = [
                    self._change(0, "time", f"{utc_text(int(self.times[0]))[:-1]} {zone}", utc_text(int(utc[0])))
                ]
                self._add("time_zone", "note", f"local times of {zone}: as UTC", len(utc), None, place)
                self.times = utc
            return True
        step = self._usual_step()
        change = clock.clock_change(self.times, step) if self.raw.local_times and step is not None else None
        if change is None:
            return True
        what = "an hour is missing before it" if change.missing else "the hour before it comes again"
        text = (
            f"{what}, on the day when clocks change ({change.where}): local times without a zone; nothing is filled: "
            "say which zone they are of with --time-zone (like Europe/Berlin, or UTC where they are UTC all the same)"
        )
        self._add("clock_change", "fatal", text, 1, change.index)
        return False

    def _close_times(self) -> None:
        step = self._usual_step()
        offset = 0 if step is None else clock.close_time_offset(self.times, step)
        if offset:
            opened = self.times - offset
            place = [self._change(0, "time", utc_text(int(self.times[0])), utc_text(int(opened[0])))]
            text = f"the times are the bars' last ({offset:,} ms into each): close times, moved to the open times"
            self._add("close_times", "repaired", text, len(opened), None, place)
            self.times = opened

    def _order(self) -> None:
        older = np.diff(self.times, prepend=self.times[:1]) < 0
        text = "older than the row before it: sorted by time"
        if self._find(
            "out_of_order", "repaired", older, text, ("place in the file", self.rows.astype(np.float64), None)
        ):
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
        dropped = ("row", self.rows.astype(np.float64), None)
        self._find("duplicate", "repaired", second & ~differs, "the same bar again: dropped", dropped)
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
        wick, factor = prices.wicks(opened, high, low, close)
        wick &= finite & (least > 0) & ~outside
        if wick.any():
            first = int(np.flatnonzero(wick)[np.argmin(self.rows[wick])])
            text = f"high or low {factor[first]:,.3g} times away from open and close: kept; see whether it was traded"
            self._find("wick", "note", wick, text)

    def _breaks(self, step: int) -> None:
        broken, ratio = prices.breaks(self.times, self.columns["open"], self.columns["close"], step)
        if broken.any():
            first = int(np.flatnonzero(broken)[np.argmin(self.rows[broken])])
            text = f"opens at {ratio[first]:,.4g} times the close right before it: another unit; correct the bars"
            self._find("price_break", "fatal", broken, text)

    def _funding(self, step: int) -> None:
        rates = self.columns.get("funding_rate")
        if rates is None or not np.isfinite(rates).all():
            return
        unit = self.policy.funding_unit
        if unit is not None:
            self.columns["funding_rate"] = rates = rates * funding.UNITS[unit]
            if unit != "rate":
                self._add("funding_unit", "note", f"funding is in {unit}: as a rate", int((rates != 0).sum()), None)
        faults = (
            funding.impossible_rates(rates) if unit != "rate" else None,
            funding.repeated_rates(rates, self.times, step),
            funding.between_hours(rates, self.times),
        )
        for fault in faults:
            if fault is not None:
                self._add(fault.kind, fault.outcome, fault.text, fault.count, fault.index)

    def _trades_around_the_clock(self, step: int) -> bool:
        closed = hours.closed_hours(self.times, step)
        if closed is None:
            return True
        text = (
            f"a market with sessions: closed from {closed} UTC, and no gap in the data; Maestro needs a market that "
            "trades around the clock, since windows, funding and holding times count on it: give bars of one"
        )
        self._add("closed_hours", "fatal", text, 1, None)
        return False

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
        if self._find("taker_rounding", "repaired", rounding, text, ("taker_buy_volume", taker, volume)):
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
            late = int(self.times[0]) % step if step <= clock.HOUR_MS else 0
            if late:
                text = f"bars begin {late / 1000:g} s into one of the UTC clock: kept; see if times are right"
                self._add("off_clock", "note", text, len(self.times), 0)
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
        left_out = [
            self._change(
                int(edges[part]), "rows", f"{self.rows[edges[part]]} to {self.rows[edges[part + 1] - 1]}", None
            )
            for part in range(min(len(edges) - 1, CHANGES_KEPT))
            if part != longest
        ]
        count = int(long.sum())
        self._add("long_gap", "repaired", f"{gap}: {kept}", count, at, left_out)
        self._keep(slice(start, stop))

    def _short_gaps(self, step: int) -> None:
        missing = np.diff(self.times, prepend=self.times[0] - step) // step - 1
        short = (missing > 0) & (missing <= self.policy.fill_up_to)
        total = int(missing[short].sum())
        if total > MAX_FILLED_SHARE * len(self.times):
            text = f"{total:,} of {len(self.times) + total:,} bars are missing, too many to fill; fetch them"
            self._find("too_sparse", "fatal", short, text)
        elif total:
            places = np.flatnonzero(short)
            text = f"bars missing before it ({total:,} in all): filled flat, volume 0"
            filled = [self._filling(int(place), int(missing[place]), step) for place in places[:CHANGES_KEPT]]
            self._add("gap", "repaired", text, len(places), int(places[np.argmin(self.rows[places])]), filled)
            self._fill(step)

    def _filling(self, place: int, missing: int, step: int) -> BarChange:
        first, last = (utc_text(int(self.times[place]) - back * step) for back in (missing, 1))
        span = first if missing == 1 else f"{first} to {last}"
        return self._change(place, f"{missing} before it", None, f"{span} at {self.columns['close'][place - 1]:.12g}")

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


def _value(values: Floats | float | None, index: int) -> str | None:
    """The value at *index* of a column, or the one for all, in as few digits as say it."""
    if values is None:
        return None
    return f"{float(values[index]) if isinstance(values, np.ndarray) else values:.17g}"

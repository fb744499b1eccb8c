"""findings owns what is found in bars: faults, their places, what was changed; a report of a file; what is mended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["fatal", "repaired", "note"]
FundingUnit = Literal["rate", "percent", "bps"]

CHANGES_KEPT = 1_000
"""Changes listed for one finding; of more the count alone is known."""


@dataclass(frozen=True, slots=True)
class CheckPolicy:
    """What may be mended. Gaps of up to ``fill_up_to`` bars are filled with flat bars of zero volume."""

    repair: bool = True
    """False: whatever would need a repair is fatal."""
    fill_up_to: int = 12
    long_gaps: Literal["error", "longest"] = "error"
    """A longer gap is an error, or the longest stretch without one is kept and the rest left out."""
    time_zone: str | None = None
    """IANA name of the zone of times that name none; None: UTC, unless a clock change shows that they are not."""
    funding_unit: FundingUnit | None = None
    """What a funding of 1 means: all of the notional, a percent, a basis point; None: all, where that can be."""


STRICT = CheckPolicy(repair=False)


@dataclass(frozen=True, slots=True)
class BarChange:
    """One place that a repair changed."""

    row: int
    """Data row, counted from 1, a header not counted."""
    time: str
    """UTC open time of that row, ISO 8601."""
    what: str
    """A column, or what of the row it was."""
    before: str | None
    after: str | None
    """None: not there, before or after."""

    @property
    def line(self) -> str:
        return f"row {self.row} ({self.time}): {self.what} {self.before or 'none'} -> {self.after or 'none'}"


@dataclass(frozen=True, slots=True)
class DataFinding:
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
    changes: tuple[BarChange, ...] = ()
    """What the repair changed, in the order of time: the first ``CHANGES_KEPT``."""

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
    findings: tuple[DataFinding, ...]

    @property
    def fatal(self) -> tuple[DataFinding, ...]:
        return tuple(finding for finding in self.findings if finding.outcome == "fatal")

"""report owns what is exported when a session ends: final_report.json, metrics.json, metrics.csv."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from maestro_engine.session.evidence.metrics import LatencyFigures, Metrics, Sample
from maestro_engine.session.evidence.scrub import Scrubber
from maestro_engine.session.evidence.summary import summary_page
from maestro_engine.session.safety.controls import Clearing

ARTIFACTS = ("events.jsonl", "metrics.json", "metrics.csv", "summary.html", "final_report.json", "state.json")
Status = Literal["completed", "failed"]


class FinalReport(Struct, frozen=True):
    """The end of a session. Money in quote currency, as text: ``net_pnl`` is ending minus starting, to the digit."""

    version: int
    run: str
    status: Status
    reason: str
    exit_code: int
    env: str
    source: str
    symbol: str
    methods: tuple[str, ...]
    planned_seconds: float
    duration_seconds: float
    error_count: int
    starting_equity: Decimal
    ending_equity: Decimal
    net_pnl: Decimal
    fees_total: Decimal
    funding_total: Decimal
    position: Decimal
    """What is still held: 0 unless it could not be closed."""
    trades: int
    wins: int
    losses: int
    orders: int
    fills: int
    rejects: int
    breakers: tuple[str, ...]
    """Those that were tripped at the end."""
    flat_ms: int | None
    """From the decision to end until flat; None when nothing was held then."""
    rss_mb_peak: float
    events: int
    disconnects: int
    restarts: int
    frame_to_decision: LatencyFigures
    processing: LatencyFigures
    order_to_fill: LatencyFigures
    feed: dict[str, object]
    """The feed's own counters."""
    digest: str
    """SHA-256 of the configuration without its duration."""
    cleared: tuple[Clearing, ...] = ()
    """What people cleared while it ran."""


class _MetricsFile(Struct, frozen=True):
    run: str
    frame_to_decision: LatencyFigures
    processing: LatencyFigures
    order_to_fill: LatencyFigures
    rss_mb_peak: float
    feed: dict[str, object]
    samples: tuple[Sample, ...]


def export(folder: Path, report: FinalReport, metrics: Metrics, scrub: Scrubber) -> None:
    """Write metrics (JSON, CSV), the summary page and, last, the final report into *folder*."""
    figures = (report.frame_to_decision, report.processing, report.order_to_fill)
    everything = _MetricsFile(report.run, *figures, report.rss_mb_peak, report.feed, tuple(metrics.samples))
    _write(folder / "metrics.json", _json(everything), scrub)
    _csv(folder / "metrics.csv", metrics)
    _write(folder / "summary.html", summary_page(report.run, _rows(report), metrics.samples), scrub)
    _write(folder / "final_report.json", _json(report), scrub)


def read_report(folder: Path) -> FinalReport | None:
    """The final report in *folder*; None where there is none that can be read."""
    try:
        return msgspec.json.decode((folder / "final_report.json").read_bytes(), type=FinalReport)
    except (OSError, msgspec.DecodeError):
        return None


def _json(record: Struct) -> str:
    return msgspec.json.format(msgspec.json.encode(record), indent=1).decode() + "\n"


def _write(path: Path, text: str, scrub: Scrubber) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text(scrub.clean(text), encoding="utf-8")
    new.replace(path)


def _csv(path: Path, metrics: Metrics) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(Sample.__struct_fields__)
        rows.writerows(msgspec.structs.astuple(sample) for sample in metrics.samples)


def _rows(report: FinalReport) -> list[tuple[str, str]]:
    plain: dict[str, object] = msgspec.to_builtins(report)
    flat = {name: value for name, value in plain.items() if not isinstance(value, dict)}
    latency = report.frame_to_decision
    flat["frame_to_decision_p99_ms"] = latency.p99_ms
    return [(name.replace("_", " "), "–" if value is None else str(value)) for name, value in flat.items()]

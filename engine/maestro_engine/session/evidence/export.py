"""export owns the files that are left when a session ends: metrics, the summary page and the final report."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec import Struct

from maestro_engine.session.config import SessionConfig
from maestro_engine.session.evidence.metrics import LatencyFigures, Sample, SessionMetrics
from maestro_engine.session.evidence.report import FinalReport
from maestro_engine.session.evidence.story import Story, read_story
from maestro_engine.session.evidence.summary import summary_page
from maestro_engine.session.trail.scrub import Scrubber
from maestro_engine.trading.venue.money import json_of, plain
from maestro_protocol.errors import DataError


class _MetricsFile(Struct, frozen=True):
    run: str
    frame_to_decision: LatencyFigures
    processing: LatencyFigures
    order_to_fill: LatencyFigures
    rss_mb_peak: float
    feed: dict[str, object]
    samples: tuple[Sample, ...]


def export(
    folder: Path, report: FinalReport, config: SessionConfig, metrics: SessionMetrics, scrub: Scrubber
) -> None:
    """Write metrics (JSON, CSV), the summary page and, last, the final report into *folder*."""
    figures = (report.frame_to_decision, report.processing, report.order_to_fill)
    everything = _MetricsFile(report.run, *figures, report.rss_mb_peak, report.feed, tuple(metrics.samples))
    _write(folder / "metrics.json", _json(everything), scrub)
    _csv(folder / "metrics.csv", metrics)
    _write(folder / "summary.html", _page(folder, report, config), scrub)
    _write(folder / "final_report.json", _json(report), scrub)


def _json(record: Struct) -> str:
    return msgspec.json.format(json_of(record), indent=1).decode() + "\n"


def _write(path: Path, text: str, scrub: Scrubber) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text(scrub.clean(text), encoding="utf-8")
    new.replace(path)


def _csv(path: Path, metrics: SessionMetrics) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(Sample.__struct_fields__)
        for sample in metrics.samples:
            values = msgspec.structs.astuple(sample)
            rows.writerow(plain(value) if isinstance(value, Decimal) else value for value in values)


def _page(folder: Path, report: FinalReport, config: SessionConfig) -> str:
    try:
        return summary_page(report, config, read_story(folder / "events.jsonl"))
    except DataError as error:
        return summary_page(report, config, Story(), (f"The trail cannot be told: {error}.",))

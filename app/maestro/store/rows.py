"""rows owns how messages and results become rows, and how they come back, to the byte."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from maestro.store.database import inserting
from maestro_protocol.base import MICRO
from maestro_protocol.config import RunConfig
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import StoreError
from maestro_protocol.ids import CampaignId, RunId
from maestro_protocol.messages.report import TestReport
from maestro_protocol.ports import EpisodeScore, Stored, TestOutcome

JOURNAL = inserting("journal", ("campaign", "seq", "id", "type", "time_ms", "json_text"))
RUNS = inserting("runs", ("campaign", "run_id", "parent_run", "because", "engine", "config"))
_FIGURES = ("n_trades", "total_pnl_micros", "report", "episodes", "score_lines", "trade_lines")
RESULTS = inserting("results", ("campaign", "run_id", "seq", *_FIGURES))


class _Episodes(msgspec.Struct, frozen=True):
    """Episodes as arrays under the names of their columns; floats keep every bit."""

    columns: tuple[str, ...]
    rows: msgspec.Raw


def journal_rows(campaign: CampaignId, entries: Iterable[Envelope]) -> list[dict[str, Any]]:
    return [
        {
            "campaign": campaign,
            "seq": entry.seq,
            "id": entry.id,
            "type": entry.body.type,
            "time_ms": entry.time,
            "json_text": entry.model_dump_json(),
        }
        for entry in entries
    ]


def run_rows(campaign: CampaignId, configs: Iterable[RunConfig]) -> list[dict[str, Any]]:
    return [
        {
            "campaign": campaign,
            "run_id": config.run_id,
            "parent_run": config.parent_run,
            "because": config.because,
            "engine": config.engine,
            "config": config.model_dump_json(),
        }
        for config in configs
    ]


def result_rows(campaign: CampaignId, seq: int, results: Sequence[Stored]) -> list[dict[str, Any]]:
    return [
        {
            "campaign": campaign,
            "run_id": run_id,
            "seq": seq,
            "n_trades": outcome.n_trades,
            "total_pnl_micros": _micros(outcome),
            "report": outcome.report.model_dump_json(),
            "episodes": _packed(outcome.episodes),
            "score_lines": outcome.scores_jsonl,
            "trade_lines": outcome.trades_jsonl,
        }
        for run_id, _config, outcome in results
    ]


def stored(
    config: str,
    run: RunId,
    n_trades: int,
    total_pnl_micros: int,
    report: str,
    episodes: str,
    trade_lines: bytes,
    score_lines: bytes,
) -> Stored:
    """A result from what the database has of it. Raises StoreError where its total is not that of its report."""
    outcome = TestOutcome(
        report=TestReport.model_validate_json(report),
        episodes=_unpacked(run, episodes),
        n_trades=n_trades,
        trades_jsonl=trade_lines,
        scores_jsonl=score_lines,
    )
    if total_pnl_micros != _micros(outcome):
        raise StoreError(f"run {run}: its total_pnl_micros is not its report's: it was altered since; restore a copy")
    return Stored(run, RunConfig.model_validate_json(config), outcome)


def _micros(outcome: TestOutcome) -> int:
    return int(outcome.report.whole.total_pnl * MICRO)


def _packed(episodes: Sequence[EpisodeScore]) -> str:
    rows = msgspec.Raw(msgspec.json.encode(episodes))
    return msgspec.json.encode(_Episodes(EpisodeScore._fields, rows)).decode()


def _unpacked(run: RunId, packed: str) -> tuple[EpisodeScore, ...]:
    found = msgspec.json.decode(packed, type=_Episodes)
    if found.columns != EpisodeScore._fields:
        raise StoreError(f"run {run}: its episodes were written by another Maestro; read them with that one")
    return msgspec.json.decode(found.rows, type=tuple[EpisodeScore, ...])

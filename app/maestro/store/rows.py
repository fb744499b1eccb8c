"""rows owns how messages and results become rows, and how they come back, to the byte."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from maestro_protocol.base import MICRO
from maestro_protocol.config import RunConfig
from maestro_protocol.envelope import ENVELOPE, Envelope
from maestro_protocol.ids import CampaignId, MessageId
from maestro_protocol.messages.report import TestReport
from maestro_protocol.ports import EpisodeScore, Stored, TestOutcome


class Record(NamedTuple):
    """One line of a journal, not yet validated: a journal of 100,000 is read in a fraction of a second this way."""

    seq: int
    id: MessageId
    type: str
    time: int
    """UTC milliseconds."""
    json: str
    """The envelope exactly as it was journalled."""

    def envelope(self) -> Envelope:
        return ENVELOPE.validate_json(self.json)


class _Episode(msgspec.Struct, array_like=True, frozen=True):
    """The wire form of an :class:`EpisodeScore`; floats keep every bit."""

    episode: int
    phase: int
    n_trades: int
    hit: float | None
    payoff: float | None
    total_pnl: int
    maxdd: float
    blunders: int
    high_vol: bool | None


_EPISODES = msgspec.json.Decoder(tuple[_Episode, ...])


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
            "total_pnl_micros": int(outcome.report.whole.total_pnl * MICRO),
            "report": outcome.report.model_dump_json(),
            "episodes": msgspec.json.encode(outcome.episodes).decode(),
            "score_lines": outcome.scores_jsonl,
            "trade_lines": outcome.trades_jsonl,
        }
        for run_id, _config, outcome in results
    ]


def stored(config: str, row: dict[str, Any]) -> Stored:
    """The result whose run config is *config* and whose row in ``results`` is *row*."""
    episodes = _EPISODES.decode(row["episodes"])
    outcome = TestOutcome(
        report=TestReport.model_validate_json(row["report"]),
        episodes=tuple(EpisodeScore(*msgspec.structs.astuple(one)) for one in episodes),
        n_trades=row["n_trades"],
        trades_jsonl=bytes(row["trade_lines"]),
        scores_jsonl=bytes(row["score_lines"]),
    )
    return Stored(row["run_id"], RunConfig.model_validate_json(config), outcome)

"""A campaign leaves every file it promises, each valid by its type and its published schema, and the sums agree."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from campaign_support import settings_in
from pydantic import TypeAdapter

from maestro.wiring.campaigns import CampaignRequest, CampaignRun, run_campaign
from maestro_protocol.config import RunConfig
from maestro_protocol.envelope import Envelope
from maestro_protocol.messages.campaign import CampaignConfig, CampaignFinished, Exhibits
from maestro_protocol.messages.events import BatchFinished, ScoreEvent, TradeEvent
from maestro_protocol.messages.plan import OnePagePlan, SegmentPlan
from maestro_protocol.messages.report import SegmentFinished

SCHEMAS = Path(__file__).parents[2] / "specs" / "schemas"
REAL = "binance_usdm_BTCUSDT_5m_2025-01_2025-06.parquet"


def _ran(folder: Path, **request: Any) -> CampaignRun:
    return asyncio.run(run_campaign(CampaignRequest(**request), settings_in(folder), lambda progress: None, 2))


@pytest.fixture(scope="module", params=["made_up", pytest.param("real", marks=pytest.mark.slow)])
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CampaignRun:
    """A campaign as a user asks for it: 80 tests on the built-in market, and all 500 on real data."""
    folder = tmp_path_factory.mktemp(f"ran_{request.param}")
    if request.param == "made_up":
        return _ran(folder, tests=80)
    market_data: Path = request.getfixturevalue("market_data")
    return _ran(folder, data=market_data / "klines" / REAL)


@pytest.fixture(scope="session")
def asyncio_default_fixture_loop_scope() -> str:
    return "session"


def _tests(ran: CampaignRun) -> Iterator[Path]:
    return iter(sorted(ran.folder.glob("segment_*/test_*")))


def _validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((SCHEMAS / f"{name}.schema.json").read_text()))


def _valid(raw: object, kind: type[Any], schema: jsonschema.Draft202012Validator) -> Any:
    """*raw* as *kind*, strictly: also by the published schema, and no field of it is the reader's guess."""
    schema.validate(raw)
    return TypeAdapter(kind).validate_json(json.dumps(raw))


def _exact(line: bytes) -> dict[str, Any]:
    return json.loads(line, parse_float=Decimal, parse_int=Decimal)


def test_every_file_that_is_promised_is_there(ran: CampaignRun) -> None:
    folder = ran.folder
    for name in ("campaign.yaml", "journal.jsonl", "leaderboard.csv", "metrics_global.json", "summary.md",
                 "summary.html", "exhibits.json", "root.yaml", "recordings.jsonl"):  # fmt: skip
        assert (folder / name).is_file(), name
    config = CampaignConfig.model_validate(yaml.safe_load((folder / "campaign.yaml").read_text()))
    assert len(list(folder.glob("segment_*"))) == config.segments
    numbered = 0
    for number in range(1, config.segments + 1):
        segment = folder / f"segment_{number}"
        assert (segment / "segment_plan.json").is_file()
        assert (segment / "segment_results.json").is_file()
        assert (segment / "one_page_plan.json").is_file() == (number % 2 == 0)
        tests = sorted(segment.glob("test_*"))
        assert [test.name for test in tests] == [f"test_{n:03d}" for n in range(1, len(tests) + 1)]
        numbered += len(tests)
        for test in tests:
            assert {p.name for p in test.iterdir()} == {"run.yaml", "trades.jsonl", "scores.jsonl"}
    assert numbered == config.tests == ran.finished.tests
    assert not list(folder.rglob(".*")), "half-written files were left behind"


def test_every_file_holds_what_its_type_and_schema_say(ran: CampaignRun) -> None:
    folder = ran.folder
    of_yaml = [(folder / "campaign.yaml", CampaignConfig), (folder / "root.yaml", RunConfig)]
    of_yaml += [(path, RunConfig) for path in folder.glob("segment_*/*/*.yaml")]
    of_json: list[tuple[Path, type[Any]]] = [(folder / "metrics_global.json", CampaignFinished)]
    of_json += [(path, SegmentPlan) for path in folder.glob("segment_*/segment_plan.json")]
    of_json += [(path, SegmentFinished) for path in folder.glob("segment_*/segment_results.json")]
    of_json += [(path, OnePagePlan) for path in folder.glob("segment_*/one_page_plan.json")]
    schemas = {kind.__name__: _validator(kind.__name__) for _, kind in [*of_yaml, *of_json]}
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path, kind in of_yaml:
        assert _valid(yaml.load(path.read_bytes(), loader), kind, schemas[kind.__name__]) is not None
    for path, kind in of_json:
        assert _valid(json.loads(path.read_bytes()), kind, schemas[kind.__name__]) is not None
    assert Exhibits.model_validate_json((folder / "exhibits.json").read_bytes()).version == 1


def test_every_line_holds_what_its_type_and_schema_say(ran: CampaignRun) -> None:
    envelopes, trades, scores = _validator("Envelope"), _validator("TradeEvent"), _validator("ScoreEvent")
    lines = (ran.folder / "journal.jsonl").read_bytes().splitlines()
    journal = [_valid(json.loads(line), Envelope, envelopes) for line in lines]
    assert [envelope.seq for envelope in journal] == list(range(1, len(journal) + 1))
    assert journal[0].body.type == "CampaignConfig"
    assert journal[-1].body == ran.finished
    seen = {"trades": 0, "scores": 0}
    for place, test in enumerate(_tests(ran)):
        of_trades = (test / "trades.jsonl").read_bytes().splitlines()
        of_scores = (test / "scores.jsonl").read_bytes().splitlines()
        seen["trades"] += len(of_trades)
        seen["scores"] += len(of_scores)
        for line in of_trades:
            assert TradeEvent.model_validate_json(line)
        for line in of_scores:
            assert ScoreEvent.model_validate_json(line)
        if place % 20 == 0:  # the schema is slow to apply, and all tests write their lines by the same code
            assert not [e for line in of_trades for e in trades.iter_errors(json.loads(line))]
            assert not [e for line in of_scores for e in scores.iter_errors(json.loads(line))]
    assert seen["trades"] == ran.finished.trades > 0
    assert seen["scores"] > ran.finished.tests


def test_what_was_earned_is_the_same_wherever_it_is_told(ran: CampaignRun) -> None:
    """To the last digit, as decimals: lines, segments, leaderboard, batches and the whole."""
    by_test: dict[str, Decimal] = {}
    for test in _tests(ran):
        run_id = f"seg{test.parent.name.removeprefix('segment_')}_{test.name.replace('_', '')}"
        trades, scores = (
            [
                json.loads(line, parse_float=Decimal, parse_int=Decimal)
                for line in (test / name).read_bytes().splitlines()
            ]
            for name in ("trades.jsonl", "scores.jsonl")
        )
        by_test[run_id] = sum((trade["pnl"] for trade in trades), Decimal(0))
        assert {line["test_id"] for line in [*trades, *scores]} == {run_id}
        by_episode: dict[str, Decimal] = {score["episode_id"]: score["total_pnl"] for score in scores}
        for trade in trades:
            by_episode[trade["episode_id"]] -= trade["pnl"]
        assert not any(by_episode.values()), f"{run_id}: an episode's trades do not sum to its score"
        assert sum(score["n_trades"] for score in scores) == len(trades)
    with (ran.folder / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["test_id"]: Decimal(row["total_pnl"]) for row in rows} == by_test
    assert [int(row["rank"]) for row in rows] == list(range(1, len(rows) + 1))
    total = sum(by_test.values(), Decimal(0))
    segments = [
        json.loads(path.read_bytes(), parse_float=Decimal)
        for path in ran.folder.glob("segment_*/segment_results.json")
    ]
    assert sum(Decimal(segment["whole"]["total_pnl"]) for segment in segments) == total
    for segment in segments:
        told = {result["test_id"]: Decimal(result["whole"]["total_pnl"]) for result in segment["results"]}
        assert told == {run: pnl for run, pnl in by_test.items() if run.startswith(f"seg{segment['segment']}_")}
    whole = json.loads((ran.folder / "metrics_global.json").read_bytes(), parse_float=Decimal)
    assert Decimal(whole["total_pnl"]) == Decimal(whole["whole"]["total_pnl"]) == total == ran.finished.total_pnl
    lines = (ran.folder / "journal.jsonl").read_bytes().splitlines()
    batches = [e.body for e in map(Envelope.model_validate_json, lines) if isinstance(e.body, BatchFinished)]
    assert sum(batch.total_pnl for batch in batches) == total
    assert sorted(run for batch in batches for run in batch.tests) == sorted(by_test)


def test_the_parts_of_a_test_sum_to_it(ran: CampaignRun) -> None:
    """Train and validation have the trades that lie inside them, start to end; what straddles is the gap's."""
    for path in ran.folder.glob("segment_*/segment_results.json"):
        for result in SegmentFinished.model_validate_json(path.read_bytes()).results:
            lines = path.parent / f"test_{result.test_id.partition('_test')[2]}" / "trades.jsonl"
            trades = [TradeEvent.model_validate_json(line) for line in lines.read_bytes().splitlines()]
            for phase, told in (("train", result.train), ("validation", result.validation)):
                part = [trade for trade in trades if trade.phase == phase]
                assert sum((trade.pnl for trade in part), Decimal(0)) == told.total_pnl
                assert len(part) == told.n_trades
                assert sum(trade.blunder for trade in part) == told.blunders
                assert sum(trade.pnl > 0 for trade in part) == told.wins
            assert result.whole.gross_win + result.whole.gross_loss == result.whole.total_pnl
            assert (result.whole.hit is None) == (result.whole.n_trades == 0)
            assert (result.whole.payoff is None) == (result.whole.wins == 0 or result.whole.losses == 0)

"""A session that nothing troubles: it trades, ends in time, and its evidence adds up."""

from __future__ import annotations

import csv
import json
from decimal import Decimal

import pytest
from msgspec.structs import replace

from maestro_engine.feeds.clock import VirtualClock
from maestro_engine.feeds.port import MarkPrice
from maestro_engine.session.evidence.verify import verify

from maestro_engine.session.config import SessionConfig  # isort: skip
from maestro_protocol.errors import ConfigError, ParameterError, UnknownKey
from maestro_protocol.values import as_params


def test_half_an_hour_leaves_evidence_that_passes_the_checklist(undisturbed, sum_of):
    lab, report = undisturbed
    assert (report.status, report.reason, report.exit_code) == ("completed", "duration", 0)
    assert lab.states() == ["INITIALIZING", "SEEDING_HISTORY", "RUNNING", "SHUTTING_DOWN", "COMPLETED"]
    assert report.trades >= 2
    assert report.position == 0
    assert [check for check in verify(lab.folder) if not check.passed] == []
    assert report.net_pnl == report.ending_equity - report.starting_equity == sum_of(lab.told)
    assert report.fees_total == sum(Decimal(line["fees"]) for line in lab.events("ExecutionFill"))
    assert report.net_pnl == sum(Decimal(line["pnl"]) for line in lab.events("ExecutionExit"))


def test_the_trail_is_numbered_without_holes_and_on_disk_as_it_was_told(undisturbed):
    lab, _ = undisturbed
    lines = [json.loads(line) for line in (lab.folder / "events.jsonl").read_text().splitlines()]
    assert lines == lab.told
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert [line["ts"] for line in lines] == sorted(line["ts"] for line in lines)


def test_what_each_record_says(undisturbed):
    lab, _ = undisturbed
    first = lab.told[0]
    assert first["event"] == "SYSTEM_STARTUP"
    assert first["mode"] == "paper"
    assert first["config"]["symbol"] == "BTCUSDT"
    [bye] = lab.events("SYSTEM_SHUTDOWN")
    assert (bye["reason"], bye["exit_code"]) == ("duration", 0)
    assert {"price", "pos", "equity", "unrealized", "elapsed"} <= lab.events("AsyncHeartbeat")[5].keys()
    assert {"side", "price", "qty", "fees", "at", "client_order_id"} <= lab.events("ExecutionFill")[0].keys()
    assert {"reason", "price", "pnl"} <= lab.events("ExecutionExit")[0].keys()
    assert len(lab.events("CandleClosed")) == 30
    assert len(lab.events("AsyncHeartbeat")) >= 1_800


async def test_entry_to_fill_takes_the_configured_latency(lab):
    await lab.run(lab.config(entry_latency_ms=70, response_latency_ms=130))
    sent = {line["client_order_id"]: line["ts"] for line in lab.events("OrderSubmitted") if line["type"] == "market"}
    heard = {line["client_order_id"]: line for line in lab.events("ExecutionFill")}
    assert sent
    for name, at in sent.items():
        assert (heard[name]["at"] - at, heard[name]["ts"] - at) == (70, 200)


def test_metrics_can_be_read(undisturbed):
    lab, report = undisturbed
    metrics = json.loads((lab.folder / "metrics.json").read_text())
    with (lab.folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(metrics["samples"]) == 31
    assert Decimal(rows[0]["equity"]) == report.starting_equity


async def test_the_same_seed_makes_the_same_trades(lab, undisturbed):
    there, first = undisturbed
    trades = [{**line, "seq": 0} for line in there.events("ExecutionFill", "ExecutionExit")]
    again = await lab.run()
    assert [{**line, "seq": 0} for line in lab.events("ExecutionFill", "ExecutionExit")] == trades
    assert again.net_pnl == first.net_pnl


def first_start() -> int:
    from maestro_engine.feeds.sim import SimSettings

    return SimSettings(seed=7).start_ms


async def test_funding_is_paid_when_it_falls_due_and_once(lab):
    due_ms = first_start() + 8 * 3_600_000
    lab.clock = VirtualClock(due_ms - 20 * 60_000)

    def slow_to_notice(event):
        """A source that goes on naming the time that is past."""
        late = isinstance(event, MarkPrice) and 0 <= event.time_ms - due_ms < 90_000
        return [replace(event, next_funding_ms=due_ms) if late else event]

    lab.tamper = slow_to_notice
    report = await lab.run(lab.config(60.0))
    due = [line["due_ms"] for line in lab.events("FundingPaid")]
    assert due == [due_ms]
    assert report.funding_total != 0
    assert report.funding_total == sum(Decimal(line["received"]) for line in lab.events("FundingPaid"))


@pytest.mark.parametrize(
    ("over", "error"),
    [
        ({"params": {"ema_fasd": 3}}, ParameterError),
        ({"params": {"ema_fast": 100_000}}, ParameterError),
        ({"methods": ("no_such",)}, UnknownKey),
        ({"limits": {"max_daily_los": 10}}, UnknownKey),
        ({"limits": {"max_daily_loss_usd": 51}}, ConfigError),
        ({"fills": "bars"}, ConfigError),
    ],
)
def test_a_wrong_configuration_is_refused_before_anything_else(lab, tmp_path, over, error):
    with pytest.raises(error):
        lab.open(SessionConfig(**over))
    assert list(tmp_path.iterdir()) == []


async def test_what_a_target_comes_to_is_told_before_the_first_trade_and_none_out_of_reach_is_traded(lab):
    await lab.run(lab.config(1))
    [told] = lab.events("AmountConverted")
    assert (told["parameter"], told["distance_pct"], told["within_bars"]) == ("hard_tp_usd", 0.6, 12)
    assert 0 < told["reached_pct"] < 100
    states = [line.get("state") for line in lab.told if line["event"] in ("SystemState", "AmountConverted")]
    assert states.index(None) < states.index("RUNNING")
    far = type(lab)(lab.root / "far")
    report = await far.run(far.config(1, params=as_params({"hard_tp_usd": 300.0}), declared_for=None))
    assert (report.status, report.reason) == ("failed", "seeding_failed")
    [error] = far.events("ErrorCounted")
    assert error["what"].startswith("hard_tp_usd 300 for 12")
    assert "which price reached in none of the stretches of 120 candles" in error["what"]

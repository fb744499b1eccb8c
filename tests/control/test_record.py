"""What is kept: every variant once, standings in their order, hashes without the clock, files whole or not at all."""

from __future__ import annotations

import json
import os
import resource
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from control_support import metrics, report, run_config
from hypothesis import given
from hypothesis import strategies as st

from maestro.control.record.campaign_folder import CampaignFolder
from maestro.control.record.journal_hash import first_difference, journal_hash, timeless
from maestro.control.record.ledger import Ledger, distinct, key_of, of_what_was_tried
from maestro.control.record.standings import Standings, leaderboard
from maestro_engine.api import Market
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import StoreError
from maestro_protocol.messages.campaign import Verdict
from maestro_protocol.messages.gate import GateRequest
from maestro_protocol.messages.plan import RoleFellBack
from maestro_protocol.ports import ModelCallRecord
from maestro_protocol.values import as_mapping

FATES = st.sampled_from(["run", "rejected", "killed", "reverted", "quick_test_failed", "untried"])


@given(st.lists(st.tuples(st.integers(0, 5), FATES), max_size=30))
def test_the_ledger_counts_variants_and_its_records_tell_the_same(said: list[tuple[int, Any]]) -> None:
    ledger, told = Ledger(), []
    for number, fate in said:
        record = ledger.count(run_config(f"r{number}", hard_tp_usd=100 + 100 * number), 1, "control", fate)
        told += [record] if record is not None else []
    variants = {number for number, _ in said}
    assert ledger.distinct == len(variants)
    assert ledger.proposals == len(said)
    assert {key_of(one.methods, as_mapping(one.params)) for one in told} == {
        key_of(("macd_trend",), run_config(hard_tp_usd=100 + 100 * number).values()) for number in variants
    }
    assert len(ledger.ran()) == len({number for number, fate in said if fate == "run"})
    assert sum(ledger.fates().values()) == ledger.distinct


def test_a_variant_is_the_same_whatever_the_order_of_its_methods() -> None:
    one = run_config("a", ("ema_crossover", "macd_trend"))
    other = run_config("b", ("macd_trend", "ema_crossover"))
    assert len(distinct([one, other])) == 1
    ledger = Ledger()
    assert ledger.count(one, 1, "control", "run") is not None
    assert ledger.count(other, 1, "control", "run") is None
    refused = ledger.refuse("seg1-refused", 1, "strategist", ("macd_trend",), {"leverage": 100}, "unknown")
    assert refused.fate == "refused"
    assert ledger.refuse("x", 1, "strategist", ("macd_trend",), {"leverage": 100}, "unknown").fate == "duplicate"
    assert ledger.distinct == 2


def test_standings_rank_what_trades_enough_by_sharpe_and_the_undefined_last(small_market: Market) -> None:
    days = {"train": 10.0, "gap": 2.0, "validation": 3.0}
    standings = Standings(small_market.runner.pool, days, pace=1.0)  # type: ignore[arg-type]
    for name, sharpe, trades in (("good", 2.0, 20), ("rare", 9.0, 2), ("bad", -1.0, 20), ("none", None, 20)):
        train = metrics(sharpe=sharpe, n_trades=trades, wins=0, losses=0)
        standings.add(run_config(name), 1, [report(f"{name}{n}", train) for n in range(2)])
    assert [one.run_id for one in standings.ranked("train")] == ["good", "bad", "none", "rare"]
    assert standings.ranked("train", minimum=3) == []
    standings.settle("good", "killed")
    assert standings.report("good").fate == "killed"
    assert standings.report("good").metrics.n_trades == 40


def test_the_leaderboard_is_by_validation_and_says_what_differs_from_defaults(small_market: Market) -> None:
    rows = leaderboard(
        [
            report("seg1_test001", validation=metrics(sharpe=1.0)),
            report("seg2_test001", validation=metrics(sharpe=3.0)),
            report("seg1_test002", validation=metrics(sharpe=None)),
        ],
        small_market.runner,
    )
    assert [(row["rank"], row["test_id"], row["segment"]) for row in rows] == [
        (1, "seg2_test001", "2"),
        (2, "seg1_test001", "1"),
        (3, "seg1_test002", "1"),
    ]


def _envelope(seq: int, time: int = 1, **more: Any) -> Envelope:
    fields = {"role": "critic", "turn": 1, "brain": "openai", "reason": "why", "repairs": 0}
    body = RoleFellBack(**(fields | more))  # type: ignore[arg-type]
    return Envelope(id=f"m{seq:06d}", seq=seq, time=time, campaign="c1", sender="critic", topic="control", body=body)


def test_a_hash_leaves_the_wall_clock_out_and_nothing_else() -> None:
    journal = [_envelope(1), _envelope(2)]
    assert journal_hash(journal) == journal_hash([_envelope(1, 999), _envelope(2, 5)])
    for other in ([_envelope(1)], [_envelope(2), _envelope(1)], [_envelope(1), _envelope(2, reason="Why")]):
        assert journal_hash(other) != journal_hash(journal)
    gate: dict[str, Any] = {"gate_id": "g", "action": "a", "summary": "s", "risk": "low", "bound_to": "0" * 64}
    early, late = (GateRequest(**gate, asked_at=n, expires_at=n + 1) for n in (1, 2))
    assert timeless(early) == timeless(late)
    assert timeless(early) != timeless(GateRequest(**(gate | {"needs": 2}), asked_at=1, expires_at=2))


def test_the_first_difference_is_named_by_its_place() -> None:
    one = {"body": {"params": {"a": 1, "b": [1, 2]}, "x": "same"}}
    other = {"body": {"params": {"a": 1, "b": [1, 3]}, "x": "same"}}
    assert first_difference(one, other) == "body.params.b.1: recorded 2, told 3"
    assert first_difference({"a": [1]}, {"a": [1, 2]}) == "a.1: recorded null, told 2"
    assert first_difference({"a": 1}, {"b": 1}).startswith("a: recorded 1")
    assert first_difference({"a": {}}, {"a": []}).startswith("a: recorded {}")


def _exchange(key: str) -> ModelCallRecord:
    return ModelCallRecord(key, "critic", "{}", '{"text": "café"}', "answered")


def test_files_are_replaced_whole_and_leave_nothing_half_written(tmp_path: Path) -> None:
    folder = CampaignFolder(tmp_path / "c1")
    folder.root(run_config("root"))
    folder.template(3, run_config("seg3-p1"))
    folder.recordings([_exchange("a"), _exchange("b")])
    folder.recordings([_exchange("c")])
    folder.sync()
    assert [json.loads(line)["key"] for line in (tmp_path / "c1/recordings.jsonl").read_text().splitlines()] == ["c"]
    assert (tmp_path / "c1/segment_3/lineage/seg3-p1.yaml").is_file()
    assert not list(tmp_path.rglob(".*.new"))


def test_a_file_that_cannot_be_written_keeps_the_old_one_and_says_so(tmp_path: Path) -> None:
    folder = CampaignFolder(tmp_path / "c1")
    folder.recordings([_exchange("old")])
    before = (tmp_path / "c1/recordings.jsonl").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(StoreError, match=r"recordings\.jsonl: cannot be written \(File too large\)") as full:
            folder.recordings([_exchange("new") for _ in range(100)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(full.value)
    assert (tmp_path / "c1/recordings.jsonl").read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        CampaignFolder(tmp_path / "file" / "c2").root(run_config("root"))


def test_a_leaderboard_is_exact_to_the_millionth_and_empty_where_unknown(
    tmp_path: Path, small_market: Market
) -> None:
    pnl = Decimal("-0.000001")
    whole = metrics(total_pnl=pnl, gross_loss=pnl)
    row = leaderboard([report("seg1_test001").model_copy(update={"whole": whole})], small_market.runner)
    CampaignFolder(tmp_path).leaderboard(row)
    header, line = (tmp_path / "leaderboard.csv").read_text().splitlines()
    cells = dict(zip(header.split(","), line.split(","), strict=True))
    assert cells["total_pnl"] == "-0.000001"
    assert cells["sharpe"] == ""
    assert os.linesep not in line


def test_a_verdict_names_the_methods_that_no_test_ran() -> None:
    ledger = Ledger()
    ledger.count(run_config("a", ("ema_crossover", "macd_trend")), 1, "control", "run")
    ledger.count(run_config("b", ("trend_breakout",)), 1, "control", "untried", "its turn never came")
    assert ledger.methods() == {"ema_crossover", "macd_trend"}
    verdict = Verdict(
        word="DOES NOT SURVIVE",
        sentence="Nothing that was tried survives.",
        trials=2,
        effective_trials=None,
        finalists=(),
        figures=(),
    )
    told = of_what_was_tried(verdict, ["trend_breakout"])
    assert told.sentence == "Nothing that was tried survives. Not tried, so not judged: trend_breakout."
    assert told.untried == ("trend_breakout",)
    assert of_what_was_tried(verdict, []) is verdict

"""The views in which people ask for trades, scores and trials in SQL; money is exact on both databases."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from maestro.store.repository import SqlStore
from maestro_protocol.ports import Stored


async def ask(store: SqlStore, query: str) -> list[dict[str, Any]]:
    return await store.database.alter(
        lambda connection: [dict(row) for row in connection.execute(text(query)).mappings()]
    )


async def test_every_trade_and_score_is_a_row(store: SqlStore, make: Any) -> None:
    await store.commit("c1", [make.trial(1)], [make.stored("seg1_test001"), make.stored("seg1_test002", trades=0)])
    (first, *_), count = await ask(store, "SELECT * FROM trades ORDER BY run_id, n"), 3
    assert [row["n"] for row in await ask(store, "SELECT * FROM trades ORDER BY n")] == list(range(count))
    assert {
        key: first[key] for key in ("campaign", "run_id", "ts", "episode_id", "tf", "phase", "side", "reason")
    } == {
        "campaign": "c1",
        "run_id": "seg1_test001",
        "ts": 0,
        "episode_id": "e1",
        "tf": "5m",
        "phase": "train",
        "side": "long",
        "reason": "mé",
    }
    money = [first[key] for key in ("pnl_micros", "fees_micros", "mae_micros", "mfe_micros")]
    assert money == [-100_000, 1, -1_100_000, 300_000]
    assert (first["cvd"], first["imb"], first["exit_reason"], bool(first["blunder"])) == (None, 0.5, "stop", True)
    scores = await ask(store, "SELECT * FROM scores ORDER BY run_id")
    assert [(row["run_id"], row["hit"], row["payoff"], row["total_pnl_micros"]) for row in scores] == [
        ("seg1_test001", None, 1.5, -300_000),
        ("seg1_test002", None, 1.5, -300_000),
    ]


async def test_trials_are_rows_of_the_journal(store: SqlStore, make: Any) -> None:
    await store.commit("c1", make.trials(1, 2))
    rows = await ask(store, "SELECT seq, run_id, segment, proposed_by, fate FROM trials ORDER BY seq")
    assert rows[1] == {"seq": 2, "run_id": "seg1_test002", "segment": 1, "proposed_by": "strategist", "fate": "run"}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_sums_of_money_are_exact(store: SqlStore, make: Any, seed: int) -> None:
    """Amounts of up to 15 digits, as the engine writes them, summed in SQL and in integers."""
    dice = random.Random(seed)
    micros = [dice.randrange(-(10**14), 10**14) for _ in range(2_000)] + [1, -1, 10**14 + 1, 100_000, 300_000]
    whole: Stored = make.stored("seg1_test001", pnl="123456789.000001")
    trade = msgspec.json.decode(whole.outcome.trades_jsonl.splitlines()[0])
    lines = [msgspec.json.encode(trade | {"pnl": float(Decimal(amount).scaleb(-6))}) + b"\n" for amount in micros]
    outcome = whole.outcome._replace(trades_jsonl=b"".join(lines), n_trades=len(lines))
    await store.commit("c1", [make.trial(1)], [whole._replace(outcome=outcome)])
    (row,) = await ask(store, "SELECT sum(pnl_micros) AS total, min(pnl_micros) AS low FROM trades")
    assert (int(row["total"]), row["low"]) == (sum(micros), min(micros))
    (row,) = await ask(store, "SELECT total_pnl_micros FROM results")
    assert row["total_pnl_micros"] == 123_456_789_000_001

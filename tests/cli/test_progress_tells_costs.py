"""What a person sees of cost while a campaign runs: calls, tokens, USD so far; nothing where no model is asked."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from campaign_support import begin, settings_in, small_config, small_file
from vendor_server import Told, VendorServer

from maestro.cli import progress as shown
from maestro.cli.progress import in_words
from maestro.control.context import Progress
from maestro.wiring.workspace import open_workspace_store
from maestro_protocol.ports import Amount, Hold

AT = Progress(
    campaign="c1",
    segment=2,
    segments=5,
    goal="explore",
    done=150,
    tests=500,
    episodes=9_000,
    trades=1_000,
    best_sharpe=None,
    best_run=None,
    patches_applied=2,
    patches_refused=0,
    calls=0,
    tokens=0,
    usd=Decimal(0),
)
COST = re.compile(r"([\d,]+) calls to models, ([\d,]+) tokens, ([\d.,]+) USD")


@pytest.mark.parametrize(
    ("calls", "usd", "words"),
    [
        (0, Decimal(0), None),
        (12, Decimal("0.03124"), ", 12 calls to models, 45,210 tokens, 0.0312 USD"),
        (12, Decimal(0), ", 12 calls to models, 45,210 tokens, 0.0000 USD"),
        (1_200, Decimal("1234.5"), ", 1,200 calls to models, 45,210 tokens, 1,234.5000 USD"),
        (12, None, ", 12 calls to models, 45,210 tokens, cost unknown"),
    ],
)
def test_a_line_tells_what_models_have_cost_so_far(calls: int, usd: Decimal | None, words: str | None) -> None:
    line = in_words(AT._replace(calls=calls, tokens=45_210, usd=usd), 1.0)
    assert (words in line) if words is not None else ("model" not in line and "USD" not in line)


def _run(maestro: Any, folder: Path, *more: str) -> Any:
    data = small_file(folder)
    return maestro(*("campaign", "run", "--data", data, "--symbol", "BTCUSDT", "--tests", 6, "--segments", 3, *more))


@pytest.mark.parametrize("terminal", [False, True])
def test_a_campaign_with_a_model_shows_its_cost_as_it_grows(
    terminal: bool, maestro: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Progress] = []
    words = shown.figures
    monkeypatch.setattr(shown, "figures", lambda p, seconds: (seen.append(p), words(p, seconds))[1])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setenv("COLUMNS", "400")
    with VendorServer() as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-sk-ant-7f3a9b2c")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.anthropic_url)
        ended = _run(maestro, tmp_path, "--brain", "critic=anthropic")
        asked = len(server.requests)
    assert ended.code == 0, ended.err
    found = COST.findall(ended.err)
    assert found, ended.err
    assert int(found[-1][0]) == asked >= 3
    assert Decimal(found[-1][2]) > 0
    assert [p.tokens for p in seen] == sorted(p.tokens for p in seen)
    assert len({p.usd for p in seen}) > 2, "it is told once, not as it grows"


def test_a_model_that_is_no_use_is_told_of_while_the_campaign_runs(
    maestro: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VendorServer(lambda number, request: Told(status=401, text="no such key")) as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "canary-sk-ant-7f3a9b2c")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.anthropic_url)
        ended = _run(maestro, tmp_path, "--brain", "critic=anthropic")
        asked = len(server.requests)
    assert ended.code == 0, ended.err
    assert f"rules took {asked} turns of models" in ended.err
    assert asked == 3, "a key that is refused was tried again"


def test_a_campaign_of_rules_alone_says_nothing_of_cost(maestro: Any, tmp_path: Path) -> None:
    ended = _run(maestro, tmp_path)
    assert ended.code == 0
    assert "model" not in ended.err
    assert "0.0000" not in ended.err


def test_costs_tell_what_counts_of_a_request_whose_outcome_nobody_knows(
    maestro: Any, tmp_path: Path, bars_file: Path
) -> None:
    settings = settings_in(tmp_path)
    most = Amount(usd=Decimal("0.153056"), tokens=28_528, requests=1)

    async def leave_in_flight() -> None:
        await begin(small_config(bars_file, settings), settings)
        store = await open_workspace_store(settings)
        await store.calls.opened("made-up", "k", "critic", "{}", Hold(20_000, lambda _: most))
        await store.close()

    asyncio.run(leave_in_flight())
    ended = maestro("costs")
    assert ended.code == 0
    assert "No model was asked" not in ended.out
    assert "set aside" in ended.out
    (row,) = json.loads(maestro("costs", "--json").out)
    assert (row["campaign"], row["role"], row["kind"], row["calls"]) == ("made-up", "critic", "set aside", 1)
    assert (row["at_most_tokens"], Decimal(row["at_most_usd"])) == (28_528, Decimal("0.153056"))

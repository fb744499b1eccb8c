"""The same request gives the same campaign, whatever the machine does; other data works or is refused in one line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from campaign_support import (
    conduct,
    conducted,
    contents,
    differing,
    journal_of,
    settings_in,
    small_config,
    small_file,
    timeless,
    write_bars,
)
from vendor_server import VendorServer

from maestro.settings import Settings
from maestro.wiring.campaigns import CampaignRequest, CampaignRun, run_campaign
from maestro_protocol.errors import DataError, MaestroError
from maestro_protocol.messages.campaign import BrainChoice, HoldoutOpened


def _run(settings: Settings, jobs: int = 1, **request: Any) -> CampaignRun:
    return asyncio.run(run_campaign(CampaignRequest(**request), settings, lambda progress: None, jobs))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_second_run_differs_in_the_wall_clock_alone(
    jobs: int, undisturbed: CampaignRun, small_data: Path, workspace_settings: Settings
) -> None:
    again = conducted(small_config(small_data, workspace_settings), workspace_settings, jobs)
    assert differing(contents(undisturbed.folder), contents(again.folder)) == []


def test_another_seed_is_another_campaign(undisturbed: CampaignRun, small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    other = conducted(small_config(small_data, settings, seed=4), settings)
    assert "journal.jsonl" in differing(contents(undisturbed.folder), contents(other.folder))


def test_a_request_names_its_campaign_and_nothing_is_written_over(tmp_path: Path, small_data: Path) -> None:
    settings = settings_in(tmp_path)
    first = _run(settings, data=small_data, tests=4, segments=1)
    before = contents(first.folder)
    second = _run(settings, data=small_data, tests=4, segments=1)
    assert second.campaign == f"{first.campaign}-r2"
    assert differing(before, contents(first.folder)) == []
    elsewhere = _run(settings_in(tmp_path / "elsewhere"), data=small_data, tests=4, segments=1)
    assert elsewhere.campaign == first.campaign


REAL = {
    "binance_usdm_SOLUSDT_5m_2025-01_2025-03.parquet": "sol",
    "binance_usdm_BTCUSDT_15m_2025-01_2025-06.parquet": "btc",
    "binance_spot_BTCUSDT_15m_2026-03_2026-04.parquet": "btc",
    "binance_spot_BTCUSDT_1m_2025-01_ohlcv.parquet": "btc",
    "binance_usdm_NEARUSDT_1m_2025-02.parquet": "near",
    "binance_usdm_NEARUSDT_5m_2025-02.parquet": "near",
    "binance_spot_BTCUSDT_1m_2026-03_2026-04.parquet": "btc",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(REAL))
def test_other_real_data_works_as_well(name: str, market_data: Path, tmp_path: Path) -> None:
    done = _run(settings_in(tmp_path), jobs=2, data=market_data / "klines" / name, tests=10, segments=5)
    assert done.finished.tests == 10
    assert done.finished.trades > 0
    assert done.finished.verdict is not None
    config = journal_of(done.folder)[0].body
    assert done.campaign.startswith(REAL[name])
    assert config.data.has_taker_volume == ("ohlcv" not in name)  # type: ignore[union-attr]


def test_data_without_taker_volume_never_runs_a_gate_that_needs_it(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    done = conducted(small_config(small_file(tmp_path, taker=False), settings), settings)
    runs = [path.read_text() for path in done.folder.rglob("*.yaml")]
    assert len(runs) > 24
    assert not [text for text in runs if "gate_cvd: true" in text or "gate_imb: true" in text]
    trades = b"".join(path.read_bytes() for path in done.folder.rglob("trades.jsonl")).splitlines()
    assert trades
    assert all(b'"cvd":null,"imb":null' in line for line in trades)


def test_too_little_data_is_refused_in_one_line_that_says_how_much_is_needed(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with pytest.raises(DataError, match=r"days of 15m bars are needed") as refused:
        _run(settings, data=small_file(tmp_path, days=15))
    assert "\n" not in str(refused.value)
    assert not list(settings.runs.glob("*/campaign.yaml"))


@pytest.mark.parametrize("days", [23, 25])
def test_the_least_data_there_can_be_gives_a_campaign_and_no_false_hope(days: int, tmp_path: Path) -> None:
    """One window fits into the open part, then two: too few for most of what is weighed."""
    settings = settings_in(tmp_path)
    data = small_file(tmp_path, kind="noise", days=days)
    done = _run(settings, data=data, tests=10, segments=5, seed=3)
    assert done.finished.verdict is not None
    assert done.finished.verdict.word != "SURVIVES"


def _wild(path: Path, opened: int) -> Path:
    """The same bars, but from bar *opened* on prices run away, and volumes with them."""
    import numpy as np
    import pyarrow.parquet as pq

    columns = {name: column.to_numpy().copy() for name, column in zip(*_table(pq.read_table(path)), strict=True)}
    run_away = np.exp(np.linspace(0, 2, len(columns["close"]) - opened)) * 3
    for name in ("open", "high", "low", "close", "volume", "taker_buy_volume"):
        columns[name][opened:] *= run_away
    return write_bars(path.with_name("BTCUSDT-15m-wild.parquet"), columns)


def _table(table: Any) -> tuple[list[str], list[Any]]:
    return table.column_names, table.columns


def test_what_is_sealed_reaches_nobody_before_it_is_opened(
    undisturbed: CampaignRun, tmp_path: Path, small_data: Path
) -> None:
    """Other sealed bars, the same journal: word for word up to the opening, but for the name and hash of the data."""
    journal = journal_of(undisturbed.folder)
    opened = next(e.body for e in journal if isinstance(e.body, HoldoutOpened))
    data = tmp_path / small_data.name
    data.write_bytes(small_data.read_bytes())
    settings = settings_in(tmp_path)
    other = conducted(small_config(_wild(data, opened.first_bar), settings), settings)

    def told(run: CampaignRun) -> list[Any]:
        out = []
        for envelope in journal_of(run.folder):
            plain = timeless(envelope.model_dump(mode="json"))
            for holder in (plain["body"], plain):
                if "data" in holder:
                    assert holder["data"].pop("digest")
                    assert holder["data"].pop("source")
            out.append(plain)
        return out

    before, after = told(undisturbed), told(other)
    place = next(n for n, plain in enumerate(before) if plain["body"]["type"] == "HoldoutOpened")
    assert place > 50
    assert after[: place + 1] == before[: place + 1]
    assert after[place + 1] != before[place + 1], "the verdict must have seen the sealed part"
    for name in ("leaderboard.csv", "segment_1/segment_results.json", "segment_3/test_008/trades.jsonl"):
        assert (undisturbed.folder / name).read_bytes() == (other.folder / name).read_bytes()


def test_no_trade_and_no_briefing_reaches_into_the_sealed_part(undisturbed: CampaignRun) -> None:
    journal = journal_of(undisturbed.folder)
    opened = next(e.body for e in journal if isinstance(e.body, HoldoutOpened))
    config = journal[0].body
    first_sealed = config.data.first_ms + opened.first_bar * 900_000  # type: ignore[union-attr]
    assert opened.bars == 576  # a fifth of 30 days of quarter hours
    times = [
        int(line.split(b'"ts":')[1].split(b",")[0])
        for path in undisturbed.folder.rglob("trades.jsonl")
        for line in path.read_bytes().splitlines()
    ]
    assert max(times) < first_sealed
    for envelope in journal:
        if envelope.body.type == "Briefing":
            assert {report.phase for report in envelope.body.history} <= {"train"}
            assert envelope.body.current is None or envelope.body.current.phase == "train"


def test_a_market_of_pure_noise_has_no_survivor(tmp_path: Path) -> None:
    done = _run(settings_in(tmp_path), market="noise", tests=60)
    assert done.finished.verdict is not None
    assert done.finished.verdict.word != "SURVIVES"
    first = (done.folder / "summary.md").read_text().lstrip("# ").splitlines()[0]
    assert "surviv" in first.lower() or "evidence" in first.lower()


def test_errors_of_a_request_come_before_anything_is_kept(tmp_path: Path, small_data: Path) -> None:
    settings = settings_in(tmp_path)
    with pytest.raises(MaestroError):
        _run(settings, market="nonsense")
    with pytest.raises(MaestroError):
        _run(settings, data=tmp_path / "missing.parquet")
    assert not settings.runs.exists() or not list(settings.runs.glob("*/campaign.yaml"))


def test_the_simulated_market_is_labelled_wherever_it_goes(tmp_path: Path) -> None:
    done = _run(settings_in(tmp_path), tests=3, segments=1, seed=5)
    assert done.campaign.startswith("sim-mixed")
    assert journal_of(done.folder)[0].body.data.simulated  # type: ignore[union-attr]
    assert "simulated" in (done.folder / "summary.md").read_text().lower()
    assert "simulated:mixed:seed=5" in (done.folder / "segment_1" / "test_001" / "run.yaml").read_text()


async def test_results_before_and_after_a_models_knowledge_add_up(
    small_data: Path, tmp_path: Path, vendor_server: VendorServer
) -> None:
    settings = settings_in(tmp_path, anthropic_api_key="k" * 9, anthropic_base_url=vendor_server.anthropic_url)
    plain = small_config(small_data, settings)
    middle = plain.data.first_ms + (plain.data.last_ms - plain.data.first_ms) * 6 // 10
    knowing = BrainChoice(role="critic", brain="anthropic", model="claude-sonnet-5-5", knows_until=middle)
    cast = tuple(knowing if choice.role == "critic" else choice for choice in plain.brains)
    run = await conduct(plain.model_copy(update={"brains": cast}), settings)
    (memory,) = run.finished.memory
    assert run.finished.validation is not None
    parts = [part for part in (memory.before, memory.after) if part is not None]
    assert len(parts) == 2
    assert sum(part.n_trades for part in parts) == run.finished.validation.n_trades
    assert sum(part.total_pnl for part in parts) == run.finished.validation.total_pnl

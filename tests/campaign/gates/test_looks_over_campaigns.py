"""Sealed bars belong to the workspace: who looks after others pays for it, says so, and is asked from a limit on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from campaign_support import (
    DAY_BARS,
    QUARTER_HOUR,
    bar_columns,
    bodies,
    conduct,
    contents,
    differing,
    journal_of,
    on_sessions,
    settings_in,
    small_config,
    write_bars,
)
from gate_support import attended, no, yes

from maestro.settings import Settings
from maestro.store.gates import GateStore
from maestro.wiring import workspace
from maestro.wiring.campaigns import CampaignRun, resume_campaign
from maestro.wiring.replays import replay_campaign
from maestro.wiring.studies import Cell, calibrate
from maestro_engine.data.resample import resample
from maestro_engine.data.simulators.regimes import simulate_bars
from maestro_engine.inference.evaluation.judge import CampaignJudge
from maestro_protocol.errors import MaestroError
from maestro_protocol.messages.campaign import CampaignConfig, HoldoutOpened, LooksCounted, Verdict
from maestro_protocol.messages.gate import GateDecided, GateRequest


def asked(data: Path, settings: Settings, campaign: str, seed: int = 3, ask_from: int = 4) -> CampaignConfig:
    """A small campaign of *seed*, with a person asked from the *ask_from*-th look on."""
    config = small_config(data, settings, campaign=campaign, seed=seed)
    assert config.openings is not None
    return config.model_copy(update={"openings": config.openings.model_copy(update={"ask_from": ask_from})})


async def taken(settings: Settings) -> int:
    """Looks that the workspace has kept."""
    store = await workspace.open_workspace_store(settings)
    try:
        return await store.database.read(lambda connection: connection.value("SELECT count(*) FROM openings"))
    finally:
        await store.close()


def counted(run: CampaignRun) -> list[LooksCounted]:
    return bodies(journal_of(run.folder), LooksCounted)


def said(run: CampaignRun) -> Verdict:
    (verdict,) = bodies(journal_of(run.folder), Verdict)
    return verdict


def threshold(verdict: Verdict) -> set[str]:
    return {f.threshold for one in verdict.finalists for f in one.figures if f.name.startswith("p, corrected")}


async def same_when_told_again(run: CampaignRun, settings: Settings) -> bool:
    return (await replay_campaign(run.folder, settings, lambda progress: None, 1)).same


async def test_another_seed_is_another_look_that_is_said_and_paid_for(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    runs = [await conduct(asked(small_data, settings, f"seed-{seed}", seed), settings) for seed in (3, 4, 5)]
    assert [counted(run)[0].earlier for run in runs] == [0, 1, 2]
    assert [said(run).sentence.count("before") for run in runs][1:] == [1, 1]
    assert "looked at" not in said(runs[0]).sentence
    assert "; these bars have been looked at once before." in said(runs[1]).sentence
    assert "; these bars have been looked at twice before." in said(runs[2]).sentence
    assert [threshold(said(run)) for run in runs] == [{"<= 0.04"}, {"<= 0.008"}, {"<= 0.0016"}]
    assert "these bars have been looked at twice before" in (runs[2].folder / "summary.md").read_text()
    for run in runs:
        assert await same_when_told_again(run, settings)


async def test_the_same_campaign_asked_for_again_is_the_same_look(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    first = await conduct(asked(small_data, settings, "first"), settings)
    await conduct(asked(small_data, settings, "other", seed=4), settings)
    again = await conduct(asked(small_data, settings, "again"), settings)
    assert said(again) == said(first)
    assert await taken(settings) == 2
    gone_on = await resume_campaign("other", settings, lambda progress: None, 1)
    assert await taken(settings) == 2
    assert counted(gone_on)[0].earlier == 1


@pytest.mark.parametrize("how", ["longer", "resampled and renamed", "sessions"])
async def test_the_same_bars_in_another_file_are_the_same_bars(small_data: Path, tmp_path: Path, how: str) -> None:
    settings = settings_in(tmp_path)
    await conduct(asked(small_data, settings, "first"), settings)
    bars = simulate_bars("trending", 3, (34 if how == "longer" else 30) * DAY_BARS, step_ms=QUARTER_HOUR)
    name = "BTCUSDT-15m-longer.parquet"
    if how.startswith("resampled"):
        bars, name = resample(bars, 2 * QUARTER_HOUR), "DOGEUSDT-30m.parquet"
    config = asked(write_bars(tmp_path / name, bar_columns(bars)), settings, "second")
    if how.startswith("resampled"):
        config = config.model_copy(update={"data": config.data.model_copy(update={"symbol": "DOGEUSDT"})})
    second = await conduct(on_sessions(config) if how == "sessions" else config, settings)
    (look,) = counted(second)
    assert look.earlier == 1
    assert 0 < look.seen <= look.days
    assert ("of the" in said(second).sentence.partition("looked at")[0]) == (look.seen < look.days)


async def test_bars_of_another_market_are_not(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    await conduct(asked(small_data, settings, "first"), settings)
    bars = simulate_bars("trending", 4, 30 * DAY_BARS, step_ms=QUARTER_HOUR)
    data = write_bars(tmp_path / "ETHUSDT-15m.parquet", bar_columns(bars))
    config = asked(data, settings, "second")
    config = config.model_copy(update={"data": config.data.model_copy(update={"symbol": "ETHUSDT"})})
    assert [look.earlier for look in counted(await conduct(config, settings))] == [0]


async def test_a_no_at_the_limit_ends_the_campaign_with_its_data_sealed(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    await conduct(asked(small_data, settings, "first"), settings)
    run, seen = await attended(asked(small_data, settings, "second", 4, ask_from=2), settings, no)
    assert len(seen) == 1
    verdict = said(run)
    assert verdict.word == "NOT ENOUGH EVIDENCE"
    assert "the sealed part was not opened" in verdict.sentence
    assert "looked at once before" in verdict.sentence
    assert verdict.finalists
    assert {one.holdout for one in verdict.finalists} == {None}
    assert {one.survives for one in verdict.finalists} == {None}
    assert run.finished.refused == "opening the sealed data was rejected"
    assert not bodies(journal_of(run.folder), HoldoutOpened)
    assert await taken(settings) == 1
    before = contents(run.folder)
    again = await resume_campaign("second", settings, lambda progress: None, 1)
    assert differing(before, contents(again.folder)) == []
    assert await same_when_told_again(run, settings)


async def test_a_yes_opens_it(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    await conduct(asked(small_data, settings, "first"), settings)
    run, seen = await attended(asked(small_data, settings, "second", 4, ask_from=2), settings, yes)
    assert len(seen) == 1
    assert [opened.earlier for opened in bodies(journal_of(run.folder), HoldoutOpened)] == [1]
    assert not run.finished.refused
    assert await same_when_told_again(run, settings)


async def test_a_yes_to_the_second_look_is_none_to_the_third(small_data: Path, tmp_path: Path) -> None:
    """While one campaign waits, another looks: what people said yes to holds no longer, and they are asked again."""
    settings = settings_in(tmp_path)
    await conduct(asked(small_data, settings, "first"), settings)
    other = asked(small_data, settings, "overtaking", 5, ask_from=9)

    async def overtaken(gates: GateStore, request: GateRequest) -> None:
        if await taken(settings) == 1:
            await conduct(other, settings)
        await yes(gates, request)

    run, seen = await attended(asked(small_data, settings, "waiting", 4, ask_from=2), settings, overtaken)
    assert len(set(seen)) == 2
    journal = journal_of(run.folder)
    assert [look.earlier for look in bodies(journal, LooksCounted)] == [1, 2]
    assert [decided.answer for decided in bodies(journal, GateDecided)] == ["approved", "approved"]
    assert [opened.earlier for opened in bodies(journal, HoldoutOpened)] == [2]
    assert "looked at twice before" in said(run).sentence
    assert await same_when_told_again(run, settings)
    before = contents(run.folder)
    again = await resume_campaign("waiting", settings, lambda progress: None, 1)
    assert differing(before, contents(again.folder)) == []


async def test_two_campaigns_at_once_are_a_first_look_and_a_second(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    runs = await asyncio.gather(
        *(conduct(asked(small_data, settings, f"seed-{seed}", seed), settings) for seed in (3, 4))
    )
    assert sorted(bodies(journal_of(run.folder), HoldoutOpened)[0].earlier for run in runs) == [0, 1]
    for run in runs:
        assert await same_when_told_again(run, settings)


async def test_stopped_between_opening_and_verdict_it_has_opened_once(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was counted before is read from the journal, whoever looked since."""
    undisturbed = settings_in(tmp_path / "undisturbed")
    wanted = await conduct(asked(small_data, undisturbed, "first"), undisturbed)
    settings = settings_in(tmp_path)

    def gone(*_: Any) -> Any:
        raise MaestroError("the process is gone")

    with monkeypatch.context() as patch:
        patch.setattr(CampaignJudge, "open_and_rule", gone)
        with pytest.raises(MaestroError, match="the process is gone"):
            await conduct(asked(small_data, settings, "first"), settings)
    assert await taken(settings) == 1
    other = await conduct(asked(small_data, settings, "other", 4), settings)
    assert counted(other)[0].earlier == 1
    run = await resume_campaign("first", settings, lambda progress: None, 1)
    assert differing(contents(wanted.folder), contents(run.folder)) == []
    assert await taken(settings) == 2


async def test_a_campaign_of_before_looks_were_counted_is_told_as_it_was(small_data: Path, tmp_path: Path) -> None:
    """Its config has no policy: it may use the whole error, says nothing of looks, and counts for those after it."""
    settings = settings_in(tmp_path)
    old = small_config(small_data, settings, campaign="old", openings=None)
    run = await conduct(old, settings)
    assert not counted(run)
    assert threshold(said(run)) == {"<= 0.05"}
    assert await same_when_told_again(run, settings)
    later = await conduct(asked(small_data, settings, "later", 4), settings)
    assert counted(later)[0].earlier == 1


def test_a_study_is_no_look_of_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [tally.campaigns for tally in calibrate(Cell("noise"), 1, 10, jobs=1)] == [1]
    assert list(tmp_path.iterdir()) == []


async def test_where_nothing_is_sealed_nothing_is_opened(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    config = asked(small_data, settings, "open")
    windows = config.windows.model_copy(update={"holdout_share": 0})
    run = await conduct(config.model_copy(update={"windows": windows}), settings)
    assert not counted(run)
    assert await taken(settings) == 0

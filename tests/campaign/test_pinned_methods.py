"""What a campaign searches among is pinned in its config: a method that is added later changes nothing of it."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from campaign_support import (
    CAMPAIGN,
    begin,
    bodies,
    conducted,
    contents,
    differing,
    journal_of,
    resumed,
    retold,
    settings_in,
    small_config,
)
from typer.testing import CliRunner

from maestro.cli.main import app
from maestro.control.context import Progress
from maestro.settings import Settings
from maestro.wiring.campaigns import CampaignRequest, CampaignRun, resolve, resume_campaign, versions
from maestro.wiring.request import request_of
from maestro_engine import methods
from maestro_engine.api import open_market
from maestro_engine.data.loading import load_bars
from maestro_engine.data.simulators.families import family_bars
from maestro_engine.methods.common import bars
from maestro_engine.methods.method import Method
from maestro_engine.methods.trend_breakout import METHOD
from maestro_protocol.config import RunConfig
from maestro_protocol.errors import ConfigError, ParameterError, UnknownKey
from maestro_protocol.messages.campaign import DEFAULT_METHODS, ORIGIN_TARGETS, CampaignConfig, WindowPlan
from maestro_protocol.messages.report import Briefing

CHANNEL = Path(__file__).parents[1] / "extensions" / "channel"
LINE = "maestro.methods:channel_of_atr maestro-channel 2.0"
PINNED = ("channel_of_atr", "macd_trend", "rsi_reversion")


@pytest.fixture
def added() -> Iterator[Method]:
    """A method from outside, its parameter called as it likes, registered in this process."""
    specs = (bars("channel_bars", 40, 5, 200, "length of the channel"),)
    method = Method(name="channel_of_mine", about="as trend_breakout", specs=specs, scan=METHOD.scan)
    methods.REGISTRY.register(method.name, method, version="3")
    yield method
    methods.REGISTRY.unregister(method.name)


@pytest.fixture
def channel(installed: Callable[[Path], Path]) -> Iterator[Path]:
    """A method of an installed distribution, for as long as its folder is on the path."""
    folder = installed(CHANNEL)
    methods.REGISTRY.reload()
    yield folder
    methods.REGISTRY.reload()


@pytest.fixture
def gone(channel: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Uninstalls it."""

    def uninstall() -> None:
        monkeypatch.setattr("sys.path", [place for place in sys.path if place != str(channel)])
        methods.REGISTRY.reload()

    return uninstall


def pinned(settings: Settings, data: Path, names: tuple[str, ...] = PINNED) -> CampaignConfig:
    config = small_config(data, settings)
    return config.model_copy(update={"methods": names, "versions": versions(config.brains, names)})


class Killed(Exception):
    """The process is gone."""


def killed(config: CampaignConfig, settings: Settings, after: int) -> None:
    """Begin *config* and be gone once *after* tests have run."""

    def watch(progress: Progress) -> None:
        if progress.done >= after:
            raise Killed

    asyncio.run(begin(config, settings))
    with pytest.raises(Killed):
        asyncio.run(resume_campaign(config.campaign, settings, watch, 1))


def test_a_campaign_killed_before_a_method_was_added_ends_as_if_it_had_not(
    undisturbed: CampaignRun, small_data: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    settings = settings_in(tmp_path)
    killed(small_config(small_data, settings), settings, after=12)
    request.getfixturevalue("added")
    again = resumed(CAMPAIGN, settings)
    assert differing(contents(undisturbed.folder), contents(again.folder)) == []


def test_a_finished_one_is_told_again_word_for_word_after_a_method_was_added(
    undisturbed: CampaignRun, small_data: Path, tmp_path: Path, added: Method
) -> None:
    told = retold(undisturbed.folder, settings_in(tmp_path), small_data)
    assert (told.difference, told.files) == (None, ())


def test_what_was_resolved_stands_in_the_files_whether_it_was_said_or_not(undisturbed: CampaignRun) -> None:
    said = yaml.safe_load((undisturbed.folder / "campaign.yaml").read_text())
    assert said["methods"] == [*DEFAULT_METHODS]
    assert CampaignConfig.model_validate(said) == bodies(journal_of(undisturbed.folder), CampaignConfig)[0]
    assert "ema_crossover, macd_trend, trend_breakout" in (undisturbed.folder / "summary.html").read_text()


@pytest.mark.usefixtures("channel")
def test_root_briefings_and_space_know_the_pinned_methods_and_no_others(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    config = pinned(settings, small_data)
    assert LINE in config.versions
    run = conducted(config, settings)
    said = yaml.safe_load((run.folder / "campaign.yaml").read_text())
    assert said["methods"] == [*PINNED]
    assert RunConfig.model_validate(yaml.safe_load((run.folder / "root.yaml").read_text())).methods == PINNED[:1]
    briefings = bodies(journal_of(run.folder), Briefing)
    assert {briefing.methods for briefing in briefings} == {PINNED}
    assert {spec.method for briefing in briefings for spec in briefing.space} == {None, *PINNED}
    tests = [yaml.safe_load(path.read_text()) for path in run.folder.glob("segment_*/test_*/run.yaml")]
    ran = {method for test in tests for method in test["methods"]}
    assert ran
    assert ran <= {*PINNED}
    assert retold(run.folder, settings_in(tmp_path / "elsewhere"), small_data).same


def test_without_an_installed_method_it_says_which_and_from_where(
    channel: Path, gone: Callable[[], None], small_data: Path, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path)
    config = pinned(settings, small_data)
    run = conducted(config, settings)
    halfway = config.model_copy(update={"campaign": "halfway"})
    killed(halfway, settings, after=8)
    gone()
    wanted = (
        f"has the methods {', '.join(PINNED)}, and channel_of_atr is not here; it began with {LINE}: install that"
    )
    with pytest.raises(ConfigError, match=f"halfway: {wanted}"):
        resumed("halfway", settings)
    with pytest.raises(ConfigError, match=f"{CAMPAIGN}: {wanted}"):
        retold(run.folder, settings_in(tmp_path / "elsewhere"), small_data)


def test_another_version_of_an_installed_method_is_told_before_it_decides(
    channel: Path, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_in(tmp_path)
    config = pinned(settings, small_data)
    changed = tuple(line.replace("channel 2.0", "channel 1.9") for line in config.versions)
    run = conducted(config.model_copy(update={"versions": changed}), settings)
    told = f"began with {LINE.replace('2.0', '1.9')}; here is {LINE}, which may differ"
    assert told in capsys.readouterr().err
    retold(run.folder, settings_in(tmp_path / "elsewhere"), small_data)
    assert told in capsys.readouterr().err


def asked(tmp_path: Path, data: Path, *options: str, **file: Any) -> dict[str, Any]:
    """The campaign.yaml of the campaign that the command runs with *options* over a *file*."""
    (tmp_path / "asked.yaml").write_text(yaml.safe_dump({"tests": 4, "segments": 1, **file}))
    out = tmp_path / "runs"
    shutil.rmtree(out, ignore_errors=True)
    told = CliRunner().invoke(
        app,
        [
            "campaign",
            "run",
            "--config",
            str(tmp_path / "asked.yaml"),
            "--data",
            str(data),
            "--out",
            str(out),
            *options,
        ],
    )
    assert told.exit_code == 0, told.output
    [file_of] = out.glob("*/campaign.yaml")
    said: dict[str, Any] = yaml.safe_load(file_of.read_text())
    return said


def test_options_and_file_name_methods_and_the_option_wins(small_data: Path, tmp_path: Path) -> None:
    assert asked(tmp_path, small_data)["methods"] == [*DEFAULT_METHODS]
    assert asked(tmp_path, small_data, methods=["supertrend", "macd_trend"])["methods"] == [
        "macd_trend",
        "supertrend",
    ]
    option = ("--methods", "time_of_day,macd_trend", "--methods", "macd_trend")
    assert asked(tmp_path, small_data, *option, methods=["supertrend"])["methods"] == ["macd_trend", "time_of_day"]
    everything = asked(tmp_path, small_data, "--methods", "all")["methods"]
    assert everything == [*methods.REGISTRY.names()]
    assert len(everything) == 10


def test_the_order_in_which_methods_are_named_changes_nothing(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    market, _ = load_bars(small_data, symbol="BTCUSDT")
    names = [("macd_trend", "supertrend"), ("supertrend", "macd_trend")]
    one, other = (resolve(CampaignRequest(data=small_data, methods=each), market, settings) for each in names)
    assert one == other
    plain = resolve(CampaignRequest(data=small_data), market, settings)
    assert resolve(CampaignRequest(data=small_data, methods=DEFAULT_METHODS[::-1]), market, settings) == plain


def test_a_campaign_of_before_methods_could_be_named_reads_as_one_of_the_first_three(
    undisturbed: CampaignRun, tmp_path: Path, small_data: Path
) -> None:
    said = yaml.safe_load((undisturbed.folder / "campaign.yaml").read_text())
    del said["methods"]
    assert CampaignConfig.model_validate(said).methods == DEFAULT_METHODS
    (tmp_path / "campaign.yaml").write_text(yaml.safe_dump(said))
    again = request_of(tmp_path / "campaign.yaml", {"data": small_data}, settings_in(tmp_path))
    assert again.methods == DEFAULT_METHODS


@pytest.mark.usefixtures("channel")
def test_every_method_there_is_runs_in_one_campaign_and_is_told_again(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    run = conducted(pinned(settings, small_data, methods.REGISTRY.names()), settings)
    assert run.finished.tests == 24
    assert retold(run.folder, settings_in(tmp_path / "elsewhere"), small_data).same


def test_a_method_that_nobody_brings_is_refused_before_anything_runs(small_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    asked = ["campaign", "run", "--data", str(small_data), "--out", str(out), "--methods", "supertrent"]
    told = CliRunner().invoke(app, asked)
    assert isinstance(told.exception, UnknownKey)
    assert "did you mean 'supertrend'?" in str(told.exception)
    assert not list(out.glob("*/campaign.yaml"))


def test_a_market_offers_the_methods_it_is_given_and_no_others(added: Method) -> None:
    market = family_bars("noise", 0.0, 1, 20_000)
    assert added.name in methods.REGISTRY.names()
    assert tuple(open_market(market, WindowPlan(), ORIGIN_TARGETS).runner.methods()) == DEFAULT_METHODS
    runner = open_market(market, WindowPlan(), ORIGIN_TARGETS, methods=(added.name,)).runner
    assert runner.methods() == (added.name,)
    assert runner.space(runner.methods())["channel_bars"].method == added.name


def test_a_method_that_is_gone_is_named_with_the_nearest_known() -> None:
    with pytest.raises(UnknownKey, match="channel_of_mine"):
        methods.get("channel_of_mine")
    with pytest.raises(UnknownKey, match="supertrend"):
        methods.space_for(["supertrent"])


def test_what_an_outside_method_is_goes_into_the_versions(added: Method) -> None:
    [line] = methods.REGISTRY.from_outside([added.name, "macd_trend"])
    assert line.startswith("maestro.methods:channel_of_mine")
    assert line.endswith(" 3")


def test_a_spec_that_leans_on_a_stranger_is_refused_when_it_is_declared() -> None:
    with pytest.raises(ConfigError, match="slow is no parameter of its own"):
        Method(name="x", about="x", specs=(bars("fast", 5, 2, 9, "x", below="slow"),), scan=METHOD.scan)


def test_two_methods_with_a_parameter_of_one_name_are_refused_together(added: Method) -> None:
    twin = Method(name="twin", about="x", specs=added.specs, scan=METHOD.scan)
    methods.REGISTRY.register("twin", twin)
    try:
        with pytest.raises(ParameterError, match="channel_bars"):
            methods.space_for([added.name, "twin"])
    finally:
        methods.REGISTRY.unregister("twin")

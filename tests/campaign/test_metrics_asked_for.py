"""Metrics that a campaign asks for beside the fixed: pinned, measured, kept, shown; without them nothing changes."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from campaign_support import bodies, conducted, contents, journal_of, retold, settings_in, small_config
from typer.testing import CliRunner

from maestro.cli.main import app
from maestro.settings import Settings
from maestro.wiring.campaigns import CampaignRequest, CampaignRun, resolve, versions
from maestro.wiring.request import request_of
from maestro_engine.data.loading import load_bars
from maestro_engine.metrics import further
from maestro_protocol.errors import ConfigError, UsageError
from maestro_protocol.messages.campaign import CampaignConfig
from maestro_protocol.messages.report import Metrics, SegmentFinished

LONGEST_LOSS = Path(__file__).parents[1] / "extensions" / "longest_loss"
LINE = "maestro.metrics:longest_loss maestro-longest-loss 0.4"
ASKED = ("calmar", "longest_loss")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    further.REGISTRY.reload()


@pytest.fixture
def longest_loss(installed: Callable[[Path], Path]) -> None:
    installed(LONGEST_LOSS)
    further.REGISTRY.reload()


def asked(settings: Settings, data: Path, **more: Any) -> CampaignConfig:
    config = small_config(data, settings, **more)
    versions_of = versions(config.brains, (), ASKED)
    return config.model_copy(update={"metrics": further.described(ASKED), "versions": versions_of})


def without(value: Any) -> Any:
    """Plain data without further metrics."""
    if isinstance(value, dict):
        return {key: without(item) for key, item in value.items() if key != "extra"}
    return [without(item) for item in value] if isinstance(value, list) else value


@pytest.mark.usefixtures("longest_loss")
def test_each_test_is_measured_by_them_and_nothing_else_changes(
    undisturbed: CampaignRun, small_data: Path, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path)
    config = asked(settings, small_data)
    assert LINE in config.versions
    run = conducted(config, settings)
    tests = [test for said in bodies(journal_of(run.folder), SegmentFinished) for test in said.results]
    assert len(tests) == 24
    for test in tests:
        whole, lost = test.whole, test.whole.extra["longest_loss"]
        assert tuple(whole.extra) == ASKED
        assert (lost is None) == (whole.n_trades == 0)
        assert lost is None or lost <= whole.losses
    plain, measured = contents(undisturbed.folder), contents(run.folder)
    for name in ("segment_1/segment_plan.json", *(n for n in plain if n.endswith(("trades.jsonl", "scores.jsonl")))):
        assert plain[name] == measured[name], name
    for name in ("metrics_global.json", "segment_1/segment_results.json"):
        assert without(json.loads(measured[name])) == json.loads(plain[name])
        assert b'"extra"' not in plain[name]
    assert retold(run.folder, settings_in(tmp_path / "elsewhere"), small_data).same


@pytest.mark.usefixtures("longest_loss")
def test_a_test_s_calmar_is_its_own_pnl_and_fall(small_data: Path, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    run = conducted(asked(settings, small_data), settings)
    with (run.folder / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[-2:] == [*ASKED]
    known = [row for row in rows if row["calmar"]]
    assert len(known) > 10
    for row in known:
        assert (float(row["calmar"]) > 0) == (float(row["total_pnl"]) > 0) or abs(float(row["total_pnl"])) < 200
    page = (run.folder / "summary.md").read_text()
    assert "Calmar ratio" in page
    assert "Losers in a row" in page
    shown = CliRunner().invoke(app, ["campaign", "show", run.campaign, "--out", str(settings.runs), "--json"])
    assert set(json.loads(shown.output)["finished"]["whole"]["extra"]) == {*ASKED}


def test_without_one_that_is_installed_it_says_which_and_from_where(
    small_data: Path, tmp_path: Path, installed: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(installed(LONGEST_LOSS))
    further.REGISTRY.reload()
    settings = settings_in(tmp_path)
    run = conducted(asked(settings, small_data), settings)
    monkeypatch.setattr("sys.path", [place for place in sys.path if place != folder])
    further.REGISTRY.reload()
    wanted = f"has the metrics calmar, longest_loss, and longest_loss is not here; it began with {LINE}: install that"
    with pytest.raises(ConfigError, match=wanted):
        retold(run.folder, settings_in(tmp_path / "elsewhere"), small_data)


def test_options_file_and_an_earlier_campaign_ask_for_them(small_data: Path, tmp_path: Path) -> None:
    options = ["--data", str(small_data), "--out", str(tmp_path / "runs"), "--tests", "4", "--segments", "1"]
    told = CliRunner().invoke(app, ["campaign", "run", *options, "--metrics", "calmar"])
    assert told.exit_code == 0, told.output
    [kept] = (tmp_path / "runs").glob("*/campaign.yaml")
    said = yaml.safe_load(kept.read_text())
    assert said["metrics"] == [{"name": "calmar", "label": "Calmar ratio", "unit": "ratio", "better": "more"}]
    assert request_of(kept, {"data": small_data}, settings_in(tmp_path)).metrics == ("calmar",)
    (tmp_path / "asked.yaml").write_text("metrics: [calmar]\n")
    assert request_of(tmp_path / "asked.yaml", {}, settings_in(tmp_path)).metrics == ("calmar",)
    listed = json.loads(CliRunner().invoke(app, ["metrics", "--json"]).output)
    assert "calmar" in [metric["name"] for metric in listed]


def test_results_of_before_read_as_those_without(undisturbed: CampaignRun) -> None:
    tests = [test for said in bodies(journal_of(undisturbed.folder), SegmentFinished) for test in said.results]
    assert {len(test.whole.extra) for test in tests} == {0}
    assert "extra" not in tests[0].whole.model_dump()
    given = tests[0].whole.model_dump() | {"extra": {"calmar": None}}
    assert Metrics.model_validate_json(Metrics.model_validate(given).model_dump_json()).extra == {"calmar": None}


def test_one_with_the_name_of_a_column_that_every_test_has_is_refused(small_data: Path, tmp_path: Path) -> None:
    calmar = further.REGISTRY.get("calmar")
    further.REGISTRY.register("window", calmar)
    try:
        bars, _ = load_bars(small_data, symbol="BTCUSDT")
        with pytest.raises(UsageError, match="window is the name of a column"):
            resolve(CampaignRequest(data=small_data, metrics=("window",)), bars, settings_in(tmp_path))
    finally:
        further.REGISTRY.unregister("window")

"""Sessions planned by hand, one after another: the commands go on with the same chain, or refuse what was changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import rounds_support as support
import yaml
from rounds_support import settings_in
from typer.testing import CliRunner, Result

from maestro.cli.main import app
from maestro_protocol.errors import ConfigError, UsageError
from maestro_protocol.messages.report import TestReport


def maestro(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


RUN = ["session", "run", "--speed", "0", "--duration", "60", "--on-breaker", "hold", "--quantity", "0.05"]
RUN += ["--seed", str(support.LOSING)]
RUN += [word for name, value in support.EAGER.items() for word in ("--param", f"{name}={value}")]


@pytest.fixture(scope="module")
def one_session(tmp_path_factory) -> Path:
    """A workspace in which one session has run."""
    root = tmp_path_factory.mktemp("planned")
    settings_in(root)
    with pytest.MonkeyPatch.context() as patch:
        stand_in(root, patch)
        assert maestro(*RUN).exit_code == 0
    return root


def stand_in(root: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(root)
    patch.setenv("MAESTRO_SPECS", str(root / "specs"))
    patch.delenv("MAESTRO_KILL_SWITCH", raising=False)


@pytest.fixture(autouse=True)
def _workspace(one_session, tmp_path, monkeypatch):
    """A test's own copy of it, to stand in."""
    shutil.copytree(one_session, tmp_path, dirs_exist_ok=True)
    stand_in(tmp_path, monkeypatch)


def test_run_plan_run_plan_and_why(tmp_path):
    planned = json.loads(maestro("session", "plan", "last", "--policy", "streak", "--json").stdout)
    assert planned["sessions"] == 1
    assert planned["changes"], "the rules of this workspace speak after one bad session"
    assert "not enough evidence" in planned["words"]
    ran = maestro("session", "run", "--speed", "0", "--config", planned["next"])
    assert ran.exit_code == 0, ran.output
    second = tmp_path / "runs" / "sessions" / "paper" / "s0002-sim-btcusdt"
    report = TestReport.model_validate_json((second / "report.json").read_bytes())
    assert (report.test_id, report.parent_run) == ("seg2_test001", "seg2")
    again = json.loads(maestro("session", "plan", "last", "--json").stdout)
    assert (again["name"], again["sessions"]) == (planned["name"], 2)
    name = planned["changes"][0].split()[0]
    why = maestro("why", "s0002-sim-btcusdt", name)
    assert why.exit_code == 0, why.output
    assert "seg2 (from seg1)" in why.stdout
    assert "strategist, PlanEvent" in why.stdout
    told = maestro("why", "s0001-sim-btcusdt", name)
    assert "declared default" in told.stdout


def test_an_earlier_session_planned_again_leaves_the_newest_plan():
    first = json.loads(maestro("session", "plan", "last", "--policy", "streak", "--json").stdout)
    maestro("session", "run", "--speed", "0", "--config", first["next"])
    newest = json.loads(maestro("session", "plan", "last", "--json").stdout)
    again = json.loads(maestro("session", "plan", "s0001-sim-btcusdt", "--json").stdout)
    assert again["sessions"] == newest["sessions"] == 2
    assert yaml.safe_load(Path(again["next"]).read_text())["run"]["run_id"] == "seg3_test001"


def test_a_session_that_has_not_ended_is_not_planned_on(tmp_path):
    folder = tmp_path / "runs" / "sessions" / "paper" / "s0001-sim-btcusdt"
    for name in ("state.json", "state.json.bak"):
        (folder / name).unlink()
    refused = maestro("session", "plan", "s0001-sim-btcusdt")
    assert isinstance(refused.exception, UsageError)
    assert "has not come to its end" in str(refused.exception)


def test_a_planned_file_that_was_tampered_with_is_refused():
    planned = json.loads(maestro("session", "plan", "last", "--json").stdout)
    said = yaml.safe_load(Path(planned["next"]).read_text())
    said["params"]["timeout_bars"] = 24
    Path("other.yaml").write_text(yaml.safe_dump(said))
    refused = maestro("session", "run", "--config", "other.yaml")
    assert isinstance(refused.exception, ConfigError)
    assert "run:" in str(refused.exception)


def test_a_chain_whose_base_was_changed_is_not_gone_on_with():
    planned = json.loads(maestro("session", "plan", "last", "--json").stdout)
    path = Path(planned["folder"]) / "session.yaml"
    said = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(said | {"quantity": "5"}))
    refused = maestro("session", "plan", "last")
    assert isinstance(refused.exception, UsageError)
    assert "has changed since the chain began" in str(refused.exception)

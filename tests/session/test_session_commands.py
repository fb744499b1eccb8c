"""The session's commands, as a person and a program use them."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from typer.testing import CliRunner, Result

from maestro.cli.main import app
from maestro.cli.session.options import way_out
from maestro.wiring import sessions
from maestro_engine.session.places import new_run, runs_in
from maestro_engine.session.safety.lock import SessionLock
from maestro_engine.session.safety.state import StateFile
from maestro_engine.trading.venue.money import plain
from maestro_protocol.errors import (
    ConfigError,
    DataError,
    GateRefused,
    ParameterError,
    Refused,
    UnknownKey,
    UsageError,
)
from maestro_protocol.messages.plan import PlanEvent

QUICK = ["session", "run", "--speed", "0", "--duration", "3", "--param", "ema_fast=2", "--param", "ema_slow=5"]
MAESTRO = [sys.executable, "-c", "import sys; sys.argv[0] = 'maestro'; from maestro.__main__ import run; run()"]


def command(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def stand_in(root: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(root)
    patch.delenv("MAESTRO_SPECS", raising=False)
    patch.delenv("MAESTRO_KILL_SWITCH", raising=False)
    # Commands run in the process of the tests, which has held many before: its memory is not a session's.
    surroundings = partial(sessions.Surroundings, rss=lambda: 100_000_000)
    patch.setattr(sessions, "Surroundings", surroundings)


@pytest.fixture
def maestro(tmp_path, monkeypatch):
    """Runs a command in a workspace of its own; gives what Click gives."""
    stand_in(tmp_path, monkeypatch)
    return command


def test_run_status_and_verify(maestro, tmp_path):
    ran = maestro(*QUICK, "--json")
    assert ran.exit_code == 0, ran.output
    report = json.loads(ran.stdout)
    assert (report["status"], report["reason"], report["run"]) == ("completed", "duration", "s0001-sim-btcusdt")
    folder = tmp_path / "runs" / "sessions" / "paper" / "s0001-sim-btcusdt"
    assert json.loads((folder / "final_report.json").read_text()) == report
    checked = maestro("session", "verify", "--json")
    told = json.loads(checked.stdout)
    assert (checked.exit_code, told["passed"], len(told["checks"])) == (0, True, 10)
    status = json.loads(maestro("session", "status", "--json").stdout)
    assert status["running"] is None
    assert status["sessions"][0]["net_pnl"] == report["net_pnl"]


def test_a_checklist_that_does_not_hold_exits_with_1(maestro, tmp_path):
    maestro(*QUICK)
    folder = tmp_path / "runs" / "sessions" / "paper" / "s0001-sim-btcusdt"
    (folder / "summary.html").unlink()
    checked = maestro("session", "verify", "s0001-sim-btcusdt")
    assert checked.exit_code == 1
    assert "FAIL  artifacts present: missing or empty: summary.html" in checked.stdout
    assert "9 of 10" in checked.stdout


def test_live_is_refused_with_all_that_is_missing(maestro):
    refused = maestro("session", "run", "--env", "live")
    assert isinstance(refused.exception, GateRefused)
    assert refused.exception.exit_code == 3
    for missing in ("no gate", "session.yaml", "approval", "credentials"):
        assert missing in str(refused.exception)
    assert not Path("runs").exists()


def test_live_is_refused_even_with_folder_approval_and_credentials(maestro, monkeypatch, tmp_path):
    monkeypatch.setenv("MAESTRO_LIVE_API_KEY", "k" * 20)
    monkeypatch.setenv("MAESTRO_LIVE_API_SECRET", "s" * 20)
    live = tmp_path / "specs" / "sessions" / "live"
    live.mkdir(parents=True)
    (live / "session.yaml").write_text("quantity: '0.01'\n")
    first = str(maestro("session", "run", "--env", "live").exception)
    name = first.partition("approval-")[2].partition(".json")[0]
    (live / f"approval-{name}.json").write_text("{}")
    refused = maestro("session", "run", "--env", "live")
    assert isinstance(refused.exception, GateRefused)
    assert "besides" not in str(refused.exception)
    other = str(maestro("session", "run", "--env", "live", "--quantity", "0.02").exception)
    assert "an approval of this configuration" in other, "an approval is bound to one configuration"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--source", "nowhere"], ConfigError),
        (["--param", "ema_fasd=3"], ParameterError),
        (["--param", "ema_fast"], UsageError),
        (["--method", "no_such"], UnknownKey),
        (["--source", "replay"], UsageError),
        (["--env", "demo"], UsageError),
        (["--replay-from", "noon", "--source", "replay", "--recording", "x.gz"], Exception),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_left(maestro, words, error):
    refused = maestro("session", "run", *words)
    assert isinstance(refused.exception, error)
    assert "\n" not in str(refused.exception)
    assert not Path("runs").exists()


def test_the_owners_file_is_read_and_checked(maestro, tmp_path):
    folder = tmp_path / "specs" / "sessions" / "paper"
    folder.mkdir(parents=True)
    (folder / "session.yaml").write_text("quantity: '0.011'\nlimits: {max_daily_loss_usd: 20}\n")
    ran = maestro(*QUICK, "--json")
    assert ran.exit_code == 0, ran.output
    config = json.loads((tmp_path / "runs/sessions/paper/s0001-sim-btcusdt/config.json").read_text())
    assert (config["quantity"], config["limits"]) == ("0.011", {"max_daily_loss_usd": "20"})
    (folder / "session.yaml").write_text("quantitty: '0.011'\n")
    assert "did you mean 'quantity'" in str(maestro(*QUICK).exception)
    (folder / "session.yaml").write_text("limits: {max_daily_loss_usd: 2000}\n")
    assert "may only be made stricter" in str(maestro(*QUICK).exception)


def test_the_exchanges_brackets_are_read_said_and_checked(maestro, tmp_path):
    folder = tmp_path / "specs" / "sessions"
    folder.mkdir(parents=True)
    rows = [{"notionalFloor": 0, "maintMarginRatio": 0.0065}]
    (folder / "brackets.json").write_text(json.dumps([{"symbol": "ETHUSDT", "brackets": rows}]))
    said = {}
    for symbol in ("ETHUSDT", "SOLUSDT", "BTCUSDT"):
        assert maestro(*QUICK, "--symbol", symbol).exit_code == 0
        [trail] = (tmp_path / "runs" / "sessions" / "paper").glob(f"*-{symbol.lower()}/events.jsonl")
        lines = [json.loads(line) for line in trail.read_text().splitlines()]
        [said[symbol]] = [line for line in lines if line["event"] == "MarginBrackets"]
    assert {symbol: line["source"] for symbol, line in said.items()} == {
        "ETHUSDT": "told",
        "SOLUSDT": "guessed",
        "BTCUSDT": "published",
    }
    assert said["ETHUSDT"]["brackets"] == [["0", "0.0065"]]
    (folder / "brackets.json").write_text("[{}]")
    refused = maestro(*QUICK)
    assert isinstance(refused.exception, ConfigError)
    assert "brackets.json" in str(refused.exception)


def test_the_kill_file_and_its_release(maestro, tmp_path):
    workspace = tmp_path / "runs" / "sessions"
    workspace.mkdir(parents=True)
    (workspace / "KILL").touch()
    refused = maestro(*QUICK)
    assert isinstance(refused.exception, Refused)
    assert "kill switch" in str(refused.exception)
    assert maestro("session", "release").exit_code == 0
    assert maestro(*QUICK).exit_code == 0


@pytest.mark.parametrize("word", ["true", "1", "YES", "on", "kill", "?"])
def test_the_environment_kills_too(maestro, monkeypatch, word):
    monkeypatch.setenv("MAESTRO_KILL_SWITCH", word)
    assert "kill switch: on by env" in str(maestro(*QUICK).exception)


def test_there_must_be_a_session_to_stop_or_verify(maestro):
    assert isinstance(maestro("session", "stop").exception, UsageError)
    assert isinstance(maestro("session", "verify").exception, UsageError)


def test_no_secret_is_written_even_when_it_is_the_symbol(maestro, monkeypatch, tmp_path):
    monkeypatch.setenv("MAESTRO_LIVE_API_SECRET", "BTCUSDT")
    maestro(*QUICK)
    folder = tmp_path / "runs" / "sessions" / "paper" / "s0001-sim-btcusdt"
    for name in ("events.jsonl", "final_report.json", "summary.html", "session.log"):
        assert "BTCUSDT" not in (folder / name).read_text(), name


@pytest.fixture(scope="module")
def tripped_once(tmp_path_factory) -> Path:
    """A workspace with a session that a losing streak has tripped, of a source whose account goes on in the next."""
    root = tmp_path_factory.mktemp("tripped")
    specs = root / "specs" / "sessions" / "paper"
    specs.mkdir(parents=True)
    (specs / "session.yaml").write_text("limits: {max_losing_streak: 1}\n")
    with pytest.MonkeyPatch.context() as patch:
        stand_in(root, patch)
        ran = command(*QUICK, "--duration", "120", "--json")
    assert json.loads(ran.stdout)["reason"] == "breaker:losing_streak"
    folder = root / "runs" / "sessions" / "paper"
    (folder / "s0001-sim-btcusdt").rename(folder / "s0001-binance-btcusdt")
    return root


@pytest.fixture
def tripped(tripped_once, maestro, tmp_path) -> Path:
    """That session, in a copy of its workspace to stand in."""
    shutil.copytree(tripped_once, tmp_path, dirs_exist_ok=True)
    return tmp_path / "runs" / "sessions" / "paper" / "s0001-binance-btcusdt"


def test_the_owner_clears_a_breaker_and_it_is_kept_who_did_and_why(maestro, tripped):
    assert "losing_streak is tripped" in maestro("session", "status").stdout
    done = maestro("session", "clear", "losing_streak", "--why", "looked at \x1b[2J it", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["run"], said["breaker"], said["done"]) == (tripped.name, "losing_streak", True)
    assert said["who"].startswith("cli:")
    line = json.loads((tripped / "events.jsonl").read_text().splitlines()[-1])
    assert (line["event"], line["who"], line["why"]) == ("CircuitBreakerCleared", said["who"], said["why"])
    [row] = json.loads(maestro("session", "status", "--json").stdout)["sessions"]
    assert (row["tripped"], row["cleared"][0]["who"]) == ([], said["who"])
    for words in (["status"], ["verify"]):
        shown = maestro("session", *words).stdout
        assert f"losing_streak was cleared by {said['who']}" in shown
        assert "\x1b" not in shown, "a reason commands no terminal"
    again = maestro("session", "clear", "losing_streak", "--why", "again").exception
    assert "has not tripped" in str(again)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["losing_streak"], 2),
        (["losing_streak", "--why", " "], 2),
        (["daily_loss", "--why", "please"], 3),
        (["errors", "--why", "please"], 3),
        (["drawdown", "--why", "please"], 2),
        (["losing_streak", "s0009", "--why", "please"], 2),
    ],
)
def test_what_may_not_be_cleared_is_not(maestro, tripped, words, code):
    before = (tripped / "state.json").read_bytes(), (tripped / "events.jsonl").read_bytes()
    refused = maestro("session", "clear", *words).exception
    assert refused.exit_code == code
    assert "\n" not in str(refused)
    assert ((tripped / "state.json").read_bytes(), (tripped / "events.jsonl").read_bytes()) == before


def test_a_session_that_runs_is_asked_to_clear_itself_and_no_other_is(maestro, tripped):
    with SessionLock(tripped.parents[1]) as lock:
        lock.name(tripped.name)
        asked = maestro("session", "clear", "losing_streak", "--why", "looked at it")
        assert (asked.exit_code, "was asked to clear" in asked.stdout) == (0, True)
        assert json.loads((tripped / "commands" / "clear-losing_streak").read_text())["why"] == "looked at it"
        lock.name("s0002-binance-btcusdt")
        refused = maestro("session", "clear", "losing_streak", "--why", "looked at it").exception
        assert isinstance(refused, Refused)
        assert "s0002-binance-btcusdt is running" in str(refused)


def test_a_session_that_runs_is_not_checked_yet(maestro, tmp_path):
    workspace = tmp_path / "runs" / "sessions"
    folder = workspace / "paper" / "s0001-sim-btcusdt"
    folder.mkdir(parents=True)
    (folder / "events.jsonl").touch()
    with SessionLock(workspace) as lock:
        lock.name(folder.name)
        refused = maestro("session", "verify").exception
        assert isinstance(refused, UsageError)
        assert f"{folder.name} is still running (process {os.getpid()})" in str(refused)


def test_a_session_that_could_not_start_leaves_no_folder(maestro, tmp_path):
    workspace = tmp_path / "runs" / "sessions"
    config = sessions.SessionConfig(source="binance")
    before = new_run(workspace, config)
    StateFile(before.folder).save({"phase": "done", "digest": config.digest})
    failed = maestro("session", "run", "--source", "binance", "--endpoint", "127.0.0.1:9", "--duration", "1")
    assert isinstance(failed.exception, DataError)
    assert [run.name for run in runs_in(workspace, "paper")] == [before.name]


def test_no_agent_has_a_way_to_clear_a_breaker():
    """Whoever imports what clears stands on the roof or the landing; agents and what patches for them do not."""
    rooms = Path(__file__).parents[2]
    for room in ("agents/maestro_agents", "app/maestro/control", "protocol/maestro_protocol", "prompts"):
        for path in (rooms / room).rglob("*.py"):
            assert "clearing" not in path.read_text(encoding="utf-8").casefold(), path
    actions = get_args(get_type_hints(PlanEvent)["action"])
    assert not {action for action in actions if "clear" in action or "reset" in action}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path, number):
    command = [*MAESTRO, "session", "run", "--duration", "5", "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("RUNNING"):
                process.send_signal(number)
        assert process.wait(60) == 0
    [report] = tmp_path.glob("sessions/paper/*/final_report.json")
    assert json.loads(report.read_text())["reason"] == f"signal:{number.name}"


@pytest.mark.parametrize("word", ["", "0", "false", "No", " off "])
def test_a_clear_no_does_not(maestro, monkeypatch, word):
    monkeypatch.setenv("MAESTRO_KILL_SWITCH", word)
    assert maestro(*QUICK).exit_code == 0


@pytest.mark.slow
def test_a_session_of_bitunix_over_the_served_double(tmp_path):
    with subprocess.Popen(
        [*MAESTRO, "exchange", "serve", "--sim", "3"], stdout=subprocess.PIPE, text=True
    ) as exchange:
        assert exchange.stdout is not None
        address = exchange.stdout.readline().split()[0]
        run = ["session", "run", "--out", str(tmp_path), "--source", "bitunix", "--endpoint", address]
        ended = subprocess.run([*MAESTRO, *run, "--duration", "0.1"], capture_output=True, text=True, timeout=100)
        exchange.send_signal(signal.SIGTERM)
        assert exchange.wait(30) == 0
    assert ended.returncode == 0, ended.stderr
    [report] = tmp_path.glob("sessions/paper/*/final_report.json")
    said = json.loads(report.read_text())
    assert (said["reason"], said["error_count"], said["feed"]["rejected"]) == ("duration", 0, {})
    assert said["events"] > 20


@pytest.mark.slow
def test_a_session_over_the_served_double_and_a_second_one_beside_it(tmp_path):
    serving = [*MAESTRO, "exchange", "serve", "--sim", "3"]
    with subprocess.Popen(serving, stdout=subprocess.PIPE, text=True) as exchange:
        assert exchange.stdout is not None
        address = exchange.stdout.readline().split()[0]
        run = [*MAESTRO, "session", "run", "--out", str(tmp_path), "--source", "binance", "--endpoint", address]
        with subprocess.Popen([*run, "--duration", "0.1"], stderr=subprocess.PIPE, text=True) as session:
            assert session.stderr is not None
            for line in session.stderr:
                if line.startswith("RUNNING"):
                    second = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
                    assert second.returncode == 3
                    assert "already_running" in second.stderr
            assert session.wait(60) == 0
        exchange.send_signal(signal.SIGTERM)
        assert exchange.wait(30) == 0
    [report] = tmp_path.glob("sessions/paper/*/final_report.json")
    said = json.loads(report.read_text())
    assert (said["reason"], said["error_count"], said["feed"]["rejected"]) == ("duration", 0, {})
    assert said["frame_to_decision"]["count"] > 50


@pytest.mark.slow
def test_replaying_from_a_moment_makes_the_same_trades_every_time(maestro, market_data, tmp_path):
    capture = market_data / "ticks" / "binance_usdm_btcusdt_2024-08-08.ws.gz"
    words = ["session", "run", "--source", "replay", "--recording", str(capture), "--speed", "0", "--outage", "600"]
    words += ["--replay-from", "2024-08-08T23:58:00", "--param", "ema_fast=2", "--param", "ema_slow=5", "--json"]
    reports = [json.loads(maestro(*words, "--out", str(tmp_path / name)).stdout) for name in ("a", "b")]
    whole = [word for word in words if word not in ("--replay-from", "2024-08-08T23:58:00")]
    reports.append(json.loads(maestro(*whole, "--out", str(tmp_path / "c")).stdout))
    assert {report["reason"] for report in reports} == {"data_ended"}
    assert reports[0]["events"] == reports[1]["events"] < reports[2]["events"]
    assert reports[0]["net_pnl"] == reports[1]["net_pnl"]
    trails = [next((tmp_path / name).rglob("events.jsonl")).read_text().splitlines() for name in ("a", "b")]
    binding = [[line for line in trail if "Order" in line or "Execution" in line] for trail in trails]
    assert binding[0] == binding[1] != []


def test_amounts_are_plain_digits_and_hints_lead_somewhere():
    given = ("0E-11", "1E-9", "-0.00", "1.50")
    assert [plain(Decimal(each)) for each in given] == ["0", "0.000000001", "0", "1.50"]
    assert "session clear drawdown" in way_out("drawdown")
    for breaker in ("daily_loss", "errors"):
        assert "clear it:" not in way_out(breaker), "a hard limit is cleared by nobody"
        assert "nobody clears it" in way_out(breaker)


def test_status_looks_at_a_folder_that_it_may_not_write_to(maestro, tmp_path, monkeypatch):
    assert maestro(*QUICK).exit_code == 0
    opened = os.open

    def reading_only(path, flags, *more, **named):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise PermissionError(errno.EROFS, "read-only file system", str(path))
        return opened(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", reading_only)
    told = json.loads(maestro("session", "status", "--json").stdout)
    assert told["running"] is None
    assert len(told["sessions"]) == 1

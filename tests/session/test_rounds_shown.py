"""A chain of sessions on one page: each of its rounds while it runs, and all of them in a row, to the end."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from rounds_support import chain, config, settings_in
from typer.testing import CliRunner

from maestro.cli.main import app
from maestro.dashboard.board import Board
from maestro.settings import Settings
from maestro.wiring import sessions
from maestro.wiring.live import rounds
from maestro.wiring.live.chain_history import rounds_of
from maestro.wiring.live.rounds import Chain, ChainRequest
from maestro_engine.session.evidence.report import read_report
from maestro_protocol.errors import Refused


class Page:
    """Looks at the board at lines of the trail, as a browser would."""

    def __init__(self, settings: Settings) -> None:
        self.board = Board(time.monotonic, lambda name: rounds_of(settings, name))
        self.settings, self.seen, self.told = settings, list[dict[str, Any]](), 0

    def hear(self, line: bytes) -> None:
        self.board.told(line)
        said = json.loads(line)
        if said["event"] == "CandleClosed" or said.get("state") == "COMPLETED":
            self.board._make()
            self.seen.append(self.state())

    def state(self) -> dict[str, Any]:
        return json.loads(self.board.state(-1, 0.0))

    def run(self, count: int, minutes: float = 24) -> Chain:
        asked, where = ChainRequest(policy="streak"), sessions.Where(speed=0)
        work = rounds.run_rounds(config(minutes), where, count, asked, self.settings, self.hear, self.board.beside)
        try:
            return asyncio.run(work)
        finally:
            self.board.end()


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> tuple[Page, Chain]:
    """A chain of three rounds, and the page that was beside them."""
    page = Page(settings_in(tmp_path_factory.mktemp("shown")))
    return page, page.run(3)


def test_one_page_shows_all_rounds_of_a_chain(three):
    page, done = three
    reports = [read_report(run.folder) for run in sessions.all_runs(page.settings)]
    for number, report in enumerate(reports, 1):
        mine = [view for view in page.seen if view["run"] == report.run]
        assert len(mine) > 20
        assert all(view["standing"]["asked"]["run"] == report.run for view in mine)
        assert {len(view["rounds"]) for view in mine} == {number}
        assert {view["rounds"][-1]["run"] for view in mine} == {report.run}
        assert all(row["status"] == "completed" for view in mine for row in view["rounds"][:-1])
        assert {fill["id"].rpartition("-")[0] for view in mine for fill in view["past"]["fills"]} <= {report.run}
        assert not any(view["over"] for view in mine)
    versions = [view["version"] for view in page.seen]
    assert versions == sorted(set(versions)), "who waits for news gets those of the next session, too"
    last = page.state()
    assert last["over"]
    rows = [(row["number"], row["trades"], row["net_pnl"], row["reason"]) for row in last["rounds"]]
    assert rows == [(n, r.trades, str(r.net_pnl), r.reason) for n, r in enumerate(reports, 1)]
    assert done.sessions == 3
    assert any(row["changes"] for row in last["rounds"]), "what the agents changed"


def test_a_chain_that_goes_on_shows_the_rounds_of_its_earlier_life(tmp_path):
    page = Page(settings_in(tmp_path))
    plain, lives = page.hear, iter(range(1, 10**6))

    def stopping(line: bytes) -> None:
        plain(line)
        if json.loads(line)["event"] == "CandleClosed" and next(lives) == 30:
            page.board.command("stop")

    page.hear = stopping
    assert page.run(3).stopped == "stop"
    assert [row["reason"] for row in page.state()["rounds"]] == ["duration", "stop"]
    again = Page(page.settings)
    assert again.run(3).finished
    assert {len(view["rounds"]) for view in again.seen} == {3}
    assert again.seen[0]["rounds"][0]["status"] == "completed"


def test_between_two_sessions_a_kill_keeps_the_next_from_starting(tmp_path):
    page = Page(settings_in(tmp_path))
    done = page.board._look_back

    def after(session: Any) -> None:
        done(session)
        if not page.board._running:  # the first round has just ended
            with pytest.raises(Refused, match="no session is running"):
                page.board.command("stop")
            page.board.command("kill")

    page.board._look_back = after
    with pytest.raises(Refused, match="kill switch: on by file"):
        page.run(3)
    assert (page.settings.runs / "sessions" / "KILL").exists()
    assert len(rounds_of(page.settings, next(iter(page.state()["rounds"]))["run"])) == 0, "no chain of that name"
    assert len(page.state()["rounds"]) == 1


def test_a_page_changes_nothing_of_a_chain(three, tmp_path):
    (page, shown), unseen = three, settings_in(tmp_path)
    alone = chain(unseen, 3)
    nets = [[read_report(run.folder).net_pnl for run in sessions.all_runs(each)] for each in (page.settings, unseen)]
    assert nets[0] == nets[1]
    assert (shown.name, shown.changes, shown.words) == (alone.name, alone.changes, alone.words)


def test_the_command_shows_a_chain_and_says_where(tmp_path):
    words = ["session", "run", "--rounds", "2", "--duration", "2", "--speed", "0", "--dashboard-port", "0", "--json"]
    ran = CliRunner().invoke(app, [*words, "--out", str(tmp_path)])
    assert ran.exit_code == 0, ran.output
    assert ran.stderr.count("Dashboard: http://127.0.0.1:") == 1
    assert json.loads(ran.stdout)["sessions"] == 2

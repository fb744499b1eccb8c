"""A source that somebody installed beside Maestro: a session trades on it, says so, and its account goes on there."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from maestro.settings import Settings
from maestro.wiring import sessions
from maestro_engine.feeds.clock import VirtualClock
from maestro_engine.feeds.sim import SimSettings
from maestro_engine.feeds.sources import SOURCES
from maestro_engine.session.config import SessionConfig
from maestro_engine.session.places import Run, carried, find_run, predecessor, runs_in
from maestro_protocol.errors import ConfigError, UnknownKey
from maestro_protocol.values import as_params

QUIET = Path(__file__).parents[1] / "extensions" / "quiet_exchange"
LINE = "maestro.sources:quiet_exchange maestro-quiet-exchange 0.2"


@pytest.fixture(autouse=True)
def quiet_exchange(installed: Callable[[Path], Path]) -> Iterator[Path]:
    folder = installed(QUIET)
    SOURCES.reload()
    yield folder
    SOURCES.reload()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A workspace whose sessions run on a clock of their own, as fast as the machine can."""
    clock = VirtualClock(SimSettings(7).start_ms)
    monkeypatch.setattr(sessions, "SuppliedClock", lambda *_: clock)
    monkeypatch.setattr(sessions, "Surroundings", partial(sessions.Surroundings, rss=lambda: 100_000_000))
    return Settings.model_validate({"runs": tmp_path / "runs", "database_url": None, "vendors": {}})


def config(**more: Any) -> SessionConfig:
    given = {"source": "quiet_exchange", "duration_s": 180.0, "history_bars": 300, "on_breaker": "hold"}
    return SessionConfig.model_validate(
        given | {"params": as_params({"ema_fast": 2, "ema_slow": 5})} | more
    ).with_target()


def ran(asked: SessionConfig, settings: Settings) -> Run:
    ended = asyncio.run(sessions.run_session(asked, sessions.Where(), settings))
    assert ended.report.exit_code == 0
    return find_run(sessions.workspace_of(settings), ended.folder.name)


def test_a_session_trades_there_and_says_where_it_comes_from(settings: Settings) -> None:
    run = ran(config(), settings)
    assert run.name == "s0001-quiet_exchange-btcusdt"
    assert run.config().versions == (LINE,)
    assert '"SourceLacks"' in (run.folder / "events.jsonl").read_text()
    assert "Prices came from a quiet exchange" in (run.folder / "summary.html").read_text()
    second = ran(config(), settings)
    workspace = sessions.workspace_of(settings)
    assert [each.name for each in runs_in(workspace, "paper")] == [run.name, second.name]
    before = predecessor(workspace, second, "paper")
    assert before is not None
    assert before.name == run.name, "the account goes on"


def test_where_it_is_not_installed_it_is_named_with_what_brought_it(
    quiet_exchange: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ran(config(), settings)
    monkeypatch.setattr("sys.path", [place for place in sys.path if place != str(quiet_exchange)])
    SOURCES.reload()
    with pytest.raises(ConfigError, match=f"began with {LINE}: install that"):
        asyncio.run(sessions.run_session(run.config(), sessions.Where(), settings))
    with pytest.raises(UnknownKey, match="quiet_exchange"):
        carried("quiet_exchange")
    with pytest.raises(UnknownKey, match="did you mean 'bitunix'"):
        asyncio.run(sessions.run_session(config(source="bitunics"), sessions.Where(), settings))


def test_what_it_cannot_do_is_refused_before_anything_begins(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="quiet_exchange has no candles of 5m; there are 1m"):
        ran(config(interval="5m"), settings)


def test_sessions_of_what_ships_say_nothing_of_versions_and_have_the_digest_that_they_had() -> None:
    plain = SessionConfig()
    assert plain.with_versions() == plain
    assert "versions" not in plain.model_dump()
    assert plain.digest == plain.model_copy(update={"versions": (LINE,)}).digest

"""conftest owns the databases, Redis servers and made-up campaigns that tests of the store and of its ports share.

PostgreSQL: ``MAESTRO_TEST_POSTGRES`` (URL of a database whose user may create others), else 127.0.0.1:5432, else one
of its own. Redis: ``MAESTRO_TEST_REDIS``, else 127.0.0.1:6379, else one of its own. Skipped, with the reason, when
there is neither a server nor its programs.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from maestro.store.opening import open_store
from maestro.store.repository import SqlStore
from maestro_protocol.config import DataRef, RunConfig
from maestro_protocol.envelope import Envelope
from maestro_protocol.messages.campaign import TrialRecorded
from maestro_protocol.messages.report import Metrics, TestReport
from maestro_protocol.ports import EpisodeScore, Stored, TestOutcome
from maestro_protocol.values import NamedValue


class MovableClock:
    """A clock that a test moves."""

    def __init__(self, now: int = 1_000) -> None:
        self.now = now

    def now_ms(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1_000


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


class Make:
    """Messages and results that look like a campaign's."""

    def trial(
        self, seq: int, campaign: str = "c1", reason: str = "because", time: int = 1_700_000_000_000
    ) -> Envelope:
        body = TrialRecorded(
            run_id=f"seg1_test{seq:03d}",
            segment=1,
            proposed_by="strategist",
            methods=("macd_trend",),
            params=(NamedValue(name="atr_stop_mult", value=1.5),),
            fate="run",
            reason=reason,
        )
        return self.envelope(seq, body, campaign)

    def envelope(self, seq: int, body: Any, campaign: str = "c1", time: int = 1_700_000_000_000) -> Envelope:
        return Envelope(
            id=f"m{seq:06d}", seq=seq, time=time, campaign=campaign, sender="control", topic="trials", body=body
        )

    def trials(self, first: int, last: int, campaign: str = "c1") -> list[Envelope]:
        return [self.trial(seq, campaign) for seq in range(first, last + 1)]

    def config(self, run_id: str, parent: str | None = None, campaign: str = "c1") -> RunConfig:
        data = DataRef(
            source="bars.csv",
            symbol="BTCUSDT",
            timeframe="5m",
            bars=100,
            digest="a" * 64,
            first_ms=0,
            last_ms=1,
            simulated=False,
            has_taker_volume=True,
        )
        params = (NamedValue(name="atr_stop_mult", value=0.1 + 0.2),)
        return RunConfig(
            run_id=run_id,
            campaign=campaign,
            parent_run=parent,
            seed=7,
            data=data,
            methods=("macd_trend",),
            params=params,
        )

    def stored(self, run_id: str, campaign: str = "c1", pnl: str = "-0.1", trades: int = 3) -> Stored:
        figures: dict[str, Any] = dict.fromkeys(Metrics.model_fields.keys() - {"extra"}, 0) | {
            "n_trades": trades,
            "hit": 1 / 3,
            "payoff": None,
            "total_pnl": Decimal(pnl),
            "maxdd": Decimal("-12.345678"),
            "sharpe": 0.1 + 0.2,
        }
        metrics = Metrics(**figures)
        report = TestReport(
            test_id=run_id,
            parent_run="seg1",
            window=0,
            methods=("macd_trend",),
            params=(NamedValue(name="atr_stop_mult", value=1.5),),
            train=metrics,
            validation=metrics,
            whole=metrics,
        )
        seen: dict[str, Any] = dict.fromkeys(EpisodeScore._fields, 0) | {
            "phase": "train",
            "total_pnl": -100_000,
            "maxdd": -12.345678,
            "high_vol": None,
        }
        episode = EpisodeScore(**seen)
        lines = b"".join(
            b'{"type":"TradeEvent","ts":%d,"episode_id":"e1","tf":"5m","phase":"train","side":"long","reason":"m\xc3\xa9",'
            b'"entered_ts":1,"entry":1.5,"exit":1.25,"qty":2.0,"pnl":-0.1,"fees":0.000001,"mae":-1.1,"mfe":0.3,'
            b'"gates":{"cvd":null,"imb":0.5,"atrz":-1.0,"vhf":null},"bars_held":3,"exit_reason":"stop",'
            b'"blunder":true}\n' % n
            for n in range(trades)
        )
        scores = (
            b'{"type":"ScoreEvent","episode_id":"e1","phase":"train","bars":120,"n_trades":3,"hit":null,"payoff":1.5,'
            b'"total_pnl":-0.3,"maxdd":-0.3,"blunders":0,"score":null,"vol_regime":"mid"}\n'
        )
        return Stored(
            run_id, self.config(run_id, "seg1", campaign), TestOutcome(report, (episode,), trades, lines, scores)
        )


@pytest.fixture
def make() -> Make:
    return Make()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of an empty PostgreSQL database of this test run's own."""
    pytest.importorskip("asyncpg", reason="asyncpg is not installed: pip install maestro[postgres]")
    stop = _nothing
    admin = os.environ.get("MAESTRO_TEST_POSTGRES")
    if admin is None and _listens(5432):
        admin = next((url for url in _LOCAL_POSTGRES if _answers(url)), None)
    if admin is None:
        admin, stop = _own_postgres()
    name = f"maestro_test_{os.getpid()}"
    asyncio.run(_sql(admin, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}"))
    yield admin.rsplit("/", 1)[0] + f"/{name}"
    asyncio.run(_sql(admin, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
    stop()


_LOCAL_POSTGRES = ("postgresql://postgres@127.0.0.1:5432/postgres", "postgresql://postgres@127.0.0.1:5432/test")


async def _sql(url: str, *statements: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url, timeout=10)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _answers(url: str) -> bool:
    import asyncpg

    try:
        asyncio.run(_sql(url, "SELECT 1"))
    except (OSError, asyncpg.PostgresError):
        return False
    return True


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _own_postgres() -> tuple[str, Callable[[], None]]:
    found = shutil.which("pg_ctl") or next((str(p) for p in Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")), None)
    if found is None:
        pytest.skip("no PostgreSQL: not on port 5432, MAESTRO_TEST_POSTGRES not set, pg_ctl not installed")
    programs = Path(found).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="maestro-postgres-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "nobody")
        as_user = ["setpriv", "--reuid=nobody", "--clear-groups"]
    port, data = free_port(), folder / "data"
    run = [*as_user, str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"]
    subprocess.run(run, check=True, capture_output=True)
    flags = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    control = [*as_user, str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log")]
    subprocess.run([*control, "-o", flags, "start"], check=True, stdout=subprocess.DEVNULL)

    def stop() -> None:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)
        shutil.rmtree(folder)

    return f"postgresql://postgres@127.0.0.1:{port}/postgres", stop


def _nothing() -> None:
    return None


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, one kind after the other."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/maestro.db"
    url: str = request.getfixturevalue("postgres")
    asyncio.run(_sql(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public"))
    return url


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., Any]]:
    """Opens stores and closes them at the end of the test."""
    stores: list[SqlStore] = []

    async def open_one(url: str, patience: float = 10.0) -> SqlStore:
        stores.append(await open_store(url, patience))
        return stores[-1]

    yield open_one
    for store in stores:
        await store.close()


@pytest.fixture
async def store(store_url: str, opened: Callable[..., Any]) -> SqlStore:
    return await opened(store_url)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Redis server; tests keep to a prefix of their own."""
    pytest.importorskip("redis", reason="redis is not installed: pip install maestro[redis]")
    found = os.environ.get("MAESTRO_TEST_REDIS")
    if found is None and _listens(6379):
        found = "redis://127.0.0.1:6379/0"
    if found is not None:
        yield found
        return
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


class RedisServer:
    """A Redis server of a test's own, which it may kill and start again on the same port with the same data."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("no Redis: redis-server is not installed (and MAESTRO_TEST_REDIS is not set)")
        self._program, self._folder, self.port = program, folder, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        flags = ["--port", str(self.port), "--dir", str(self._folder), "--appendonly", "yes", "--save", ""]
        self._process = subprocess.Popen(
            [self._program, *flags, "--bind", "127.0.0.1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if b"Ready to accept connections" in line:
                return
        raise RuntimeError("redis-server did not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis server of this test's own, to be killed and started again."""
    with RedisServer(tmp_path) as server:
        yield server

"""chain_history owns what the sessions of a chain have come to, as their folders tell it."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from maestro.settings import Settings
from maestro.wiring import sessions
from maestro_engine.session.evidence.report import read_report
from maestro_protocol.config import RunConfig
from maestro_protocol.errors import DataError
from maestro_protocol.values import as_mapping


class ChainRound(Struct, frozen=True):
    """One session of a chain. Money in quote currency; None is unknown yet."""

    number: int
    run: str
    status: str
    """``completed``, ``failed``, or ``open`` while it is under way."""
    reason: str
    trades: int | None
    net_pnl: Decimal | None
    equity: Decimal | None
    changes: tuple[str, ...]
    """What it does otherwise than the round before."""


def rounds_of(settings: Settings, chain: str) -> list[ChainRound]:
    """All rounds of *chain* that have begun, the first one first."""
    found: list[tuple[RunConfig, sessions.Run]] = []
    for run in sessions.all_runs(settings):
        try:
            config = run.config().run
        except DataError:
            continue
        if config is not None and config.campaign == chain and config.window is not None:
            found.append((config, run))
    rounds: list[ChainRound] = []
    before: RunConfig | None = None
    for config, run in sorted(found, key=lambda pair: pair[0].window.index if pair[0].window else 0):
        assert config.window is not None
        report, changes = read_report(run.folder), changed(before, config)
        told = (config.window.index + 1, run.name)
        if report is None:
            rounds.append(ChainRound(*told, "open", "", None, None, None, changes))
        else:
            done = (report.status, report.reason, report.trades, report.net_pnl, report.ending_equity)
            rounds.append(ChainRound(*told, *done, changes))
        before = config
    return rounds


def changed(before: RunConfig | None, config: RunConfig) -> tuple[str, ...]:
    """Parameters that *config* sets otherwise than *before*."""
    old = {} if before is None else as_mapping(before.params)
    return tuple(
        f"{name} {old[name]:g} → {value:g}"
        for name, value in as_mapping(config.params).items()
        if name in old and old[name] != value
    )

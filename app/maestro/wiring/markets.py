"""markets owns the way from a file or a seed to a market that a campaign can run on."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from maestro.wiring.gates import tell_on_stderr
from maestro_protocol.config import DataReading, DataRef
from maestro_protocol.errors import ConfigError, DataError, UsageError
from maestro_protocol.messages.campaign import DEFAULT_METHODS, CampaignConfig
from maestro_protocol.registry import Registry

if TYPE_CHECKING:
    from maestro_engine.api import Market
    from maestro_engine.data.bars import Bars
    from maestro_engine.data.simulators.regimes import Kind

STEP_MS = 300_000
SIMULATED_BARS = 180 * 86_400_000 // STEP_MS
"""Length of the built-in market: 180 days of 5-minute bars."""
SIMULATED = re.compile(r"simulated:(\w+):seed=(\d+)")


_NOT_TOLD = frozenset({"zero_volume", "empty_column"})
"""Findings that are usual and change nothing: for `data check` alone."""


def read_bars(path: Path, symbol: str | None = None, reading: DataReading | None = None) -> tuple[Bars, list[str]]:
    """Bars from a file, and what was mended or is odd in it; the engine is loaded while they are read.

    Raises DataError.
    """
    from maestro_engine.data.findings import CheckPolicy
    from maestro_engine.data.loading import load_bars

    with ThreadPoolExecutor(1) as reader:
        policy = CheckPolicy(**(reading or DataReading()).model_dump())
        loading = reader.submit(load_bars, path, symbol=symbol, policy=policy, apart=True)
        importlib.import_module("maestro_engine.api")
        bars, report = loading.result()
    return bars, [finding.line for finding in report.findings if finding.kind not in _NOT_TOLD]


def simulated_bars(kind: str, seed: int, edge: float | None = None) -> Bars:
    """The built-in market of *kind*: labelled as simulated wherever it goes. Raises UsageError.

    *edge* is the expected log return per trade of the rule that a ``planted`` market rewards.
    """
    from maestro_engine.data.simulators.regimes import simulate_bars

    if edge is None:
        return simulate_bars(cast("Kind", kind), seed, SIMULATED_BARS, step_ms=STEP_MS)
    return simulate_bars(cast("Kind", kind), seed, SIMULATED_BARS, step_ms=STEP_MS, edge=edge)


def shuffled_file(path: Path, seed: int) -> Bars:
    """The bars of a file with their moves in another order: what was in the order is gone. Raises DataError."""
    from maestro_engine.data.simulators.regimes import shuffle_bars

    return shuffle_bars(read_bars(path)[0], seed)


def market_of(config: CampaignConfig, bars: Bars, jobs: int) -> Market:
    """The market that *config* asks for. Raises ConfigError where a method or metric that it pins is not here."""
    from maestro_engine.api import open_market

    _same_extensions(config)
    return open_market(
        bars,
        config.windows,
        config.targets,
        jobs=jobs,
        seed=config.seed,
        methods=config.methods,
        metrics=[metric.name for metric in config.metrics],
    )


def _registries(methods: Sequence[str], metrics: Sequence[str]) -> Iterator[tuple[Registry[Any], Sequence[str]]]:
    """Where what a campaign names is found; the engine is loaded only where something is not the default."""
    if any(name not in DEFAULT_METHODS for name in methods):
        from maestro_engine.methods import REGISTRY

        yield REGISTRY, methods
    if metrics:
        from maestro_engine.metrics.further import REGISTRY as METRICS

        yield METRICS, metrics


def outside(methods: Sequence[str], metrics: Sequence[str]) -> tuple[str, ...]:
    """Which of *methods* and *metrics* other distributions bring, and which. Raises UnknownKey."""
    return tuple(line for registry, names in _registries(methods, metrics) for line in registry.from_outside(names))


def _same_extensions(config: CampaignConfig) -> None:
    """Say what *config* pins and is another version here. Raises ConfigError for what is not here."""
    for registry, names in _registries(config.methods, [metric.name for metric in config.metrics]):
        kind = registry.group.partition(".")[2]
        began = {line for line in config.versions if line.startswith(f"{registry.group}:")}
        missing = [name for name in names if name not in registry]
        if missing:
            brought = sorted(line for line in began if line.split()[0].partition(":")[2] in missing)
            what = f"it began with {', '.join(brought)}: install that" if brought else "install what brings it"
            among = f"has the {kind} {', '.join(names)}"
            raise ConfigError(f"{config.campaign}: {among}, and {', '.join(missing)} is not here; {what}")
        here = set(registry.from_outside(names))
        if began != here:
            then, now = (", ".join(sorted(some)) or "the product's own" for some in (began - here, here - began))
            tell_on_stderr(f"{config.campaign}: began with {then}; here is {now}, which may differ")


def running(config: CampaignConfig, market: Market, folder: Path) -> Market:
    """*market* with the runner that *config* asks for; sessions leave their trails in the campaign's *folder*."""
    if config.engine == "backtest":
        return market
    from maestro_engine.session.runs import SessionRunner

    return replace(market, runner=SessionRunner.of(market.runner, folder / "sessions"))


def told_of(config: CampaignConfig, folder: Path) -> list[str]:
    """What the owner should know of how it was run: how much the limits of its sessions took away."""
    if config.engine != "session":
        return []
    from maestro_engine.session.runs import refusals

    refused = refusals(folder / "sessions")
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in refused.most_common())
    return [f"limits and margin refused {refused.total():,} entries ({reasons})"] if refused else []


def check_expected(expected: DataRef | None, there: DataRef) -> None:
    """Raise UsageError where bars are not as an earlier campaign says of its data, naming what differs first."""
    if expected is None:
        return
    for name in DataRef.model_fields:
        said, found = getattr(expected, name), getattr(there, name)
        if name != "repaired" and said != found:
            raise UsageError(
                f"data.{name}: the file says {said!s:.60} and the bars have {found!s:.60}; "
                "name other bars with --data, or leave the line as it was"
            )


def bars_again(config: CampaignConfig, path: Path | None) -> Bars:
    """The very bars of an earlier campaign, from *path* or its seed. Raises DataError when they are others."""
    if config.data.source.endswith(":session"):
        raise UsageError(
            f"{config.campaign}: is a chain of sessions, which go on by `maestro session run` and `plan`"
        )
    simulated = SIMULATED.match(config.data.source)
    if simulated is not None and path is None:
        bars = simulated_bars(simulated[1], int(simulated[2]))
    elif path is not None:
        bars, _ = read_bars(path, config.data.symbol, config.reading)
    else:
        raise UsageError(f"{config.campaign}: its data ({config.data.source}) is not known here; name it with --data")
    if bars.digest != config.data.digest:
        raise DataError(
            f"{path or config.data.source}: these are not the bars that {config.campaign} ran on "
            f"(digest {bars.digest[:12]}, wanted {config.data.digest[:12]})"
        )
    return bars

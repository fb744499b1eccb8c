"""campaign_support owns how tests get a small campaign to its end, and how they compare what two of them left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from maestro.settings import Settings
from maestro.wiring import workspace
from maestro.wiring.campaigns import CampaignRequest, CampaignRun, resolve, resume_campaign
from maestro.wiring.replays import Replayed, replay_campaign
from maestro_engine.data.bars import Bars
from maestro_engine.data.loading import load_bars
from maestro_engine.data.simulators.regimes import simulate_bars
from maestro_protocol.config import Sizing
from maestro_protocol.envelope import ENVELOPE, Envelope
from maestro_protocol.messages.campaign import BrainChoice, CampaignConfig

CAMPAIGN = "made-up"
QUARTER_HOUR = 900_000
DAY_BARS = 96
WALL_CLOCK = frozenset({"time", "at", "applied_at", "asked_at", "expires_at"})
"""The fields in which two tellings may differ; named here again, so that the product cannot quietly add one."""
ROLES = ("maestro", "strategist", "critic", "implementer")
VENDORS = ("anthropic_api_key", "openai_api_key", "anthropic_base_url", "openai_base_url")


def settings_in(folder: Path, **more: Any) -> Settings:
    """Settings of a workspace in *folder*, whatever the environment of the test run says."""
    vendors = {name.upper(): more.pop(name) for name in VENDORS if more.get(name) is not None}
    fixed = {"runs": folder / "runs", "database_url": None, "vendors": vendors}
    return Settings.model_validate(fixed | more)


def bar_columns(bars: Bars, taker: bool = True) -> dict[str, Any]:
    """The columns of a bar file, as exchanges name them."""
    columns: dict[str, Any] = {
        name: getattr(bars, name) for name in ("open_time", "open", "high", "low", "close", "volume")
    }
    if taker and bars.taker_buy_volume is not None:
        columns["taker_buy_volume"] = bars.taker_buy_volume
    return columns


def write_bars(path: Path, columns: Mapping[str, Any]) -> Path:
    pq.write_table(pa.table(dict(columns)), path)
    return path


def small_file(folder: Path, kind: Any = "trending", days: int = 30, taker: bool = True) -> Path:
    """A file of made-up quarter-hour bars: large enough for five windows and a sealed part, no larger; and with
    something to find, as nothing is opened where there is not."""
    bars = simulate_bars(kind, 3, days * DAY_BARS, step_ms=QUARTER_HOUR)
    return write_bars(folder / "BTCUSDT-15m-made-up.parquet", bar_columns(bars, taker))


def small_config(data: Path, settings: Settings, **changes: Any) -> CampaignConfig:
    """24 tests in 3 segments that look every 4 tests by the eager policy, so that patches come and go."""
    bars, _ = load_bars(data, symbol="BTCUSDT")
    workspace.remember_data(settings, bars.digest, data)
    request = CampaignRequest(data=data, tests=24, segments=3, policy="streak", seed=3)
    config = resolve(request, bars, settings)
    return config.model_copy(update={"campaign": CAMPAIGN, "batch": 4} | changes)


def on_sessions(config: CampaignConfig, notional: str = "5000") -> CampaignConfig:
    """The same campaign with a session for every test, of a size that its account can carry."""
    sizing = Sizing.model_validate({"notional_usd": notional})
    return config.model_copy(update={"engine": "session", "sizing": sizing})


def all_on(brain: Any, model: str | None = None) -> tuple[BrainChoice, ...]:
    return tuple(BrainChoice(role=role, brain=brain, model=model) for role in ROLES)  # type: ignore[arg-type]


async def begin(config: CampaignConfig, settings: Settings) -> None:
    """Put what is asked for into the store, as the first message of a campaign that has got no further."""
    store = await workspace.open_workspace_store(settings)
    first = Envelope(
        id="m000001", seq=1, time=1, campaign=config.campaign, sender="control", topic="campaign", body=config
    )
    await store.commit(config.campaign, [first])
    await store.close()


async def conduct(config: CampaignConfig, settings: Settings, jobs: int = 1) -> CampaignRun:
    """The campaign that *config* asks for, from its first message to its end."""
    await begin(config, settings)
    return await resume_campaign(config.campaign, settings, lambda progress: None, jobs)


def conducted(config: CampaignConfig, settings: Settings, jobs: int = 1) -> CampaignRun:
    return asyncio.run(conduct(config, settings, jobs))


def resumed(campaign: str, settings: Settings) -> CampaignRun:
    return asyncio.run(resume_campaign(campaign, settings, lambda progress: None, 1))


def retold(folder: Path, settings: Settings, data: Path) -> Replayed:
    return asyncio.run(replay_campaign(folder, settings, lambda progress: None, 1, data))


def journal_of(folder: Path) -> list[Envelope]:
    return [ENVELOPE.validate_json(line) for line in (folder / "journal.jsonl").read_bytes().splitlines()]


def bodies(journal: list[Envelope], kind: type[Any]) -> list[Any]:
    return [envelope.body for envelope in journal if isinstance(envelope.body, kind)]


def timeless(value: Any) -> Any:
    """Plain data without the fields of the wall clock."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in WALL_CLOCK}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def contents(folder: Path) -> dict[str, Any]:
    """Every file of a campaign's folder: its bytes, or its lines without the wall clock where it holds one."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        name = str(path.relative_to(folder))
        raw = path.read_bytes()
        journal = name in ("journal.jsonl", "recordings.jsonl")
        if name == "files.sha256":  # the digests of files that hold the wall clock hold it too
            told = raw.decode().splitlines()
            found[name] = [line for line in told if not line.endswith((" journal.jsonl", " recordings.jsonl"))]
            continue
        found[name] = [timeless(json.loads(line)) for line in raw.splitlines()] if journal else raw
    return found


def differing(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[str]:
    """Names of the files that differ or are only on one side."""
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))

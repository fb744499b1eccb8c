"""rounds_support owns how tests run chains of sessions on a simulated market, and what they leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from maestro.settings import Settings
from maestro.wiring import sessions
from maestro.wiring.live import rounds
from maestro.wiring.live.rounds import Chain, ChainRequest
from maestro_engine.session.config import SessionConfig
from maestro_protocol.envelope import ENVELOPE, Envelope
from maestro_protocol.values import as_params

EAGER = {"ema_fast": 2, "ema_slow": 5, "timeout_bars": 12, "atr_stop_mult": 0.5}
LOSING = 8
"""Seed of a market on which the eager parameters do so badly that a rule speaks after one session."""
SPECS = Path(__file__).parents[2] / "specs"
CLOCK = frozenset({"time", "at", "applied_at", "asked_at", "expires_at"})


def settings_in(folder: Path, **policies: Any) -> Settings:
    """A workspace whose rules speak after one session, unless *policies* say otherwise; whose gates ask nobody."""
    specs = folder / "specs"
    for name in ("rules/adjustments.yaml", "rules/policies.yaml", "gates/policy.yaml"):
        (specs / name).parent.mkdir(parents=True, exist_ok=True)
        (specs / name).write_text((SPECS / name).read_text())
    (specs / "sessions" / "paper").mkdir(parents=True, exist_ok=True)
    (specs / "sessions" / "paper" / "session.yaml").write_text("history_bars: 300\ncheckpoint_s: 60\n")
    said = yaml.safe_load((specs / "rules/policies.yaml").read_text())
    said["policies"]["streak"]["episodes"] = 1
    (specs / "rules/policies.yaml").write_text(yaml.safe_dump(said | {"look_every_episodes": 5} | policies))
    return Settings.model_validate({"runs": folder / "runs", "specs": specs, "database_url": None, "vendors": {}})


def ask_about_everything(settings: Settings, minutes: int = 60) -> None:
    """From now on every patch needs a yes."""
    assert settings.specs is not None
    path = settings.specs / "gates" / "policy.yaml"
    said = yaml.safe_load(path.read_text())
    said["classes"]["high"] = {"needs": 1, "timeout_minutes": minutes}
    names = ["gate_vhf", "vhf_min", "gate_atrz", "atr_z_min", "hard_tp_usd", "atr_stop_mult", "timeout_bars"]
    said["patches"] = [{"parameters": names, "over": 0, "risk": "high"}]
    path.write_text(yaml.safe_dump(said))


def config(minutes: float = 24, **more: Any) -> SessionConfig:
    given = {"duration_s": minutes * 60, "params": as_params(EAGER), "on_breaker": "hold", "history_bars": 300}
    return SessionConfig.model_validate(given | {"quantity": "0.05", "checkpoint_s": 60} | more).with_target()


def chain(settings: Settings, count: int, base: SessionConfig | None = None) -> Chain:
    where = sessions.Where(speed=0)
    asked = ChainRequest(policy="streak")
    return asyncio.run(rounds.run_rounds(base or config(), where, count, asked, settings))


def journal_of(folder: Path) -> list[Envelope]:
    return [ENVELOPE.validate_json(line) for line in (folder / "journal.jsonl").read_bytes().splitlines()]


def bodies(journal: Iterable[Envelope], kind: type[Any]) -> list[Any]:
    return [envelope.body for envelope in journal if isinstance(envelope.body, kind)]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in CLOCK}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def left(folder: Path) -> dict[str, Any]:
    """Every file of a chain's folder, the journal without the wall clock."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = str(path.relative_to(folder))
            found[name] = timeless(lines(path)) if name == "journal.jsonl" else path.read_bytes()
    digests = found.pop("files.sha256", b"").decode().splitlines()
    found["digests"] = [line for line in digests if not line.endswith(" journal.jsonl")]
    return found


def trails(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """The trails of all sessions by the run that each carried out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in sessions.all_runs(settings):
        planned = run.config().run
        name = run.name if planned is None else planned.run_id
        assert name not in found, f"{name} ran twice"
        found[name] = lines(run.folder / "events.jsonl")
    return found

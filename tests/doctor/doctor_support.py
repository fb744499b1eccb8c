"""doctor_support owns workspaces to examine, a clock to set wrong, and the command line as a program meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maestro.settings import Settings
from maestro.wiring.maintenance.findings import Checked

VENDORS = ("anthropic_api_key", "openai_api_key", "anthropic_base_url", "openai_base_url")


def settings_in(folder: Path, **more: Any) -> Settings:
    vendors = {name.upper(): more.pop(name) for name in VENDORS if name in more}
    fixed = {"runs": folder, "database_url": None, "bus_url": None, "vendors": vendors}
    return Settings.model_validate(fixed | more)


@dataclass
class SetClock:
    """The machine's clock, but for what a test adds; each look at it may add more."""

    ahead_ms: int = 0
    jump_ms: int = 0

    def now_ms(self) -> int:
        self.ahead_ms += self.jump_ms
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def monotonic(self) -> float:
        return time.monotonic()


def named(told: list[Checked], name: str) -> Checked:
    return next(checked for checked in told if checked.name == name)


def maestro(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, with nothing of ours in its environment but *environment*."""
    ours = ("MAESTRO_", "ANTHROPIC_", "OPENAI_")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-c", "from maestro.__main__ import run; run()", *arguments],
        env=plain | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def checks_in(ended: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(ended.stdout)["checks"]}

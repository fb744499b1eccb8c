"""machine owns what is said of the machine: figures mean little without it."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

BUSY = 0.5
"""Load average, for each core, above which the machine had other things to do."""


def describe(root: Path) -> dict[str, object]:
    """Processor, versions, load and commit, as plain values."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "commit": _commit(root),
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def busy() -> bool:
    return os.getloadavg()[0] > BUSY * (os.cpu_count() or 1)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit(root: Path) -> str:
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"

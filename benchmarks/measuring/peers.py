"""peers owns the environment of the compared products: made once, apart from ours, each package on its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PINS = Path(__file__).resolve().parents[1] / "peers.txt"


@dataclass(frozen=True)
class Peers:
    """Where the peers live, and why some are not there."""

    python: Path
    absent: dict[str, str]
    """Package to reason."""

    def why_not(self, *packages: str) -> str | None:
        """Why a comparison with *packages* cannot be had, or None."""
        return next((f"{name}: {self.absent[name]}" for name in packages if name in self.absent), None)


def pins() -> dict[str, str]:
    """Package to pinned version."""
    lines = PINS.read_text(encoding="utf-8").split()
    return dict(line.split("==", maxsplit=1) for line in lines)


def prepare(folder: Path, tell: Callable[[str], None]) -> Peers:
    """The environment in *folder*, made or brought to the pins. A package that cannot be had is said to be absent."""
    python = folder / "bin" / "python"
    if not python.is_file():
        tell(f"making {folder.name} for the peers, once")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    there = _installed(python)
    absent: dict[str, str] = {}
    for name, version in pins().items():
        if there.get(name) == version:
            continue
        tell(f"installing {name} {version}")
        reason = _install(python, name, version)
        if reason is not None:
            absent[name] = reason
    return Peers(python, absent)


def _installed(python: Path) -> dict[str, str]:
    listed = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", "list", "--format=json"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {item["name"].lower().replace("_", "-"): item["version"] for item in json.loads(listed.stdout)}


def _install(python: Path, name: str, version: str) -> str | None:
    """Install one package among the others' pins; the reason when it cannot be."""
    done = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "-c", PINS, f"{name}=={version}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return None
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return errors[-1].removeprefix("ERROR: ")[:200] if errors else f"pip exited with {done.returncode}"

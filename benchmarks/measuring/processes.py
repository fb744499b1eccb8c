"""processes owns whole programs: from start to exit, with the CPU and the memory that the kernel says they took."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measuring.samples import Sample

LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True)
class Ended:
    """A program that ran to its end and exited with 0."""

    wall: float
    cpu: float
    peak_mb: float
    """Largest resident set, 10^6 bytes."""
    printed: str

    @property
    def sample(self) -> Sample:
        return Sample(self.wall, self.cpu)


def run(command: Sequence[str], scratch: Path) -> Ended:
    """Run *command* in *scratch* to its exit. Raises RuntimeError with its last words when it fails."""
    launched = subprocess.run(
        [sys.executable, "-I", "-S", LAUNCHER, scratch, *command], capture_output=True, text=True, check=True
    )
    told = json.loads(launched.stdout)
    if told["code"] != 0:
        last = (scratch / "err.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"{Path(command[0]).name} exited with {told['code']}: {' '.join(last)[:300]}")
    printed = (scratch / "out.txt").read_text(encoding="utf-8")
    return Ended(told["wall"], told["cpu"], told["peak_mb"], printed)

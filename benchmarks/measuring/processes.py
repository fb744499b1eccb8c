"""processes owns whole programs: from start to exit, with the CPU and the memory that the kernel says they took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from measuring.samples import Sample


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


def run(command: Sequence[str], scratch: Path, environment: Mapping[str, str] | None = None) -> Ended:
    """Run *command* in *scratch* to its exit. Raises RuntimeError with its last words when it fails."""
    out, err = scratch / "out.txt", scratch / "err.txt"
    with out.open("wb") as printed, err.open("wb") as complained:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=scratch, stdout=printed, stderr=complained, env={**os.environ, **(environment or {})}
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        last = err.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"{Path(command[0]).name} exited with {process.returncode}: {' '.join(last)[:300]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Ended(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * unit / 1e6, out.read_text(encoding="utf-8"))

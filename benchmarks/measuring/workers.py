"""workers owns the other side of a comparison: a process that loads one engine and answers in lines of JSON."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from measuring.samples import Sample

WORKERS = Path(__file__).resolve().parents[1] / "workers"


class WorkerFailed(Exception):
    """A worker could not start, or could not do what it was asked; the message says why."""


class Worker:
    """One engine in a process of its own, until the block ends."""

    def __init__(self, script: str, python: Path, log: Path) -> None:
        self.script = script
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [python, WORKERS / script],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | {"PYTHONPATH": str(WORKERS)},  # peers, a folder below, speak the same wire
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=10)  # closes its input, which is its sign to end
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def ask(self, task: str, **arguments: object) -> dict[str, Any]:
        """The answer to *task*. Raises WorkerFailed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"task": task, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerFailed(self._last_words()) from None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailed(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(f"{self.script}: {answer['error']}")
        return answer

    def timed(self, task: str, **arguments: object) -> Callable[[], Sample]:
        """*task*, to be timed by the worker itself: what it takes to ask is not counted."""

        def take() -> Sample:
            answer = self.ask(task, **arguments)
            return Sample(answer["wall"], answer["cpu"])

        return take

    def _last_words(self) -> str:
        self._process.wait()
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"{self.script}: {lines[-1][:300] if lines else 'ended without a word'}"

"""conftest owns what several of the engine's rooms share: kernels run in a process of their own, and watched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WATCH = """
import hashlib, json, sys
import numpy as np
from numba.core import event
compiled = []
class Watch(event.Listener):
    def on_start(self, happened):
        compiled.append(happened.data["dispatcher"].py_func.__qualname__)
    def on_end(self, happened):
        pass
event.register("numba:compile", Watch())
"""
"""Names in *compiled* what numba compiles from here on."""

Apart = Callable[..., Any]


@pytest.fixture
def apart(tmp_path: Path) -> Apart:
    """Runs a script after :data:`WATCH` and gives what it prints; scripts of a test share a cache of kernels."""

    def run(script: str, **machine: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", WATCH + script],
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)} | machine,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run

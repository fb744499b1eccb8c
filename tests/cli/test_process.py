"""What a command's process sets once for everything in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TASKS = Path("/proc/self/task")
PRODUCT = """
import os
from maestro import process
process.spare()
import numpy as np
x = np.random.default_rng(1).standard_normal((600, 600))
print((x @ x).sum(), len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(not TASKS.is_dir(), reason="this system does not list a process's threads")
def test_a_matrix_is_multiplied_by_the_thread_that_asks_for_it():
    plain = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", PRODUCT], env=plain, capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "1"

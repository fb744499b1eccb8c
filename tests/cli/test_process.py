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


def test_ctrl_c_while_the_command_line_loads_is_one_line():
    interrupted = (
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'maestro.cli.main':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from maestro.__main__ import run\n"
        "run()\n"
    )
    done = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "maestro: stopped\n")

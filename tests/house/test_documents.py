"""Documents say what works: blocks marked ``console run`` are run as they stand, in a workspace of their own.

A line that starts with ``$`` is a command, any other line is what one may expect to see and is not compared. The
commands of one block run one after another in one empty folder, and each must end with 0.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md")
FENCE = re.compile(r"^(?P<fence>`{3,}|~{3,})console run\s*\n(?P<body>.*?)^(?P=fence)\s*$", re.MULTILINE | re.DOTALL)
A_STUB = 20  # lines of a README that still has nothing to run


def blocks(text: str) -> list[list[str]]:
    """The commands of each marked block."""
    bodies = [found["body"].splitlines() for found in FENCE.finditer(text)]
    return [[line[2:].strip() for line in body if line.startswith("$ ")] for body in bodies]


def text_of(document: str) -> str:
    path = ROOT / document
    return path.read_text(encoding="utf-8") if path.is_file() else ""


RUNS = [
    pytest.param(commands, id=f"{document}-{number}")
    for document in DOCUMENTS
    for number, commands in enumerate(blocks(text_of(document)), 1)
]


def run(command: str, workspace: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "HOME": str(workspace), "COLUMNS": "100"}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=workspace,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


@pytest.mark.slow
@pytest.mark.parametrize("commands", RUNS)
def test_what_a_document_shows_works(commands: list[str], tmp_path: Path) -> None:
    assert commands, "a block that is marked to run has commands"
    for command in commands:
        ended = run(command, tmp_path)
        assert ended.returncode == 0, f"$ {command}\n{ended.stdout[-2_000:]}{ended.stderr[-2_000:]}"


def test_a_readme_that_tells_anything_shows_something_that_runs() -> None:
    text = text_of("README.md")
    assert blocks(text) or len(text.splitlines()) <= A_STUB


EXAMPLE = """
```console run
$ printf one > made
one, as one may see
$ test -f made
```

```console
$ never-run
```

~~~~console run
$ exit 3
~~~~
"""


def test_marked_blocks_are_found_and_run_and_others_are_left(tmp_path: Path) -> None:
    assert blocks(EXAMPLE) == [["printf one > made", "test -f made"], ["exit 3"]]
    first, second = blocks(EXAMPLE)
    assert [run(command, tmp_path).returncode for command in first + second] == [0, 0, 3]
    assert (tmp_path / "made").read_text(encoding="utf-8") == "one"

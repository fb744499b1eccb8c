"""People are told things in one place, where no text of others can pass for a line of ours."""

from __future__ import annotations

import ast
from pathlib import Path

APP = Path(__file__).parents[2] / "app" / "maestro"
ALLOWED = {"lines.py", "__main__.py", "wiring/sessions.py"}
"""The place itself, and two that say fixed words when hardly anything works any more."""


def test_nothing_else_writes_to_the_standard_streams() -> None:
    found = {
        path.relative_to(APP).as_posix()
        for path in APP.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("sys.stdout.write", "sys.stderr.write", "print")
    }
    assert found == ALLOWED

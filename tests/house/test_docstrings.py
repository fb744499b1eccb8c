"""Every public thing of a door says what it is: the protocol, both ``api`` modules, and what extensions stand on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOORS = sorted(
    [
        *(ROOT / "protocol").rglob("*.py"),
        *(ROOT / "prompts").rglob("*.py"),
        *(
            ROOT / name
            for name in (
                "agents/maestro_agents/api.py",
                "agents/maestro_agents/brains/adapters.py",
                "agents/maestro_agents/brains/base.py",
                "agents/maestro_agents/roles/advisors.py",
                "engine/maestro_engine/api.py",
                "engine/maestro_engine/feeds/port.py",
                "engine/maestro_engine/methods/method.py",
            )
        ),
    ]
)
Defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def silent(body: list[ast.stmt], inside: str = "") -> Iterator[str]:
    """The public things of *body* that say nothing of themselves."""
    for node in body:
        if isinstance(node, Defined) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield inside + node.name
            if isinstance(node, ast.ClassDef):
                yield from silent(node.body, f"{inside}{node.name}.")


@pytest.mark.parametrize("path", DOORS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_public_thing_of_a_door_says_what_it_is(path: Path) -> None:
    assert list(silent(ast.parse(path.read_text(encoding="utf-8")).body)) == []


def test_a_thing_without_a_docstring_is_found() -> None:
    text = 'class A:\n    """What."""\n    def b(self): ...\n    def _c(self): ...\ndef d(): ...\n'
    assert list(silent(ast.parse(text).body)) == ["A.b", "d"]

"""Importing a room does nothing but define it; asking for help loads nothing heavy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROBE = Path(__file__).with_name("import_probe.py")
SOURCES = ("protocol", "prompts", "engine", "agents", "app")
PACKAGES = ("maestro_protocol", "maestro_prompts", "maestro_engine", "maestro_agents", "maestro")
HEAVY = {
    "alembic",
    "anthropic",
    "asyncpg",
    "discord",
    "matplotlib",
    "numba",
    "openai",
    "pandas",
    "pyarrow",
    "redis",
    "scipy",
    "sqlalchemy",
    "sqlmodel",
}


def python(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    search = os.pathsep.join(str(ROOT / root) for root in SOURCES)
    environment = os.environ | {"PYTHONPATH": search, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=100)


def probed(package: str, *roots: Path) -> dict[str, list[str]]:
    ended = python(PROBE, package, *roots)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_room_reads_nothing_writes_nothing_and_starts_nothing(package: str) -> None:
    seen = probed(package, *(ROOT / root for root in SOURCES))
    assert seen["offences"] == []
    assert package in seen["modules"]


LOUD_MODULE = """
import os, socket, subprocess, sys, threading
os.environ.get("HOME")
list(os.environ)
open({aside!r}).close()
open({aside!r} + ".new", "w").close()
threading.Thread(target=lambda: None).start()
subprocess.run([sys.executable, "-c", ""])
socket.socket().bind(("127.0.0.1", 0))
"""


def test_the_watch_sees_each_thing_that_must_not_happen(tmp_path: Path) -> None:
    package, aside = tmp_path / "loud_package", tmp_path / "aside"
    package.mkdir()
    aside.touch()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "loud.py").write_text(LOUD_MODULE.format(aside=str(aside)), encoding="utf-8")
    started = (
        f"import runpy, sys; sys.path.append({str(tmp_path)!r}); runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    code = f"import sys; sys.argv = [{str(PROBE)!r}, 'loud_package', {str(package)!r}]; {started}"
    ended = python("-c", code)
    assert ended.returncode == 0, ended.stderr
    told = "\n".join(json.loads(ended.stdout)["offences"])
    for offence in ("environment: HOME", "environment: all", "wrote", "thread at", "Popen", "socket.bind"):
        assert offence in told


def modules_after(arguments: list[str]) -> tuple[int, set[str]]:
    code = (
        "import json, sys\n"
        f"sys.argv = {arguments!r}\n"
        "from maestro.cli.main import run\n"
        "code = 0\n"
        "try:\n    run()\n"
        "except SystemExit as ended:\n    code = ended.code or 0\n"
        "sys.stderr.write(json.dumps([code, sorted(sys.modules)]))\n"
    )
    ended = python("-c", code)
    assert ended.returncode == 0, ended.stderr
    code_, modules = json.loads(ended.stderr)
    return code_, set(modules)


@pytest.mark.parametrize(
    "arguments", [["maestro", "--help"], ["maestro", "campaign", "run", "--help"], ["maestro", "version"]]
)
def test_asking_for_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code, modules = modules_after(arguments)
    assert code == 0
    assert "maestro.cli.main" in modules
    assert modules & HEAVY == set()
    if arguments == ["maestro", "--help"]:
        assert "maestro_protocol.messages" not in modules, "every message's validators, for a page of text"

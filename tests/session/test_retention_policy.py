"""The owner's file says how long a session's trail is kept whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from maestro.cli.main import app
from maestro.control.rules import read_yaml
from maestro_engine.session.trail.retention import RetentionPolicy
from maestro_protocol.errors import ConfigError

PACKAGED = Path(__file__).parents[2] / "specs" / "rules" / "retention.yaml"
QUICK = ["session", "run", "--speed", "0", "--duration", "3"]


def test_the_packaged_file_is_the_default():
    assert read_yaml(PACKAGED, RetentionPolicy) == RetentionPolicy()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("part_bytes: 100", "retention.yaml: part_bytes"),
        ("whole_days: soon", "retention.yaml: whole_days"),
        ("total_byte: 1", "did you mean 'total_bytes'"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused_before_anything_runs(tmp_path, monkeypatch, line, said):
    rules = tmp_path / "specs" / "rules"
    rules.mkdir(parents=True)
    monkeypatch.setenv("MAESTRO_SPECS", str(tmp_path / "specs"))
    (rules / "retention.yaml").write_text(f"version: 1\n{line}\n")
    ended = CliRunner().invoke(app, [*QUICK, "--out", str(tmp_path)])
    assert isinstance(ended.exception, ConfigError)
    assert said in str(ended.exception)
    assert not (tmp_path / "sessions" / "paper").exists()

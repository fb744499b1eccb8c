"""The log turns over, forgets the oldest, and never holds a secret."""

from __future__ import annotations

import json

from maestro_engine.session.evidence import logs
from maestro_engine.session.evidence.logs import SessionLog
from maestro_engine.session.trail.scrub import Scrubber


def test_five_files_at_most_each_line_json_and_scrubbed(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "FILE_BYTES", 2_000)
    log = SessionLog(tmp_path / "session.log", Scrubber(["correct-horse"]), lambda: 17)
    for number in range(400):
        log.info("feed", number=number, url="wss://ana:correct-horse@example.org", word="correct-horse")
    log.failure("task", ValueError("token=0123456789abcdef"))
    log.close()
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["session.log", *(f"session.log.{n}" for n in range(1, 5))]
    assert all(path.stat().st_size <= 2_000 for path in tmp_path.iterdir())
    lines = [json.loads(line) for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert {line["ts"] for line in lines} == {17}
    text = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "correct-horse" not in text
    assert "0123456789abcdef" not in text


def test_two_logs_do_not_hear_each_other(tmp_path):
    one, two = (SessionLog(tmp_path / name, Scrubber(), lambda: 1) for name in ("one", "two"))
    one.info("x")
    one.close()
    two.close()
    assert (tmp_path / "two").read_text() == ""

"""The checklist fails for what is wrong, and only for that."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_engine.session.evidence.verify import verify
from maestro_engine.session.trail import scrub
from maestro_engine.session.trail.scrub import HIDDEN, Scrubber
from maestro_protocol.errors import DataError


@pytest.fixture(scope="module")
def evidence(tmp_path_factory) -> dict[str, Path]:
    """One session's folder, made once; each test spoils a copy."""
    return {"root": tmp_path_factory.mktemp("evidence")}


@pytest.fixture
async def folder(lab, evidence, tmp_path) -> Path:
    if "made" not in evidence:
        lab.root = evidence["root"]
        await lab.run(lab.config(6.0))
        evidence["made"] = lab.folder
    copy = tmp_path / "copy"
    shutil.copytree(evidence["made"], copy)
    return copy


def in_report(name: str, value: object):
    def spoil(folder: Path) -> None:
        path = folder / "final_report.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))

    return spoil


def in_trail(pattern: str, replacement: str, count: int = 1):
    def spoil(folder: Path) -> None:
        path = folder / "events.jsonl"
        text, changed = re.subn(pattern, replacement, path.read_text(), count=count)
        assert changed
        path.write_text(text)

    return spoil


def without(name: str):
    return lambda folder: (folder / name).unlink()


def lost_heartbeats(folder: Path) -> None:
    path = folder / "events.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["event"] == "AsyncHeartbeat" and 100 < line["elapsed"] < 110:
            line["event"] = "Silence"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def damaged_state(folder: Path) -> None:
    path = folder / "state.json"
    path.write_bytes(path.read_bytes()[:-9])


def secret_in(folder: Path) -> None:
    with (folder / "session.log").open("a") as file:
        file.write('{"event": "connect", "url": "wss://ana:hunter2hunter2@example.org"}\n')


CASES = {
    "ran the full duration": in_report("duration_seconds", 300.0),
    "exit code 0": in_report("exit_code", 1),
    "at most 5 errors": in_report("error_count", 6),
    "no heartbeat gap over 5 s": lost_heartbeats,
    "state persisted": damaged_state,
    "graceful shutdown logged": in_trail('"SYSTEM_SHUTDOWN"', '"Something"'),
    "peak memory under 500 MB": in_report("rss_mb_peak", 512.0),
    "artifacts present": without("metrics.csv"),
    "PnL integrity": in_report("net_pnl", "0.01"),
    "no secret in any file": secret_in,
}


@pytest.mark.parametrize("point", CASES)
async def test_each_point_fails_alone(folder, point):
    assert all(check.passed for check in verify(folder))
    CASES[point](folder)
    failed = [check.name for check in verify(folder) if not check.passed]
    assert failed == [point]


@pytest.mark.parametrize(
    ("spoil", "point"),
    [
        (in_trail(r'("event":"ExecutionFill".*?"price":")\d', r"\g<1>9"), "PnL integrity"),
        (in_report("ending_equity", "1"), "PnL integrity"),
        (in_trail(r'\{"seq":9,.*\n', ""), "graceful shutdown logged"),
        (in_trail(r'\{"seq":9,', '{"seq":9'), "graceful shutdown logged"),
        (without("state.json"), "state persisted"),
    ],
)
async def test_evidence_that_was_tampered_with(folder, spoil, point):
    spoil(folder)
    assert point in [check.name for check in verify(folder) if not check.passed]


async def test_without_a_report_nothing_that_needs_it_passes(folder):
    (folder / "final_report.json").unlink()
    assert sum(not check.passed for check in verify(folder)) == 6


async def test_a_known_secret_is_found_wherever_it_is(folder):
    (folder / "metrics.csv").write_text("swordfish-77\n")
    assert all(check.passed for check in verify(folder))
    assert not verify(folder, ["swordfish-77"])[-1].passed


def test_a_folder_without_a_session(tmp_path):
    with pytest.raises(DataError, match=r"no events\.jsonl"):
        verify(tmp_path)


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-" + "a1B2c3" * 4,
        "api_key=0123456789abcdef",
        '"api_secret": "0123456789abcdef"',
        "postgresql://ana:correcthorse@db.example/x",
        "Authorization: Bearer abcdefghijklmnop",
    ],
)
def test_what_looks_like_a_secret_is_scrubbed(secret):
    cleaned = Scrubber().clean(f"before {secret} after")
    assert HIDDEN in cleaned
    assert cleaned.startswith("before")
    assert cleaned.endswith("after")
    assert not Scrubber().finds(cleaned), "what is scrubbed once is clean"


@pytest.mark.parametrize("text", ["token: null", "BTCUSDT at 60000.1", '"event":"OrderSubmitted"', "wss://host/path"])
def test_what_is_no_secret_is_left(text):
    assert Scrubber().clean(text) == text


PARTS = [
    "sk-ant-",
    "sk-",
    "a" * 20,
    "M" + "x" * 23,
    ".",
    "y" * 6,
    "z" * 30,
    "https",
    "://",
    "user:pass@host",
    "Bearer ",
]
PARTS += [
    "BEARER ",
    "bearer ",
    "-----BEGIN RSA PRIVATE KEY-----",
    "api_key",
    "API-KEY",
    "apiK\u212aey",
    "\u017fecret",
]
PARTS += [
    "s\u0131gnature",
    "Token",
    "passwd",
    "password",
    "=",
    ": ",
    '"',
    "secretvalue",
    " ",
    "OrderSubmitted",
    "60123.4",
]


@settings(max_examples=600)
@given(st.lists(st.sampled_from(PARTS), max_size=9).map("".join))
def test_a_line_that_is_not_searched_has_nothing_to_be_found(text):
    searched = scrub._NAMED.sub(rf"\g<1>{scrub.HIDDEN}", scrub._SHAPES.sub(scrub.HIDDEN, text))
    assert scrub.Scrubber().clean(text) == searched

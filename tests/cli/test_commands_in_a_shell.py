"""What only a real process shows: signals, a reader that goes away, a full disk, two of them at one campaign."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RUN = ("campaign", "run", "--out", "runs")
Start = Callable[..., "subprocess.Popen[str]"]

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
from maestro.__main__ import run
sys.argv[0] = "maestro"
run()
"""


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts ``maestro`` as a process of its own, in an empty folder."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAESTRO_", "ANTHROPIC_", "OPENAI_"))}

    def begin(
        *arguments: object, limit: int | None = None, out: int = subprocess.PIPE, **more: str
    ) -> subprocess.Popen[str]:
        program = ["-c", LIMITED, str(limit)] if limit else ["-m", "maestro"]
        return subprocess.Popen(
            [sys.executable, *program, *map(str, arguments)],
            cwd=tmp_path,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | more,
        )

    return begin


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=100)
    return process.returncode, out, err


def until(process: subprocess.Popen[str], words: str) -> str:
    """Reads the process's standard error up to a line with *words*."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"it ended without saying {words!r}")


@pytest.mark.slow
def test_ctrl_c_keeps_everything_ends_with_130_and_says_how_to_go_on(start: Start, tmp_path: Path) -> None:
    process = start(*RUN, "--tests", 1000)
    until(process, "segment 1/5 explore: 0/1000")
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert code == 130, err
    assert out == ""
    assert "Traceback" not in err
    hint = re.search(r"maestro campaign resume (\S+)", err)
    assert hint, err
    listed = json.loads(ended(start("campaign", "list", "--out", "runs", "--json"))[1])
    assert [(row["campaign"], row["status"]) for row in listed] == [(hint[1], "unfinished")]
    assert ended(start("campaign", "resume", hint[1], "--out", "runs", "--json"))[0] == 0
    assert json.loads((tmp_path / "runs" / hint[1] / "metrics_global.json").read_text())["tests"] == 1000


@pytest.mark.slow
def test_ctrl_c_while_a_model_thinks_does_not_wait_for_it(start: Start) -> None:
    """The server takes the request and never answers: stopping is a matter of seconds, not of its time-out."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        process = start(
            *RUN, "--tests", 4, "--brain", "maestro=anthropic",
            ANTHROPIC_API_KEY="made-up", ANTHROPIC_BASE_URL=url,
        )  # fmt: skip
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            assert connection.recv(100)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=15)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert out == ""
    name = json.loads(ended(start("campaign", "list", "--out", "runs", "--json"))[1])[0]["campaign"]
    resumed = ended(start("campaign", "resume", name, "--out", "runs"))
    assert resumed[0] == 2  # no key in this environment
    assert "in flight" in resumed[2]


@pytest.mark.slow
def test_two_processes_cannot_run_one_campaign(start: Start) -> None:
    first = start(*RUN, "--tests", 20_000)
    until(first, "segment 1/5 explore: 0/20000")
    name = json.loads(ended(start("campaign", "list", "--out", "runs", "--json"))[1])[0]["campaign"]
    code, out, err = ended(start("campaign", "resume", name, "--out", "runs"))
    assert (code, out) == (1, "")
    assert "another process" in err
    first.send_signal(signal.SIGINT)
    assert ended(first)[0] == 130


@pytest.mark.slow
@pytest.mark.parametrize("limit", [20_000, 120_000, 400_000])
def test_a_full_disk_ends_in_one_line_and_the_campaign_goes_on_once_there_is_room(start: Start, limit: int) -> None:
    code, out, err = ended(start(*RUN, "--tests", 40, "--json", limit=limit))
    assert code == 1, (out[:200], err)
    assert re.fullmatch(r"(at its end it opens [^\n]+\n)?maestro: [^\n]+\n", err), err
    listed = json.loads(ended(start("campaign", "list", "--out", "runs", "--json"))[1])
    if listed:
        code, out, err = ended(start("campaign", "resume", listed[0]["campaign"], "--out", "runs", "--json"))
        assert code == 0, err
        assert json.loads(out)["tests"] == 40


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error_of_ours(start: Start) -> None:
    process = start("schema")
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.wait(60)
    process.stderr.close()
    assert "Traceback" not in err
    assert "Exception" not in err


def test_an_output_that_takes_no_more_is_one_line(start: Start) -> None:
    with Path("/dev/full").open("wb") as full:
        process = start("methods", "--json", out=full.fileno())
        _, err = process.communicate(timeout=100)
    assert process.returncode == 1
    assert re.fullmatch(r"maestro: the system refused: [^\n]*No space left on device[^\n]*\n", err)


def test_closed_streams_keep_no_campaign_from_its_end(tmp_path: Path) -> None:
    command = f"exec {shlex.quote(sys.executable)} -m maestro campaign run --tests 2 --segments 1 --out runs >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, timeout=100, check=False).returncode == 0
    assert len(list(tmp_path.glob("runs/*/summary.html"))) == 1


@pytest.mark.slow
def test_ctrl_c_in_any_other_command_ends_with_130_too(start: Start) -> None:
    assert ended(start(*RUN, "--tests", 2, "--segments", 1, "--json"))[0] == 0
    name = json.loads(ended(start("campaign", "list", "--out", "runs", "--json"))[1])[0]["campaign"]
    process = start("campaign", "replay", name, "--out", "runs")
    until(process, "segment 1/1")
    process.send_signal(signal.SIGINT)
    code, _, err = ended(process)
    assert code in (0, 130), err  # it may have been done
    assert "Traceback" not in err

"""The doctor finds what is wrong, mends what it says it would, and never shows a key."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from doctor_support import SetClock, checks_in, maestro, named, settings_in
from pydantic import SecretStr

from maestro.settings import Settings
from maestro.wiring.maintenance import findings
from maestro.wiring.maintenance.doctor import examine
from maestro.wiring.maintenance.findings import Checked, DoctorCheck
from maestro.wiring.maintenance.machine import MINIMUM_FREE, look_at_disk, look_at_packages, numbers
from maestro.wiring.workspace import open_workspace_store, remember_data

NAMES = [
    *("python", "packages", "kernels", "clock", "disk"),
    *("runs", "leftovers", "database", "bus", "keys", "extensions", "model servers", "data", "specs"),
]
CANARY = "sk-canary-0123456789"


async def look(settings: Settings, name: str, fix: bool = False, clock: SetClock | None = None) -> Checked:
    return named(await examine(settings, clock or SetClock(), fix), name)


def test_a_new_installation_is_well_and_nothing_is_made_by_looking(tmp_path: Path) -> None:
    ended = maestro("doctor", "--json", "--out", str(tmp_path / "runs"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = checks_in(ended)
    assert list(told) == NAMES
    assert {name for name, check in told.items() if check["outcome"] == "failed"} == set()
    assert told["runs"]["fix"] == told["database"]["fix"] == "make it"
    assert list(tmp_path.iterdir()) == []


def test_fix_makes_what_is_missing_and_a_second_look_finds_nothing_to_do(tmp_path: Path) -> None:
    arguments = ("doctor", "--json", "--out", str(tmp_path / "runs"))
    mended = checks_in(maestro(*arguments, "--fix"))
    assert {name for name, check in mended.items() if check["mended"]} >= {"runs", "database"}
    assert {check["outcome"] for check in mended.values()} == {"ok"}
    again = checks_in(maestro(*arguments))
    assert {check["fix"] for check in again.values()} == {""}
    assert (tmp_path / "runs" / "maestro.db").is_file()


def test_a_person_reads_a_table_and_a_failure_is_an_exit_code(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    ended = maestro("doctor", "--out", str(tmp_path / "runs"), COLUMNS="200")
    assert ended.returncode == 1
    assert "campaigns need a folder, choose another with --out" in ended.stdout
    assert all(name in ended.stdout for name in NAMES)
    assert ended.stderr == ""


@pytest.mark.parametrize("arguments", [("doctor",), ("doctor", "--json"), ("doctor", "--fix", "--json", "--debug")])
def test_no_key_and_no_password_is_ever_shown(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ended = maestro(
        *arguments,
        *("--out", str(tmp_path)),
        ANTHROPIC_API_KEY=f"{CANARY}-a",
        OPENAI_API_KEY=f" {CANARY}-o",
        OPENAI_BASE_URL=f"http://u:{CANARY}-p@127.0.0.1:1/v1",
        MAESTRO_BUS_URL=f"redis://u:{CANARY}-b@127.0.0.1:1/0",
        MAESTRO_DATABASE_URL=f"postgresql://u:{CANARY}-d@127.0.0.1:1/{CANARY}-n",
        COLUMNS="300",
    )
    assert ended.returncode == 1
    assert "anthropic set, openai set; the openai key is empty or has spaces in it" in ended.stdout
    assert "127.0.0.1:1" in ended.stdout  # where it looked is told, who asked is not
    for end in "aopbd":
        assert f"{CANARY}-{end}" not in ended.stdout + ended.stderr


async def test_a_secret_in_a_librarys_error_is_starred_out(tmp_path: Path) -> None:
    async def breaks() -> Any:
        raise ValueError(f"cannot log in with {CANARY}\nat all")

    settings = settings_in(tmp_path, vendors={"ANTHROPIC_API_KEY": SecretStr(CANARY)})
    told = await findings.run([DoctorCheck("broken", breaks)], settings, fix=False)
    assert told == [
        Checked("broken", "failed", "cannot be looked at (ValueError: cannot log in with *** at all)", "", False)
    ]


async def test_what_cannot_be_mended_is_told_as_failed(tmp_path: Path) -> None:
    async def poorly() -> Any:
        return findings.warning("it limps", "carry it")

    async def drop() -> None:
        raise PermissionError(13, "too heavy")

    settings = settings_in(tmp_path)
    [told] = await findings.run([DoctorCheck("leg", poorly, drop)], settings, fix=True)
    assert (told.outcome, told.mended) == ("failed", False)
    assert told.detail == "it limps; could not be mended ([Errno 13] too heavy)"
    [seen] = await findings.run([DoctorCheck("leg", poorly, drop)], settings, fix=False)
    assert (seen.outcome, seen.detail, seen.fix) == ("warning", "it limps", "carry it")


async def test_a_damaged_database_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    await (await open_workspace_store(settings)).close()
    path = tmp_path / "maestro.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:4_096] + b"\xff" * 4_096 + whole[8_192:])  # the second page
    before = path.read_bytes()
    told = await look(settings, "database", fix=True)
    assert told.outcome == "failed"
    assert "damaged" in told.detail
    assert "restore a copy" in told.detail
    assert path.read_bytes()[100:] == before[100:]


async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "maestro.db").write_text("surely not\n" * 1_000)
    told = await look(settings_in(tmp_path), "database", fix=True)
    assert told.outcome == "failed"
    assert (tmp_path / "maestro.db").read_text().startswith("surely not")


async def test_a_newer_database_is_refused_and_an_empty_one_is_filled(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    sqlite3.connect(tmp_path / "maestro.db").close()
    assert (await look(settings, "database")).fix == "make the schema"
    assert (await look(settings, "database", fix=True)).mended
    with sqlite3.connect(tmp_path / "maestro.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    told = await look(settings, "database", fix=True)
    assert told.outcome == "failed"
    assert "was made by a newer Maestro (revision 9999)" in told.detail


async def test_an_older_database_is_migrated_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(tmp_path)
    await (await open_workspace_store(settings)).close()
    monkeypatch.setattr("maestro.store.schema.HEAD", "9999")
    told = await look(settings, "database")
    assert (told.outcome, told.fix) == ("warning", "migrate it to 9999")


async def test_a_locked_database_is_told(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    await (await open_workspace_store(settings)).close()
    other = sqlite3.connect(tmp_path / "maestro.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    told = await look(settings, "database")
    other.execute("ROLLBACK")
    other.close()
    assert told.outcome == "failed"
    assert "another program has held it for too long" in told.detail


async def test_postgresql_is_looked_at_by_its_url(postgres: str, tmp_path: Path) -> None:
    settings = settings_in(tmp_path, database_url=SecretStr(postgres))
    told = await look(settings, "database", fix=True)
    assert told.outcome == "ok"
    assert "sound, revision" in told.detail


async def test_a_bus_that_answers_and_one_that_does_not(redis_url: str, tmp_path: Path) -> None:
    told = await look(settings_in(tmp_path, bus_url=SecretStr(redis_url)), "bus")
    assert told.outcome == "ok"
    assert "answers in" in told.detail
    with socket.socket() as deaf:  # takes the line and says nothing
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"
        told = await look(settings_in(tmp_path, bus_url=SecretStr(url)), "bus")
    assert told.outcome == "failed"
    assert "does not answer within 3 s" in told.detail
    told = await look(settings_in(tmp_path, bus_url=SecretStr("http://somewhere")), "bus")
    assert (told.outcome, told.detail) == ("failed", "the bus's URL is none of Redis; write redis://HOST:PORT/0")


async def test_data_files_that_moved_or_broke_are_told(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "runs")
    bars = tmp_path / "bars.csv"
    bars.write_text("open_time,open\n")
    remember_data(settings, "1" * 64, bars)
    assert (await look(settings, "data")).outcome == "ok"
    broken = tmp_path / "bars.parquet"
    broken.write_bytes(b"PAR1 and then nothing")
    remember_data(settings, "2" * 64, broken)
    told = await look(settings, "data")
    assert told.outcome == "failed"
    assert f"{broken}: is no whole Parquet file" in told.detail
    broken.unlink()
    told = await look(settings, "data")
    assert told.outcome == "warning"
    assert f"{broken} is gone (1 of 2 files)" in told.detail
    bars.write_text("")
    assert "is empty (1 of 2 files)" in (await look(settings, "data")).detail


async def test_a_damaged_book_of_data_is_set_aside_not_thrown_away(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    (tmp_path / "data.json").write_text('{"half')
    assert (await look(settings, "data")).fix == "set it aside as data.json.damaged"
    assert (await look(settings, "data", fix=True)).mended
    assert (tmp_path / "data.json.damaged").read_text() == '{"half'


@pytest.mark.parametrize(
    ("clock", "outcome", "words"),
    [
        (SetClock(), "ok", "no time server is asked, so its offset is not known"),
        (SetClock(ahead_ms=-86_400_000), "failed", "is behind: "),
        (SetClock(ahead_ms=30_000), "warning", "-30.0 s away from it"),
        (SetClock(jump_ms=10_000), "warning", "the clock was set by +"),
    ],
)
async def test_a_clock_that_is_wrong_shows_by_files_and_by_the_other_clock(
    clock: SetClock, outcome: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "c1").mkdir()
    (tmp_path / "c1" / "campaign.yaml").write_text("written now")
    told = await look(settings_in(tmp_path), "clock", clock=clock)
    assert told.outcome == outcome
    assert words in told.detail


def test_free_space_is_held_against_a_stated_minimum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(tmp_path / "runs")
    usage = shutil.disk_usage(tmp_path)
    for free, outcome in ((MINIMUM_FREE - 1, "failed"), (MINIMUM_FREE, "warning"), (2 * MINIMUM_FREE, "ok")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        told = look_at_disk(settings, MINIMUM_FREE)
        assert told.outcome == outcome
        assert "wanted 1.0 GB" in told.detail


def test_packages_are_held_against_the_minimum_they_are_pinned_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(tmp_path)
    assert look_at_packages(settings).outcome == "ok"
    lines = ["numpy>=999.1", "nobody-has-this[extra]>=1.0", "asyncpg>=999; extra == 'postgres'", "redis<9,>=0.1"]
    monkeypatch.setattr(metadata, "requires", lambda _: lines)
    told = look_at_packages(settings)
    assert told.outcome == "failed"
    assert f"numpy {metadata.version('numpy')} is older than 999.1" in told.detail
    assert "nobody-has-this is missing (>= 1.0)" in told.detail
    assert "asyncpg" not in told.detail
    wanted = settings_in(tmp_path, database_url=SecretStr("postgresql://u@h/d"))
    assert "asyncpg" in look_at_packages(wanted).detail


def test_every_requirement_of_ours_is_understood(tmp_path: Path) -> None:
    plain = [line for line in metadata.requires("maestro") or () if ";" not in line]
    assert look_at_packages(settings_in(tmp_path)).detail.startswith(f"all {len(plain)} are there")
    assert numbers("2.1rc1") == (2, 1)
    assert numbers("2026.10.18") > numbers("2026.9")


async def test_rules_that_do_not_hold_are_told_with_their_place(tmp_path: Path) -> None:
    gates = tmp_path / "specs" / "gates"
    gates.mkdir(parents=True)
    (gates / "policy.yaml").write_text("version: 1\nclases: {}\n")
    told = await look(settings_in(tmp_path, specs=tmp_path / "specs"), "specs")
    assert told.outcome == "failed"
    assert "policy.yaml" in told.detail
    (gates / "policy.yaml").unlink()
    assert "0 of them the owner's" in (await look(settings_in(tmp_path, specs=tmp_path / "specs"), "specs")).detail
    told = await look(settings_in(tmp_path, prompts=tmp_path / "nowhere"), "specs")
    assert told.outcome == "failed"
    assert "MAESTRO_PROMPTS names" in told.detail


def test_json_is_json(tmp_path: Path) -> None:
    told = json.loads(maestro("doctor", "--json", "--out", str(tmp_path)).stdout)
    assert told["well"] is True
    assert {key for check in told["checks"] for key in check} == {"name", "outcome", "detail", "fix", "mended"}


def test_what_a_server_of_models_was_found_to_take_is_said_without_its_password(tmp_path: Path) -> None:
    from maestro.settings import Settings
    from maestro.wiring.brains import ServerBook
    from maestro_agents.api import ServerTraits

    book = ServerBook(Settings(runs=tmp_path / "runs"))
    book.remember("http://me:secret@localhost:8000/v1", "llama", ServerTraits(max_completion_tokens=True))
    ended = maestro("doctor", "--json", "--out", str(tmp_path / "runs"))
    told = checks_in(ended)["model servers"]
    assert "http://localhost:8000/v1 llama takes max_completion_tokens" in str(told)
    assert "secret" not in ended.stdout

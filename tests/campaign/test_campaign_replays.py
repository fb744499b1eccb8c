"""A replay finds whatever in a campaign's folder is not as the campaign left it, and says where."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from campaign_support import bodies, journal_of, retold, settings_in, small_file

from maestro.cli.output import campaign_page, campaigns_in
from maestro.control.record.manifest import altered
from maestro.wiring.campaigns import CampaignRun, resume_campaign
from maestro_protocol.errors import DataError, StoreError, UsageError
from maestro_protocol.messages.events import BatchFinished


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('"tests":24', '"tests":23', "m0"),
        ('"verdict":"approved"', '"verdict":"rejected"', "Critique"),
        ('"word":"NOT ENOUGH EVIDENCE"', '"word":"SURVIVES"', "Verdict"),
        ('"trades":', '"trades":1', "BatchFinished"),
    ],
)
def test_a_replay_of_an_altered_journal_says_where(
    old: str, new: str, place: str, undisturbed: CampaignRun, tmp_path: Path, small_data: Path
) -> None:
    shutil.copytree(undisturbed.folder, tmp_path / "altered")
    path = tmp_path / "altered" / "journal.jsonl"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    found = retold(tmp_path / "altered", settings_in(tmp_path), small_data)
    assert not found.same
    assert place in str(found.difference)


def test_a_journal_that_is_damaged_is_refused_in_one_line(
    undisturbed: CampaignRun, tmp_path: Path, small_data: Path
) -> None:
    shutil.copytree(undisturbed.folder, tmp_path / "damaged")
    path = tmp_path / "damaged" / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UsageError, match=r"journal\.jsonl: is damaged") as refused:
        retold(tmp_path / "damaged", settings_in(tmp_path), small_data)
    assert "\n" not in str(refused.value)


def test_a_replay_on_other_bars_is_refused(undisturbed: CampaignRun, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="these are not the bars"):
        retold(undisturbed.folder, settings_in(tmp_path), small_file(tmp_path, "noise"))


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes | None], str]] = {
    "a digit of one trade": (
        "trades.jsonl",
        lambda raw: raw.replace(b'"bars_held":', b'"bars_held":1', 1),
        "line 1: bars_held",
    ),
    "a digit of the last score": (
        "scores.jsonl",
        lambda raw: b'"n_trades":9'.join(raw.rsplit(b'"n_trades":', 1)),
        "n_trades: recorded 9",
    ),
    "a bit that makes it no JSON": ("trades.jsonl", lambda raw: b"}" + raw[1:], "line 1: is no line of the replay"),
    "a white space": (
        "trades.jsonl",
        lambda raw: raw.replace(b'":', b'": ', 1),
        "line 1: says the same in other bytes",
    ),
    "one line less": ("trades.jsonl", lambda raw: raw[raw.index(b"\n") + 1 :], "line 1: "),
    "the last line less": ("scores.jsonl", lambda raw: raw[: raw[:-1].rindex(b"\n") + 1], "lines, the replay"),
    "a line more": ("scores.jsonl", lambda raw: raw + raw[: raw.index(b"\n") + 1], "lines, the replay"),
    "no last newline": ("scores.jsonl", lambda raw: raw[:-1], "lines, the replay"),
    "an empty file": ("trades.jsonl", lambda raw: b"", "is not in the folder, or empty"),
    "no file": ("trades.jsonl", lambda raw: None, "is not in the folder, or empty"),
}


def test_a_replay_finds_every_changed_byte_in_tests_lines_and_names_the_tests(
    undisturbed: CampaignRun, tmp_path: Path, small_data: Path
) -> None:
    shutil.copytree(undisturbed.folder, tmp_path / "altered")
    places = [(segment, number) for segment in (1, 2) for number in range(1, 9)]
    damaged = dict(zip(DAMAGE, places, strict=False))
    for damage, (segment, number) in damaged.items():
        name, change, _ = DAMAGE[damage]
        path = tmp_path / "altered" / f"segment_{segment}" / f"test_{number:03d}" / name
        raw = path.read_bytes()
        changed = change(raw)
        assert changed != raw
        path.unlink() if changed is None else path.write_bytes(changed)
    found = retold(tmp_path / "altered", settings_in(tmp_path), small_data)
    assert found.recorded == found.replayed
    assert found.difference is None
    assert not found.same
    told = [line for line in found.files if line.startswith("seg") and "_test" in line.split(",")[0]]
    assert len(told) == len(DAMAGE)
    for damage, (segment, number) in damaged.items():
        name, _, words = DAMAGE[damage]
        [line] = [line for line in told if line.startswith(f"seg{segment}_test{number:03d}, {name}")]
        assert words in line
    digests = [line for line in found.files if line not in told]
    assert [line.split(": ")[0] for line in digests] == [
        "segment 1, seg1_test001 to seg1_test004",
        "segment 1, seg1_test005 to seg1_test008",
        "segment 2, seg2_test001 to seg2_test004",
    ]
    assert all("(m0" in line for line in digests)


EDITS: dict[str, tuple[bytes, bytes]] = {
    "metrics_global.json": (b'"tests": 24', b'"tests": 25'),
    "leaderboard.csv": (b"\n1,", b"\n2,"),
    "campaign.yaml": (b"seed: ", b"seed: 1"),
    "exhibits.json": (b'"version":', b'"more":1,"version":'),
    "root.yaml": (b"seed: ", b"seed: 1"),
    "segment_1/segment_results.json": (b'"tests":', b'"tests":1'),
    "segment_2/test_003/run.yaml": (b"seed: ", b"seed: 1"),
    "summary.md": (b" tests", b" trials"),
    "summary.html": (b"<title>", b"<title>Proven: "),
}


@pytest.mark.parametrize("manifest", [True, False])
def test_a_replay_finds_what_was_changed_in_any_file_that_people_read(
    undisturbed: CampaignRun, tmp_path: Path, small_data: Path, manifest: bool
) -> None:
    folder = tmp_path / "altered"
    shutil.copytree(undisturbed.folder, folder)
    journal = folder / "journal.jsonl"
    with journal.open("ab") as file:
        file.write(journal.read_bytes().splitlines(keepends=True)[1])
    for name, (old, new) in EDITS.items():
        content = (folder / name).read_bytes()
        assert old in content, name
        (folder / name).write_bytes(content.replace(old, new, 1))
    if not manifest:
        (folder / "files.sha256").unlink()
    found = retold(folder, settings_in(tmp_path), small_data)
    assert not found.same
    for name in EDITS:
        assert any(line.startswith(name) or f", {name}: " in line for line in found.files), name
    assert any(line.startswith("journal.jsonl, line ") for line in found.files)
    assert [row["status"] for row in campaigns_in(tmp_path)] == ["altered" if manifest else "finished"]


@pytest.mark.parametrize("name", ["summary.md", "summary.html", "campaign.yaml", "leaderboard.csv", "journal.jsonl"])
def test_a_list_of_campaigns_tells_of_an_altered_file(undisturbed: CampaignRun, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "altered"
    shutil.copytree(undisturbed.folder, folder)
    with (folder / name).open("ab") as file:
        file.write(b"\n")
    assert [row["status"] for row in campaigns_in(tmp_path)] == ["altered"]


def test_a_folder_that_was_left_alone_is_what_was_written(undisturbed: CampaignRun) -> None:
    assert list(altered(undisturbed.folder)) == []
    named = {line[66:] for line in (undisturbed.folder / "files.sha256").read_text().splitlines()}
    there = {path.relative_to(undisturbed.folder).as_posix() for path in undisturbed.folder.rglob("*.*")}
    lines = {name for name in there if name.endswith(("trades.jsonl", "scores.jsonl"))}
    assert named == there - lines - {"files.sha256"}


@pytest.mark.parametrize(
    "change",
    [
        "report = replace(report, '\"n_trades\":', '\"n_trades\":1')",
        "trade_lines = x'7b7d0a'",
        "score_lines = x'7b7d0a'",
    ],
    ids=["report", "trades", "scores"],
)
def test_results_that_were_altered_in_the_store_are_not_taken_over(
    undisturbed: CampaignRun, tmp_path: Path, small_data: Path, change: str
) -> None:
    settings = settings_in(tmp_path)
    shutil.copytree(undisturbed.folder.parent, settings.runs)
    with closing(sqlite3.connect(settings.runs / "maestro.db")) as database, database:
        changed = database.execute(f"UPDATE results SET {change} WHERE run_id = 'seg1_test002'")  # ours
        assert changed.rowcount == 1
    with pytest.raises(StoreError, match="seg1_test001 to seg1_test004 are not those that the journal"):
        asyncio.run(resume_campaign(undisturbed.campaign, settings, lambda progress: None, 1, small_data))


def test_an_altered_total_in_the_store_is_not_taken_over(
    undisturbed: CampaignRun, tmp_path: Path, small_data: Path
) -> None:
    settings = settings_in(tmp_path)
    shutil.copytree(undisturbed.folder.parent, settings.runs)
    with closing(sqlite3.connect(settings.runs / "maestro.db")) as database, database:
        database.execute("UPDATE results SET total_pnl_micros = total_pnl_micros + 1 WHERE run_id = 'seg1_test002'")
    with pytest.raises(StoreError, match="run seg1_test002: its total_pnl_micros is not its report's"):
        asyncio.run(resume_campaign(undisturbed.campaign, settings, lambda progress: None, 1, small_data))


def test_a_page_of_a_campaign_tells_of_trades_that_were_altered(
    undisturbed: CampaignRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "altered"
    shutil.copytree(undisturbed.folder, folder)
    campaign_page(folder, as_json=True)
    assert json.loads(capsys.readouterr().out)["notes"]["altered"] == []
    path = folder / "segment_1" / "test_001" / "trades.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"bars_held":', b'"bars_held":1', 1))
    campaign_page(folder, as_json=False)
    assert "ALTERED SINCE: segment 1, seg1_test001 to seg1_test004" in capsys.readouterr().out


def test_a_replay_finds_tests_that_it_has_not(undisturbed: CampaignRun, tmp_path: Path, small_data: Path) -> None:
    shutil.copytree(undisturbed.folder, tmp_path / "altered")
    segment = tmp_path / "altered" / "segment_1"
    shutil.copytree(segment / "test_001", segment / "test_999")
    found = retold(tmp_path / "altered", settings_in(tmp_path), small_data)
    assert [line.split(":")[0] for line in found.files] == [
        "seg1_test999, trades.jsonl",
        "seg1_test999, scores.jsonl",
    ]
    assert not found.same


def test_a_forged_digest_with_forged_lines_is_found_by_the_replay(
    undisturbed: CampaignRun, tmp_path: Path, small_data: Path
) -> None:
    """Who changes the lines and the digest in the journal alike still cannot change what the engine says."""
    folder = tmp_path / "altered"
    shutil.copytree(undisturbed.folder, folder)
    path = folder / "segment_1" / "test_001" / "trades.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"bars_held":', b'"bars_held":1', 1))
    journal = folder / "journal.jsonl"
    first = next(body for body in bodies(journal_of(folder), BatchFinished) if body.segment == 1)
    digest = hashlib.sha256()
    for run in first.tests:
        for name in ("trades.jsonl", "scores.jsonl"):
            digest.update((folder / "segment_1" / f"test_{run[-3:]}" / name).read_bytes())
    journal.write_text(journal.read_text().replace(first.digest, digest.hexdigest()))
    found = retold(folder, settings_in(tmp_path), small_data)
    assert "digest" in str(found.difference)
    assert [line.split(",")[0] for line in found.files] == ["seg1_test001", "journal.jsonl: is not what was written"]

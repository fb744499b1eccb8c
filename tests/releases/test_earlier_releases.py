"""What an earlier release left is listed, shown, reported and explained by this one, with the facts it had then."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from maestro_protocol.messages.versions import this_version
from tests.cli.calling import Call
from tests.releases.conftest import Release


def test_its_campaigns_are_listed_with_what_they_earned_and_their_verdicts(release: Release, maestro: Call) -> None:
    assert json.loads(maestro("campaign", "list", "--json").out) == release.expected["campaigns"]


def test_each_of_its_campaigns_has_the_hash_that_it_had(release: Release, maestro: Call) -> None:
    for campaign, expected in release.expected["hashes"].items():
        assert maestro("campaign", "hash", campaign).out.strip() == expected


def test_a_campaign_of_it_is_shown_and_reported(release: Release, maestro: Call) -> None:
    for row in release.expected["campaigns"]:
        shown = maestro("campaign", "show", row["campaign"], "--json")
        assert (shown.code, shown.err) == (0, "")
        finished = json.loads(shown.out)["finished"]
        assert (finished["tests"], finished["total_pnl"]) == (row["tests"], row["total_pnl"])
        for page in ("summary.md", "summary.html"):
            (release.runs / row["campaign"] / page).unlink()
        reported = maestro("campaign", "report", row["campaign"])
        assert (reported.code, reported.err) == (0, "")
        page = (release.runs / row["campaign"] / "summary.md").read_text(encoding="utf-8")
        assert str(row["verdict"] or "") in page
        assert row["campaign"] in page


def test_who_set_a_parameter_is_still_known(release: Release, maestro: Call) -> None:
    campaign, run, parameter = release.expected["why"]["argument"]
    why = json.loads(maestro("why", run, parameter, "--campaign", campaign, "--json").out)
    told = json.dumps(why)
    for word in ("hard_tp_usd", "strategist", "m000024", "implementer", "m000031", "650.0", "600.0"):
        assert word in told


def test_its_journals_are_printed_as_they_were_written(release: Release, maestro: Call) -> None:
    for row in release.expected["campaigns"]:
        printed = maestro("campaign", "journal", row["campaign"])
        assert printed.code == 0
        assert printed.out == (release.runs / row["campaign"] / "journal.jsonl").read_text(encoding="utf-8")


def test_its_costs_and_gates_are_told(release: Release, maestro: Call) -> None:
    (cost,) = json.loads(maestro("costs", "--json").out)
    assert (cost["campaign"], cost["role"], cost["calls"], cost["cost_usd"]) == (
        "sim-mixed-5m-s4-0a9b89", "strategist", 9, "0.006300",
    )  # fmt: skip
    assert json.loads(maestro("gate", "list", "--json").out) == []


def test_its_sessions_stand_as_they_ended_and_their_evidence_holds(release: Release, maestro: Call) -> None:
    told = json.loads(maestro("session", "status", "--json").out)
    assert told["running"] is None
    pnl = {row["run"]: row["net_pnl"] for row in told["sessions"]}
    assert pnl == {
        "s0001-sim-btcusdt": "-7.26146200000",
        "s0002-sim-btcusdt": "-1.17695800000",
        "s0003-sim-btcusdt": "5.42907400000",
    }
    for session in pnl:
        verified = maestro("session", "verify", session)
        assert (verified.code, "10 of 10 points hold" in verified.out) == (0, True), verified.out


def test_replay_says_who_wrote_it_what_holds_and_what_it_cannot_tell(release: Release, maestro: Call) -> None:
    for campaign in release.searches:
        ended = maestro("campaign", "replay", campaign)
        assert ended.code == 0, ended.out
        assert f"recorded {release.expected['hashes'][campaign]}" in ended.out
        assert f"Maestro {release.version}" in ended.out
        assert f"({this_version()})" in ended.out
        assert "10 tests leave the same trades and scores" in ended.out
        assert "not checked: " in ended.out
        assert "damaged" not in ended.out
        assert "Traceback" not in ended.out + ended.err


def test_a_chain_of_sessions_is_not_replayed_and_says_how_it_goes_on(release: Release, maestro: Call) -> None:
    ended = maestro("campaign", "replay", "rounds-sim-btcusdt-828ec5")
    assert ended.code == 2
    assert "is a chain of sessions" in ended.err


CHANGES = (
    ("segment_2/test_001/trades.jsonl", '"bars_held":', '"bars_held":1', "seg2_test001, trades.jsonl, line 1"),
    ("segment_1/test_002/scores.jsonl", '"n_trades":', '"n_trades":1', "seg1_test002, scores.jsonl, line 1"),
    ("segment_2/test_002/run.yaml", "hard_tp_usd: 6", "hard_tp_usd: 7", "seg2_test002, run.yaml: is not the"),
    ("segment_3/test_001/run.yaml", "quorum:", "quurom:", "seg3_test001: cannot run again"),
    ("journal.jsonl", '"causation":"m000002"', '"causation":"m000999"', "answers m000999, which is not before"),
    ("journal.jsonl", '"seq":9,', '"seq":8,', "m000009: is not the journal's entry 9"),
)


def test_what_was_changed_in_it_is_found_all_the_same(release: Release, maestro: Call) -> None:
    campaign = release.searches[0]
    for file, old, new, _ in CHANGES:
        path = release.runs / campaign / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
    ended = maestro("campaign", "replay", campaign)
    assert ended.code == 1
    assert "whole: " not in ended.out
    for _, _, _, said in CHANGES:
        assert said in ended.out


LATER = {
    "a message type": ('"type":"Critique"', '"type":"Daydream"', "the message type 'Daydream'"),
    "a field": ('"verdict":"approved"', '"verdict":"approved","mood":"calm"', "the field body.Critique.mood"),
    "a version": ('{"version":1,', '{"version":2,', "version 2"),
}


@pytest.mark.parametrize(("old", "new", "word"), LATER.values(), ids=LATER)
def test_a_journal_with_words_of_a_later_maestro_is_said_to_be_that(
    old: str, new: str, word: str, release: Release, maestro: Call
) -> None:
    campaign = release.searches[0]
    path = release.runs / campaign / "journal.jsonl"
    text = path.read_text(encoding="utf-8").replace("maestro 0.1.0", "maestro 7.5.0")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    for command in (("campaign", "hash", campaign), ("campaign", "replay", campaign)):
        ended = maestro(*command)
        assert ended.code == 1
        assert f"was written by Maestro 7.5.0, which this one ({this_version()}) does not know" in ended.err
        assert word in ended.err
        assert "damaged" not in ended.err
        assert ended.err.count("\n") == 1


def test_a_row_of_a_later_maestro_in_the_database_is_said_to_be_that(release: Release, maestro: Call) -> None:
    campaign = release.searches[0]
    changed = ('"type":"Briefing"', '"type":"Briefing","mood":"calm"')
    with closing(sqlite3.connect(release.runs / "maestro.db")) as connection, connection:
        connection.execute("update journal set json_text = replace(json_text, ?, ?)", changed)
    ended = maestro("campaign", "resume", campaign)
    assert "does not know" in ended.err
    assert "mood" in ended.err


@pytest.mark.parametrize("file", ["campaign.yaml", "metrics_global.json"])
def test_a_file_of_a_later_maestro_is_said_to_be_that(file: str, release: Release, maestro: Call) -> None:
    campaign = release.searches[0]
    path = release.runs / campaign / file
    if file.endswith(".yaml"):
        path.write_text(path.read_text(encoding="utf-8").replace("maestro 0.1.0", "maestro 7.5.0") + "mood: calm\n")
    else:
        path.write_text(json.dumps({**json.loads(path.read_bytes()), "mood": "calm"}))
    ended = maestro("campaign", "report", campaign)
    assert ended.code == 1
    assert "does not know: it has the field mood" in ended.err
    if file.endswith(".yaml"):
        assert "was written by Maestro 7.5.0" in ended.err


def test_a_session_of_a_later_maestro_is_said_to_be_that(release: Release, maestro: Call) -> None:
    path = release.runs / "sessions" / "paper" / "s0001-sim-btcusdt" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "mood": "calm"}))
    ended = maestro("session", "plan", "s0001-sim-btcusdt")
    assert "does not know: it has the field mood" in ended.err


def test_a_journal_that_is_cut_short_is_damaged_whoever_wrote(
    release: Release, maestro: Call, tmp_path: Path
) -> None:
    campaign = release.searches[0]
    shutil.copytree(release.runs / campaign, tmp_path / "cut")
    path = tmp_path / "cut" / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-200])
    ended = maestro("campaign", "replay", tmp_path / "cut")
    assert ended.code == 2
    assert "is damaged" in ended.err

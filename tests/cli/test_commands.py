"""Every command says what it does, ends with the exit code it promises, and answers programs in JSON."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from maestro.cli import main as command_line
from maestro.wiring.campaigns import CampaignRun


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*path, name))


TREE = sorted(_commands(typer.main.get_command(command_line.app)))


@pytest.mark.parametrize("path", TREE, ids=lambda path: " ".join(path) or "maestro")
def test_every_command_explains_itself(path: tuple[str, ...], maestro: Any) -> None:
    ended = maestro(*path, "--help")
    assert ended.code == 0
    assert ended.err == ""
    assert ended.out.startswith("Usage: ")
    assert "--help" in ended.out
    assert not list(Path().iterdir()), "asking for help made a file"


def test_the_tree_has_the_commands_that_are_promised() -> None:
    promised = {
        ("campaign", "run"), ("campaign", "list"), ("campaign", "show"), ("campaign", "report"),
        ("campaign", "resume"), ("campaign", "replay"), ("campaign", "hash"), ("campaign", "journal"),
        ("data", "check"), ("gate", "list"), ("gate", "show"), ("gate", "approve"), ("gate", "reject"),
        ("methods",), ("schema",), ("version",), ("why",), ("costs",),
    }  # fmt: skip
    assert promised <= set(TREE)


def test_a_campaign_is_asked_for_by_a_file_and_again_by_what_it_left(maestro: Any, tmp_path: Path) -> None:
    asked = tmp_path / "asked.yaml"
    asked.write_text("tests: 6\nsegments: 2\nseed: 5\nbrains: [{role: critic, brain: offline, max_tokens: 999}]\n")
    first = json.loads(maestro("campaign", "run", "--config", asked, "--json").out)
    again = json.loads(maestro("campaign", "run", "--config", f"{first['folder']}/campaign.yaml", "--json").out)
    assert again["campaign"] == f"{first['campaign']}-r2", "the same request has the same name"
    other = json.loads(maestro("campaign", "run", "--config", asked, "--seed", 6, "--json").out)
    assert "-s6-" in other["campaign"]
    assert "max_tokens: 999" in (Path(other["folder"]) / "campaign.yaml").read_text(encoding="utf-8")


def test_a_pilot_puts_what_it_found_to_the_test_like_any_campaign(maestro: Any) -> None:
    run = ("campaign", "run", "--market", "trending", "--json", "--tests", 6, "--segments", 3)
    verdict = json.loads(maestro(*run).out)["verdict"]
    assert verdict["finalists"], "nothing was put to the test, yet there is an answer"
    assert all(finalist["holdout"] for finalist in verdict["finalists"])


@pytest.mark.parametrize("tests", [1, 6])
def test_a_pilot_that_found_nothing_worth_it_opens_nothing_and_says_so(
    maestro: Any, bars_file: Path, tests: int
) -> None:
    run = ("campaign", "run", "--data", bars_file, "--symbol", "BTCUSDT", "--json")
    told = json.loads(maestro(*run, "--tests", tests, "--segments", 3).out)
    assert told["verdict"]["word"] == "NOT ENOUGH EVIDENCE"
    assert told["verdict"]["finalists"] == []
    assert "the sealed part was not opened (nothing is expected to beat standing aside" in told["verdict"]["sentence"]
    journal = (Path(told["folder"]) / "journal.jsonl").read_text(encoding="utf-8")
    assert "HoldoutOpened" not in journal
    assert "LooksCounted" not in journal


def test_one_segment_alone_says_so_wherever_its_tests_are_counted(maestro: Any, bars_file: Path) -> None:
    alone = ("--data", bars_file, "--symbol", "BTCUSDT", "--tests", 7, "--segments", 3, "--segment", 2)
    ended = maestro("campaign", "run", *alone)
    assert ended.code == 0
    assert "segment 2/3 walk forward: 2/2 tests" in ended.err
    assert "segment 3/3" not in ended.err
    assert ended.out.count("2 tests, ") == 1
    summary = next(Path("runs").glob("*/summary.md")).read_text(encoding="utf-8")
    assert "| Tests run | 2 | segment 2 alone, of 7 asked for, in 3 segments |" in summary


def test_a_campaign_of_sessions_has_a_size_that_its_account_can_carry(maestro: Any) -> None:
    run = ("campaign", "run", "--engine", "session", "--tests", 2, "--segments", 1, "--json")
    folder = Path(json.loads(maestro(*run).out)["folder"])
    assert "notional_usd: '5000'" in (folder / "campaign.yaml").read_text(encoding="utf-8")
    larger = Path(json.loads(maestro(*run, "--notional", 100_000).out)["folder"])
    assert "100000" in (larger / "campaign.yaml").read_text(encoding="utf-8")


def test_a_pilot_runs_tells_where_it_stands_and_ends_with_its_verdict(maestro: Any) -> None:
    ended = maestro("campaign", "run", "--tests", 10)
    assert ended.code == 0
    verdict, *_ = ended.out.splitlines()
    assert verdict.startswith(("DOES NOT SURVIVE.", "NOT ENOUGH EVIDENCE.", "SURVIVES."))
    assert "10 tests" in ended.out
    opens, *lines = ended.err.splitlines()
    assert opens.startswith("at its end it opens the sealed part, ")
    assert lines, "a long run must tell where it stands where there is no terminal, too"
    assert all(line.startswith("segment ") for line in lines)
    assert "episodes/s" in lines[0]
    assert "patches" in lines[0]
    assert {line.split("/")[0] for line in lines} == {f"segment {n}" for n in range(1, 6)}
    assert "\x1b" not in ended.err
    (folder,) = [path.parent for path in Path("runs").glob("*/campaign.yaml")]
    assert str(folder) in ended.out
    assert (folder / "summary.html").is_file()


def test_the_same_in_json_is_one_document_and_silence(maestro: Any, bars_file: Path) -> None:
    ended = maestro("campaign", "run", "--tests", 4, "--segments", 2, "--data", bars_file, "--json")
    told = json.loads(ended.out)
    assert ended.code == 0
    assert re.fullmatch(r"at its end it opens [^\n]+\n", ended.err), "nothing else is said"
    assert told["status"] == "finished"
    assert told["tests"] == 4
    assert Path(told["folder"], "metrics_global.json").is_file()
    one = maestro("campaign", "run", "--tests", 6, "--segments", 3, "--segment", 2, "--data", bars_file, "--json")
    assert json.loads(one.out)["tests"] == 2
    assert [p.name for p in Path(json.loads(one.out)["folder"]).glob("segment_*")] == ["segment_2"]


def test_a_data_file_that_moved_is_named_once(maestro: Any, bars_file: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "BTCUSDT-15m.parquet", tmp_path / "moved" / "BTCUSDT-15m.parquet"
    shutil.copy(bars_file, here)
    told = json.loads(maestro("campaign", "run", "--data", here, "--tests", 2, "--segments", 1, "--json").out)
    there.parent.mkdir()
    here.rename(there)
    assert maestro("campaign", "replay", told["campaign"]).code == 2
    assert maestro("campaign", "resume", told["campaign"], "--data", there).code == 0
    assert maestro("campaign", "replay", told["campaign"]).code == 0


def test_a_finished_campaign_is_listed_shown_reported_hashed_and_told_again(
    maestro: Any, finished: CampaignRun
) -> None:
    out = ("--out", finished.folder.parent)
    (row,) = json.loads(maestro("campaign", "list", *out, "--json").out)
    assert row["campaign"] == finished.campaign
    assert row["tests"] == 24
    assert finished.campaign in maestro("campaign", "list", *out).out
    shown = json.loads(maestro("campaign", "show", finished.campaign, *out, "--json").out)
    assert shown["finished"]["tests"] == 24
    assert [segment["segment"] for segment in shown["segments"]] == [1, 2, 3]
    with (finished.folder / "leaderboard.csv").open(newline="") as file:
        assert shown["leaderboard"] == list(csv.DictReader(file))[:10]
    page = maestro("campaign", "show", finished.campaign, *out)
    assert page.code == 0
    assert "Leaderboard" in page.out
    files = json.loads(maestro("campaign", "report", finished.campaign, *out, "--json").out)["files"]
    assert [Path(name).name for name in files] == ["summary.md", "summary.html"]
    by_id = maestro("campaign", "hash", finished.campaign, *out)
    by_folder = maestro("campaign", "hash", finished.folder)
    told = json.loads(maestro("campaign", "hash", finished.campaign, "--json", *out).out)
    assert told == {"campaign": finished.campaign, "hash": by_id.out.strip()}
    assert by_id.out == by_folder.out
    assert len(by_id.out.strip()) == 64
    again = maestro("campaign", "replay", finished.campaign, *out, "--json")
    assert again.code == 0
    assert json.loads(again.out)["replayed"] == by_id.out.strip()
    assert "word for word" in maestro("campaign", "replay", finished.campaign, *out).out


def test_the_costs_of_a_campaign_that_is_not_there_are_not_nothing(maestro: Any, finished: CampaignRun) -> None:
    out = ("--out", finished.folder.parent)
    assert "No model was asked" in maestro("costs", "--campaign", finished.campaign, *out).out
    ended = maestro("costs", "--campaign", f"{finished.campaign}x", *out)
    assert (ended.code, ended.out) == (2, "")
    assert f"did you mean {finished.campaign}?" in ended.err
    assert maestro("costs", "--campaign", "nope", "--json").code == 2
    assert maestro("costs", "--campaign", "", *out).code == 2


def test_a_replay_names_the_test_whose_trades_were_changed(maestro: Any, finished: CampaignRun) -> None:
    shutil.copytree(finished.folder, "carried")
    path = Path("carried/segment_1/test_002/trades.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"bars_held":', b'"bars_held":1', 1))
    data = next(finished.folder.parents[1].glob("*.parquet"))
    ended = maestro("campaign", "replay", "carried", "--data", data)
    assert ended.code == 1
    assert "different: seg1_test002, trades.jsonl, line 1: bars_held: recorded 1" in ended.out
    told = json.loads(maestro("campaign", "replay", "carried", "--data", data, "--json").out)
    assert (told["same"], told["difference"], len(told["files"])) == (False, None, 2)


def test_a_replay_that_differs_ends_with_1_and_names_the_place(maestro: Any, finished: CampaignRun) -> None:
    shutil.copytree(finished.folder, "carried")
    path = Path("carried/journal.jsonl")
    path.write_text(path.read_text().replace('"finalists":["', '"finalists":["x', 1))
    data = next(finished.folder.parents[1].glob("*.parquet"))
    ended = maestro("campaign", "replay", "carried", "--data", data)
    assert ended.code == 1
    assert "different: m0" in ended.out
    assert "finalists" in ended.out
    told = json.loads(maestro("campaign", "replay", "carried", "--data", data, "--json").out)
    assert told["same"] is False


def test_the_journal_comes_from_the_store_line_by_line(maestro: Any, finished: CampaignRun) -> None:
    out = ("--out", finished.folder.parent)
    ended = maestro("campaign", "journal", finished.campaign, *out)
    assert ended.out == (finished.folder / "journal.jsonl").read_text()
    tail = maestro("campaign", "journal", finished.campaign, "--after", 5, "--follow", *out)
    assert tail.out.splitlines() == ended.out.splitlines()[5:]


def test_why_tells_who_said_what(maestro: Any, finished: CampaignRun) -> None:
    out = ("--out", finished.folder.parent)
    told = json.loads(maestro("why", "seg1-p1", "atr_z_min", *out, "--json").out)
    assert told["value"] == -0.2
    assert told["links"][0]["said"][0]["sender"] == "strategist"
    prose = maestro("why", "seg1-p1", "atr_z_min", "--campaign", finished.campaign, *out)
    assert prose.code == 0
    assert "seg1-p1 (from seg1_test003): 0.0 -> -0.2" in prose.out
    assert "it is the declared default" in maestro("why", "root", "atr_bars", *out).out
    newest = json.loads(maestro("why", "last", "atr_z_min", *out, "--json").out)
    assert newest["run"] == max(re.findall(r"seg\d_test\d+", (finished.folder / "journal.jsonl").read_text()))


def test_what_a_model_said_cannot_command_the_terminal(maestro: Any, finished: CampaignRun) -> None:
    shutil.copytree(finished.folder, "runs/made-up")
    path = Path("runs/made-up/journal.jsonl")
    path.write_text(path.read_text().replace('"reason":"agreed"', '"reason":"\\u001b[2Jagreed\\u009b31m"'))
    ended = maestro("why", "seg1-p1", "atr_z_min")
    assert ended.code == 0
    assert "[2Jagreed" in ended.out
    assert not [c for c in ended.out if (c < " " and c != "\n") or "\x7f" <= c <= "\x9f"]


def test_methods_schemas_version_and_costs_answer_programs(maestro: Any, finished: CampaignRun) -> None:
    methods = json.loads(maestro("methods", "--json").out)
    assert {"macd_trend", "ema_crossover", "trend_breakout", "shared"} <= set(methods)
    assert {"name", "default", "low", "high", "step", "unit"} <= set(methods["macd_trend"]["parameters"][0])
    assert "macd_fast" in maestro("methods", "macd_trend").out
    assert set(json.loads(maestro("schema").out)) >= {"Envelope", "TradeEvent", "RunConfig"}
    checkout = Path(__file__).parents[2] / "specs" / "schemas"
    assert maestro("schema", "--check", checkout).code == 0
    assert maestro("schema", "--write", "new").code == 0
    assert maestro("schema", "--check", "new").code == 0
    Path("new/Envelope.schema.json").write_text("{}")
    stale = maestro("schema", "--check", "new")
    assert (stale.code, stale.out) == (1, "Envelope.schema.json\n")
    assert json.loads(maestro("schema", "--check", "new", "--json").out) == {"stale": ["Envelope.schema.json"]}
    assert json.loads(maestro("schema", "--write", "new", "--json").out) == {"changed": ["Envelope.schema.json"]}
    assert set(json.loads(maestro("schema", "--json").out)) >= {"Envelope"}
    assert json.loads(maestro("version", "--json").out)["maestro"]
    assert json.loads(maestro("costs", "--out", finished.folder.parent, "--json").out) == []
    assert json.loads(maestro("gate", "list", "--json").out) == []

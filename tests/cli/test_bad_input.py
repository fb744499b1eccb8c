"""Bad input ends in one line that says what is wrong and what to do, and in its own exit code: no trace, ever."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from campaign_support import bar_columns, write_bars

from maestro.wiring.campaigns import CampaignRun
from maestro_engine.data.simulators.regimes import simulate_bars


def one_line(ended: Any, code: int, *words: str) -> None:
    assert ended.code == code, ended
    assert ended.out == ""
    assert re.fullmatch(r"([^\n]+: is not what was written\n)?maestro: [^\n]{10,1000}\n", ended.err), ended.err
    for word in words:
        assert word in ended.err, ended.err


def usage(ended: Any, word: str) -> None:
    assert ended.code == 2
    assert word in ended.err
    assert "Traceback" not in ended.err


RUN = ("campaign", "run", "--tests", 4, "--segments", 2)


@pytest.fixture(autouse=True)
def odd_files(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "garbage.csv").write_bytes(b"\x00\xff\x01garbage,\n1,2")
    (tmp_path / "garbage.parquet").write_bytes(b"PAR1 not really")


@pytest.mark.parametrize("name", ["missing.csv", "folder", "file", "empty.csv", "garbage.csv", "garbage.parquet"])
@pytest.mark.parametrize("command", [(*RUN, "--data"), ("data", "check")], ids=["run", "check"])
def test_a_file_that_is_no_bars_is_refused_by_name(name: str, command: tuple[object, ...], maestro: Any) -> None:
    one_line(maestro(*command, name), 1, name)
    assert not list(Path().glob("runs/*/campaign.yaml"))


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--brain", "critic=nobody", "offline, anthropic or openai"),
        ("--brain", "critic", "ROLE=BRAIN"),
        ("--brain", "nobody=offline", "known: maestro, strategist, critic, implementer"),
        ("--brain", "dispatcher=offline", "unknown role"),
        ("--brain", "control=offline", "unknown role"),
        ("--brain", "critic=openai:" + "x" * 400, "no model has such a name"),
        ("--brain", "critic=openai,heat=1", "max_tokens=N and temperature=X"),
        ("--brain", "critic=openai,temperature=1,temperature=2", "each once"),
        ("--brain", "critic=openai,temperature=9", "temperature"),
        ("--brain", "critic=openai:gpt-6-sol,max_tokens=1", "max_tokens"),
        ("--config", "nothing.yaml", "nothing.yaml"),
        ("--config", "garbage.csv", "is not YAML"),
        ("--brain", "critic=openai", "OPENAI_API_KEY"),
        ("--brain", "strategist=anthropic", "ANTHROPIC_API_KEY"),
        ("--segment", "3", "--segments is 2"),
        ("--policy", "nope", "sequential, streak"),
        ("--market", "nope", "mixed"),
        ("--symbol", "BTCUSDT", "--data"),
        ("--time-zone", "../../etc/passwd", "give a name like Europe/Berlin"),
        ("--time-zone", "+02:00", "--time-zone"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(option: str, value: str, word: str, maestro: Any) -> None:
    one_line(maestro(*RUN, option, value), 2, word)
    assert not list(Path().glob("runs/*/campaign.yaml"))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--tests", 0),
        ("--segments", 0),
        ("--segment", 0),
        ("--jobs", 0),
        ("--seed", -1),
        ("--taker-bps", "nan"),
        ("--notional", "inf"),
        ("--slippage-bps", -1),
        ("--tests", "many"),
    ],
)
def test_a_number_out_of_its_range_names_its_option(option: str, value: object, maestro: Any) -> None:
    usage(maestro(*RUN, option, value), option)


def test_combinations_without_effect_are_refused(maestro: Any, bars_file: Path) -> None:
    one_line(maestro(*RUN, "--data", bars_file, "--market", "noise"), 2, "--market", "--data")
    one_line(maestro(*RUN, "--brain", "critic=offline", "--brain", "critic=openai"), 2, "critic", "twice")
    one_line(maestro("campaign", "run", "--tests", 2, "--segments", 5, "--segment", 4), 2, "--tests")
    one_line(maestro(*RUN, "--data", bars_file, "--symbol", "../x"), 1, "symbol")
    usage(maestro(*RUN, "--nope"), "--nope")
    usage(maestro("nope"), "nope")


@pytest.mark.parametrize("out", ["file", "file/deeper"])
@pytest.mark.parametrize(
    "command", [RUN, ("campaign", "resume", "x"), ("gate", "list"), ("costs",), ("campaign", "journal", "x")]
)
def test_a_place_that_cannot_be_written_is_named(out: str, command: tuple[object, ...], maestro: Any) -> None:
    one_line(maestro(*command, "--out", out), 1, out, "--out")


def test_a_campaign_that_is_not_there_is_told_with_what_is(maestro: Any, finished: CampaignRun) -> None:
    for command in ("show", "report", "hash", "replay", "resume", "journal"):
        one_line(maestro("campaign", command, "nope"), 2, "nope")
    out = ("--out", finished.folder.parent)
    one_line(maestro("campaign", "show", "mad-up", *out), 2, "did you mean made-up?")
    one_line(maestro("campaign", "resume", "mad-up", *out), 2, "made-up")
    one_line(maestro("campaign", "show", "../../etc", *out), 2)
    one_line(maestro("why", "seg1_test001", "atr_bars"), 2, "no campaign")
    one_line(maestro("why", "seg9_test001", "atr_bars", *out), 2, "seg9_test001")
    one_line(maestro("why", "seg1_test001", "leverage", *out), 2, "leverage", "atr_stop_mult")
    assert "No campaigns yet" in maestro("campaign", "list").out


DAMAGE = {
    "metrics_global.json": ("show", "report"),
    "segment_1/segment_results.json": ("show", "report"),
    "leaderboard.csv": ("show",),
    "campaign.yaml": ("report",),
    "journal.jsonl": ("hash", "replay", "report"),
    "exhibits.json": ("report",),
}


@pytest.mark.parametrize("content", [b"[]\n", b"{", b"\xff\xfe", b'{"verdict": 3}', None], ids=str)
@pytest.mark.parametrize("name", sorted(DAMAGE))
def test_a_damaged_file_of_a_campaign_is_named(
    name: str, content: bytes | None, maestro: Any, finished: CampaignRun
) -> None:
    shutil.copytree(finished.folder, "runs/made-up")
    path = Path("runs/made-up", name)
    path.unlink() if content is None else path.write_bytes(content)
    for command in DAMAGE[name]:
        ended = maestro("campaign", command, "made-up")
        assert "Traceback" not in ended.err
        if ended.code == 0:  # a file that a report can do without, or that is no worse than empty
            assert content is None or (name, command) == ("leaderboard.csv", "show")
        else:
            one_line(ended, ended.code, "made-up" if name == "campaign.yaml" else name)
    listed = maestro("campaign", "list")
    assert listed.code == 0


@pytest.mark.parametrize("content", ["[]", "{", "\udcff", "a: [1"])
def test_a_damaged_run_config_is_named(content: str, maestro: Any, finished: CampaignRun) -> None:
    shutil.copytree(finished.folder, "runs/made-up")
    path = Path("runs/made-up/segment_1/test_001/run.yaml")
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    one_line(maestro("why", "seg1_test001", "atr_bars"), 2, "run.yaml")


def test_gates_that_are_not_there_and_hashes_that_are_none(maestro: Any) -> None:
    for command in ("show", "approve", "reject"):
        one_line(maestro("gate", command, "nope"), 3, "no such gate")
    one_line(maestro("gate", "approve", "nope", "--bound-to", "zz"), 2, "--bound-to")


def test_schema_files_go_into_a_folder(maestro: Any) -> None:
    one_line(maestro("schema", "--write", "file"), 2, "file")
    one_line(maestro("methods", "macd_trand"), 2, "did you mean 'macd_trend'?")


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("rules/adjustments.yaml", "version: 1\nrulez: []\n", ("adjustments.yaml", "rulez", "rules")),
        ("rules/adjustments.yaml", "version: 1\nrules: [", ("adjustments.yaml", "YAML")),
        (
            "rules/adjustments.yaml",
            "version: 1\nrules: [{name: r, metric: hit, when: {below: 1}, on_target: 1,"
            " change: [{parameter: atr_stop_mul, step: 1}]}]\n",
            ("rule r", "atr_stop_mul", "did you mean 'atr_stop_mult'?"),
        ),
        (
            "rules/adjustments.yaml",
            "version: 1\nrules: [{name: r, metric: sharpe, when: {below: 1}, on_target: 1,"
            " change: [{parameter: atr_stop_mult, step: 1}]}]\n",
            ("rule r", "sharpe"),
        ),
        (
            "gates/policy.yaml",
            "version: 1\nclasses: {low: {needs: 0, timeout_minutes: 9}, medium: {needs: 0, timeout_minutes: 9},"
            " high: {needs: 0, timeout_minutes: 9}}\n"
            "patches: [{parameters: [timeout_bar], over: 0, risk: high}]\nbudget: high\nholdout_again: high\n",
            ("policy.yaml", "timeout_bar", "did you mean 'timeout_bars'?"),
        ),
        ("rules/policies.yaml", "[]", ("policies.yaml",)),
    ],
)
def test_a_spec_that_names_what_nobody_has_refuses_to_start(
    file: str, text: str, words: tuple[str, ...], maestro: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("specs", file)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    monkeypatch.setenv("MAESTRO_SPECS", "specs")
    one_line(maestro(*RUN), 2, *words)


def _bars(**columns: Any) -> dict[str, Any]:
    return bar_columns(simulate_bars("noise", 1, 60, step_ms=900_000)) | columns


def test_a_zone_that_is_none_is_refused_in_a_line(maestro: Any, bars_file: Path) -> None:
    for zone in ("", "+02:00", "../../etc/passwd", "Europe/Berlin\n"):
        one_line(maestro("data", "check", bars_file, "--time-zone", zone), 2, "--time-zone")


def test_data_check_tells_what_is_wrong_and_whether_it_can_be_used(maestro: Any) -> None:
    good = _bars()
    high = good["high"].copy()
    high[7] = -1.0
    times = good["open_time"].copy()
    times[30:] += 900_000 * 5
    for name, columns, code, found in (
        ("good", good, 1, ""),
        ("negative", good | {"high": high}, 1, "price"),
        ("doubled", {k: v.repeat(2) for k, v in good.items()}, 1, "duplicate"),
        ("backwards", {k: v[::-1].copy() for k, v in good.items()}, 1, "newest_first"),
        ("gap", good | {"open_time": times}, 1, "gap"),
    ):
        path = write_bars(Path(f"BTCUSDT-15m-{name}.parquet"), columns)
        told = maestro("data", "check", path, "--json")
        report = json.loads(told.out)
        kinds = " ".join(f"{f['kind']} {f['text']}" for f in report["findings"])
        assert found in kinds, (name, kinds)
        fatal = any(f["outcome"] == "fatal" for f in report["findings"])
        assert told.code == code
        shown = maestro("data", "check", path)
        assert shown.code == told.code
        assert ("cannot be used" in shown.out) == fatal
        assert (report["campaign"] is None) == fatal
        assert ("gap: row 31 (" in shown.out) == (name == "gap")
        if name == "good":
            assert_room_for_a_campaign(report, shown.out)


def assert_room_for_a_campaign(report: dict[str, Any], shown: str) -> None:
    room = report["campaign"]
    assert room["windows"] == 0
    assert "days of 15m bars are needed for one window" in room["reason"]
    assert f"usable: {report['bars']:,} bars, too few for a campaign: {room['reason']}" in shown


def test_a_file_says_what_a_campaign_would_make_of_it(market_data: Path, maestro: Any) -> None:
    path = market_data / "klines" / "binance_usdm_BTCUSDT_5m_2025-01_2025-06.parquet"
    report = json.loads(maestro("data", "check", path, "--json").out)
    assert report["campaign"] == {"windows": 65, "sealed_days": 36.2, "reason": None}
    assert (
        "usable: 52,128 bars; a campaign has 65 windows and 36.2 sealed days\n" in maestro("data", "check", path).out
    )


@pytest.mark.parametrize("url", ["nonsense", "mysql://x@y/z", "postgresql://nobody@127.0.0.1:1/none"])
def test_a_database_that_is_none_is_told_without_its_password(
    url: str, maestro: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAESTRO_DATABASE_URL", url.replace("@", ":canary-password@"))
    ended = maestro(*RUN)
    assert ended.code in (1, 2)
    assert re.fullmatch(r"maestro: [^\n]+\n", ended.err)
    assert "canary" not in ended.err

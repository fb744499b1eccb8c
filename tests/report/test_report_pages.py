"""The report's door: a campaign's folder in, two pages out, that say the same and never more than is known."""

from __future__ import annotations

import difflib
import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import get_args

import pytest

from maestro.report import sheets
from maestro.report.pages import markdown, write_report
from maestro_protocol.errors import DataError, StoreError
from maestro_protocol.messages.events import ExitReason

MadeUp = Callable[..., Path]
GOLDEN = Path(__file__).parent / "golden" / "summary.md"
HOSTILE = "</td><script>window.hacked=1;alert(1)</script><img src=x onerror=alert(2)> a|b `c` *d* [e](http://x.test)"


def pages(folder: Path) -> tuple[str, str]:
    markdown_page, html = write_report(folder)
    return markdown_page.read_text(encoding="utf-8"), html.read_text(encoding="utf-8")


def text_of(html: str) -> str:
    """What a reader sees of *html*, in one line."""
    body = re.sub(r"<style>.*?</style>", " ", html[html.index("<body>") :], flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def table(html: str, name: str) -> list[list[str]]:
    """The cells of a table of the page, row by row."""
    body = re.search(rf'<table class="{name}">(.*?)</table>', html, re.DOTALL)
    assert body is not None
    rows = re.findall(r"<tr>(.*?)</tr>", body[1], re.DOTALL)
    return [[unescape(re.sub(r"<[^>]+>", "", c)) for c in re.findall(r"<t[dh].*?</t[dh]>", row)] for row in rows]


def test_markdown_of_a_small_campaign_is_as_it_was(made_up: MadeUp) -> None:
    """Golden: read the difference, and write it anew with MAESTRO_GOLDEN=write where it is meant."""
    said, _ = pages(made_up(tests=150))
    if os.environ.get("MAESTRO_GOLDEN") == "write":
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(said, encoding="utf-8")
    kept = GOLDEN.read_text(encoding="utf-8")
    assert said == kept, "".join(difflib.unified_diff(kept.splitlines(True), said.splitlines(True), "golden", "now"))


@pytest.mark.parametrize("word", ["SURVIVES", "DOES NOT SURVIVE", "NOT ENOUGH EVIDENCE"])
def test_verdict_comes_first_in_plain_words(made_up: MadeUp, word: str) -> None:
    folder = made_up(tests=25, word=word)
    sentence = json.loads((folder / "metrics_global.json").read_text())["verdict"]["sentence"]
    said, html = pages(folder)
    assert said.splitlines()[0] == f"# {word}: {markdown(sentence)}"
    assert text_of(html).startswith(f"{word} {sentence}")
    assert " What it would take to decide: about 186 days" in said or word != "NOT ENOUGH EVIDENCE"


@pytest.mark.parametrize(
    ("status", "because"),
    [
        ("finished", "no verdict was asked for"),
        ("interrupted", "was interrupted after 10 of 25 tests: stopped by hand"),
        ("failed", "failed after 10 of 25 tests: stopped by hand"),
        (None, "stopped before its end: 10 of 25 tests are in finished segments"),
    ],
)
def test_without_a_verdict_the_page_says_why(made_up: MadeUp, status: str | None, because: str) -> None:
    said, html = pages(made_up(tests=25, status=status, word=None))
    assert said.splitlines()[0].startswith("# NO VERDICT: The campaign ")
    assert because in said.splitlines()[0]
    assert because in text_of(html)
    assert "Equity" not in said
    assert "There is no exhibits.json" in said
    assert "There is no exhibits.json" in text_of(html)


def test_cut_off_campaign_says_what_is_missing(made_up: MadeUp) -> None:
    _, html = pages(made_up(tests=25, status=None))
    for name in ("metrics_global.json", "exhibits.json", "journal.jsonl", "leaderboard.csv"):
        assert f"no {name}" in text_of(html)
    assert "Segment 3 was not finished: 1 of its tests are kept" in text_of(html)
    assert len(table(html, "segments")) == 3  # the head and both finished segments


def test_simulated_data_is_called_so_everywhere(made_up: MadeUp) -> None:
    said, html = pages(made_up(tests=50))
    title = re.search(r"<title>(.*?)</title>", html)
    assert title is not None
    assert "simulated data" in title[1]
    assert "simulated market" in said.split("\n\n")[1]
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert drawings
    assert all(">simulated data<" in drawing for drawing in drawings)
    said, html = pages(made_up("real", tests=50, simulated=False))
    assert "simulated" not in (said + html.replace("--simulated", "").replace(".simulated", "")).lower()


def test_undefined_figures_are_dashes(made_up: MadeUp) -> None:
    said, html = pages(made_up(tests=25, undefined=True))
    assert not re.search(r"\b(None|nan|null|inf)\b", said + text_of(html))
    head, *rows = table(html, "segments")
    for row in rows:
        shown = dict(zip(head, row, strict=True))
        assert shown["Payoff"] == shown["Winners"] == shown["validation"] == shown["Efficiency"] == "–"
    assert all(row[1] == row[3] == "–" for row in table(html, "behind")[1:])
    assert "Not drawn" in text_of(html)


@pytest.mark.parametrize("tests", [1, 2, 10])
def test_pilot_of_few_tests_has_its_pages(made_up: MadeUp, tests: int) -> None:
    said, html = pages(made_up(tests=tests, segments=min(tests, 5)))
    assert f"| Tests run | {tests} |" in said
    assert html.rstrip().endswith("</html>")


def test_same_folder_gives_the_same_bytes_in_another_process(made_up: MadeUp) -> None:
    folder = made_up(tests=50)
    first = [path.read_bytes() for path in write_report(folder)]
    assert [path.read_bytes() for path in write_report(folder)] == first
    code = (
        "import sys, pathlib; from maestro.report.pages import write_report; write_report(pathlib.Path(sys.argv[1]))"
    )
    paths = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "99", "HOME": str(folder)}
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, env=os.environ | paths)
    assert [(folder / name).read_bytes() for name in ("summary.md", "summary.html")] == first


def test_what_models_say_stays_text(made_up: MadeUp) -> None:
    said, html = pages(made_up(tests=250, prose=HOSTILE))
    assert "<script" not in html
    assert "<img" not in html
    assert HOSTILE in text_of(html)
    assert "<script>" not in said
    assert "\\<script\\>" in said
    for block in said.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) <= 1, lines


ORDERS = "\x1b[2J\x1b]0;owned\x07 \x9b31m \x08\x7f\r \u202egnp.exe \u2066 \ufeff \u200b \x00 \x85 \u2028"


def test_what_models_say_commands_neither_terminal_nor_page(made_up: MadeUp) -> None:
    """Escape sequences, bells, other directions of writing: in every sentence that the pages take from others."""
    folder = made_up(tests=250, prose=ORDERS)
    assert "\\u001b[2J" in (folder / "journal.jsonl").read_text(encoding="utf-8")
    for page in pages(folder):
        hidden = {c for c in page if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
        assert hidden <= {"\n"}, sorted(map(hex, map(ord, hidden)))
        assert "\N{REPLACEMENT CHARACTER}" in page, "it is not shown that something was there"
        assert "gnp.exe" in page


def test_page_asks_for_nothing_from_elsewhere(made_up: MadeUp) -> None:
    folder = made_up(tests=50)
    _, html = pages(folder)
    addresses = re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')\s>]+)", html)
    beside = [address for address in addresses if not address.startswith(("#", "data:"))]
    assert {"leaderboard.csv", "journal.jsonl", "exhibits.json", "segment_1/"} <= set(beside)
    assert all((folder / address).exists() for address in beside), "it links to nothing but what lies beside it"
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_patches_are_told_from_who_asked_to_what_came_of_them(made_up: MadeUp) -> None:
    _, html = pages(made_up(tests=500))
    head, *rows = table(html, "patches")
    told = [dict(zip(head, row, strict=True)) for row in rows]
    assert len(told) == 12
    assert {row["Asked by"] for row in told} == {"critic; strategist agreed"}
    assert [row["Result"] for row in told[:4]] == ["kept", "reverted", "not measured", "refused"]
    assert told[0]["Rule"] == "hit_low"
    assert told[0]["Change"] == "atr_stop_mult 1.5 → 1.8"
    assert told[2]["Change"] == "gate_vhf off → on; vhf_min 0.3 → 0.35"
    assert told[0]["Measured"].replace("\xa0", " ") == "PnL per trade −42.50 → 61.25 on 25 windows, p = 0.043"
    assert "is outside its bounds" in told[3]["Measured"]


def test_ledger_counts_entries_and_distinct_configurations(made_up: MadeUp) -> None:
    folder = made_up(tests=125)
    bodies = [json.loads(line)["body"] for line in (folder / "journal.jsonl").read_text().splitlines()]
    trials = [body for body in bodies if body["type"] == "TrialRecorded"]
    distinct = {json.dumps([sorted(t["methods"]), sorted(t["params"].items())]) for t in trials}
    _, html = pages(folder)
    rows = table(html, "trials")[1:]
    assert rows[-1] == ["all", str(len(trials)), str(len(distinct))]
    assert [sum(int(row[column]) for row in rows[:-1]) for column in (1, 2)] == [len(trials), len(distinct)]


def test_costs_of_calls_are_a_lower_bound_where_a_price_is_unknown(made_up: MadeUp) -> None:
    _, html = pages(made_up(tests=50))
    assert table(html, "calls")[1][-1] == "at least 0.0412"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("journal.jsonl", b'{"id": "m1", "body"\n', "line 1 is not a journal entry"),
        ("journal.jsonl", b'{"id":"m1","body":{"type":"TrialRecorded"}}\n', "line 1 is not a journal entry (run_id"),
        ("metrics_global.json", b"{}", "is not a CampaignFinished (status"),
        ("exhibits.json", b"[", "is not a Exhibits"),
        ("segment_1/segment_results.json", b'{"segment": "x"}', "is not a SegmentFinished"),
        ("campaign.yaml", b"a: [", "campaign.yaml: is not YAML"),
        ("campaign.yaml", b"seeds: 7", "is not a campaign's configuration"),
        ("leaderboard.csv", b"rank\n\xff\xfe\n", "cannot be read"),
    ],
)
def test_broken_file_is_one_clear_line_and_leaves_the_old_page(
    made_up: MadeUp, name: str, content: bytes, says: str
) -> None:
    folder = made_up(tests=10)
    before = [path.read_bytes() for path in write_report(folder)]
    (folder / name).write_bytes(content)
    with pytest.raises(DataError) as raised:
        write_report(folder)
    assert says in str(raised.value)
    assert str(folder / name) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert [(folder / page).read_bytes() for page in ("summary.md", "summary.html")] == before


def test_folder_of_no_campaign_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is this a campaign's folder"):
        write_report(tmp_path)


def test_page_that_cannot_be_written_says_so(made_up: MadeUp) -> None:
    folder = made_up(tests=10)
    (folder / "summary.md").mkdir()
    with pytest.raises(StoreError, match=r"summary\.md: cannot be written"):
        write_report(folder)


def test_results_a_model_may_remember_stand_apart(made_up: MadeUp) -> None:
    folder = made_up(tests=10)
    path = folder / "metrics_global.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    known = {"role": "critic", "model": "gpt-6-sol", "knows_until": 1_740_000_000_000}
    told["memory"] = [known | {"before": told["validation"], "after": None}]
    path.write_text(json.dumps(told), encoding="utf-8")
    markdown, _ = write_report(folder)
    rows = [line for line in markdown.read_text(encoding="utf-8").splitlines() if "gpt-6-sol" in line]
    assert len(rows) == 2
    assert "19 Feb 2025" in rows[0]
    assert "up to then" in rows[0]
    assert rows[1].count("–") == 3


def test_second_sentence_says_what_costs_took(made_up: MadeUp) -> None:
    folder = made_up(tests=25)
    said, html = pages(folder)
    told = (
        "83 % of the loss was fees and slippage: before them seg1-p1 stood at −1,800 USD, after them at −10,440 USD."
    )
    first = json.loads((folder / "metrics_global.json").read_text())["verdict"]["sentence"]
    assert f"{first} {told}" in text_of(html).replace("\N{NO-BREAK SPACE}", " ")
    assert said.splitlines()[2].replace("\N{NO-BREAK SPACE}", " ").startswith(told)


def test_returns_stand_beside_buy_and_hold_on_a_stated_capital(made_up: MadeUp) -> None:
    _, html = pages(made_up(tests=25))
    rows = table(html, "returns")
    assert rows[-1][:4] == ["buy and hold", "1.2\N{NO-BREAK SPACE}%", "−9.1\N{NO-BREAK SPACE}%", "0.61"]
    assert "The capital is 100,000 USD, the notional of one position" in text_of(html)
    falls = table(html, "falls")
    assert falls[1][1:] == ["−10,400", "−10.4\N{NO-BREAK SPACE}%", "4 Jan 2025", "20 Jun 2025", "not yet", "–"]


def test_the_sum_of_overlapping_tests_is_called_that(made_up: MadeUp) -> None:
    said, html = pages(made_up(tests=25))
    for page in (said, text_of(html)):
        assert "their windows overlap: a sum that nobody earned" in page
        assert "Profit and loss, USD" not in page


def test_campaign_of_an_earlier_version_has_no_sheets_and_says_so(made_up: MadeUp) -> None:
    folder = made_up(tests=25)
    kept = json.loads((folder / "exhibits.json").read_text())
    del kept["tear_sheets"]
    (folder / "exhibits.json").write_text(json.dumps(kept))
    said, html = pages(folder)
    assert "Not drawn: there is no finalist whose trades are kept." in text_of(html)
    assert "buy and hold" not in said


def test_paper_is_no_phone(made_up: MadeUp) -> None:
    """A sheet is narrower than the widest phone's rules reach: drawings for a phone would fill it, one by one."""
    _, page = pages(made_up())
    assert "max-width: 760px" in page
    assert "@media (max-width" not in page


def test_every_reason_of_an_exit_has_words() -> None:
    assert set(get_args(ExitReason)) <= set(sheets.KINDS)

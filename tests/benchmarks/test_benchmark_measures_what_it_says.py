"""The benchmark's own promises: the same bars everywhere, the same trades, a fair turn for everyone. Never a time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest


def test_everyone_trades_the_same_bars(tmp_path: Path) -> None:
    from measuring import market

    columns = market.make(4_320, 7)
    again = market.make(4_320, 7)
    assert all((a == b).all() for a, b in zip(columns, again, strict=True))
    prices = b"".join(column.tobytes() for column in columns[1:5])
    assert hashlib.sha256(prices).hexdigest()[:16] == "d83871411d3a433a"
    assert (columns.open[1:] == columns.close[:-1]).all()
    assert (columns.high >= columns.open).all()
    assert (columns.low <= columns.close).all()
    assert (columns.taker_buy_volume <= columns.volume).all()


def test_our_worker_makes_the_trades_that_other_engines_make(benchmarks: Path, tmp_path: Path) -> None:
    import sys

    from cases.backtest_against_peers import EXPECTED
    from measuring.market import MICRO, kept
    from measuring.workers import Worker

    with Worker("maestro_reference.py", Path(sys.executable), tmp_path / "log") as worker:
        worker.ask("load", name=MICRO, path=str(kept(tmp_path, MICRO)))
        told = worker.ask("one", name=MICRO)
    assert (told["trades"], round(told["pnl"], 2)) == EXPECTED


def test_a_worker_that_fails_says_why(tmp_path: Path) -> None:
    import sys

    from measuring.workers import Worker, WorkerFailed

    with Worker("maestro_reference.py", Path(sys.executable), tmp_path / "log") as worker:
        with pytest.raises(WorkerFailed, match="KeyError: 'nowhere'"):
            worker.ask("one", name="nowhere")
        with pytest.raises(WorkerFailed, match="KeyError: 'dance'"):
            worker.ask("dance")
    with (
        Worker("there_is_no_such_worker.py", Path(sys.executable), tmp_path / "log") as worker,
        pytest.raises(WorkerFailed, match="there_is_no_such_worker"),
    ):
        worker.ask("one")


def test_contestants_take_turns() -> None:
    from measuring.samples import Sample, interleaved

    order: list[str] = []

    def taker(name: str, wall: float) -> Any:
        def take() -> Sample:
            order.append(name)
            return Sample(wall * len(order), 0.5)

        return take

    samples = interleaved({"a": taker("a", 1.0), "b": taker("b", 2.0)}, 3)
    assert order == ["a", "b"] * 3
    assert samples["a"].wall == 3.0
    assert samples["a"].span == (1.0, 5.0)
    assert samples["b"].times(0.5).wall == 4.0


def test_every_module_of_cases_is_a_case() -> None:
    import run

    known = run.known()
    assert {"backtest_against_peers", "backtest_kernel", "campaign_process", "agent_turn"} <= set(known)
    for name, case in known.items():
        assert case.TITLE, name
        assert callable(case.measure), name


def test_a_case_that_breaks_is_a_row_and_the_run_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import run
    from measuring.results import Row, most

    class Broken:
        TITLE = "A case"

        @staticmethod
        def measure(_bench: Any) -> Any:
            yield Row("met", 1.0, "s", most(2.0))
            yield Row("not met", 3.0, "s", most(2.0))
            raise AssertionError("trades differ")

    class Fine:
        TITLE = "Another"

        @staticmethod
        def measure(_bench: Any) -> Any:
            yield Row("counted", 12_345.6, "things/s")

    monkeypatch.setattr(run, "known", lambda: {"broken": Broken, "fine": Fine})
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(run, "ROOT", tmp_path)
    assert run.main([]) == 1
    assert run.main(["--only", "fine"]) == 0
    assert run.main(["--only", "broken"]) == 1
    text = (tmp_path / "results" / "latest.md").read_text(encoding="utf-8")
    assert "| met | 1 s | <= 2 s | yes |" in text
    assert "| not met | 3 s | <= 2 s | NO |" in text
    assert "AssertionError: trades differ" in text
    told = json.loads((tmp_path / "results" / "latest.json").read_text(encoding="utf-8"))
    assert [row["met"] for row in told["cases"][0]["rows"]] == [True, False, None]


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.0000229, "s", "22.9 us"),
        (0.0041, "s", "4.1 ms"),
        (3.4, "s", "3.4 s"),
        (None, "s", "-"),
        (65_384.2, "backtests/s", "65,384 backtests/s"),
        (184.4, "x", "184x"),
        (14.21, "%", "14.2%"),
    ],
)
def test_figures_are_shown_in_the_unit_that_reads_best(value: float | None, unit: str, shown: str) -> None:
    from measuring.table import figure

    assert figure(value, unit) == shown


def test_pins_name_every_package_that_a_comparison_needs() -> None:
    from cases.backtest_against_peers import PEERS
    from measuring.peers import Peers, pins

    wanted = {package for peer in PEERS for package in peer.packages}
    wanted |= {"langgraph", "langgraph-checkpoint-sqlite", "autogen-core"}
    assert wanted <= set(pins())
    peers = Peers(Path("nowhere"), {"raptorbt": "no wheel for this machine"})
    assert peers.why_not("vectorbt", "raptorbt") == "raptorbt: no wheel for this machine"
    assert peers.why_not("vectorbt") is None

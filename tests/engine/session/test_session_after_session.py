"""A paper account goes on from session to session on one source; simulations and replays each begin anew."""

from __future__ import annotations

from maestro_engine.feeds.clock import VirtualClock
from maestro_engine.session.places import find_run, runs_in
from maestro_engine.session.safety.controls import KILL_FILE


def later(lab, hours: float = 1.0) -> None:
    lab.clock, lab.on_line = VirtualClock(lab.told[-1]["ts"] + round(hours * 3_600_000)), None
    lab.told.clear()


async def test_the_next_session_has_what_the_last_one_left(lab):
    first = await lab.run(lab.config(10.0, source="binance"))
    later(lab)
    second = await lab.run(lab.config(10.0, source="binance"))
    assert first.net_pnl != 0
    assert second.starting_equity == first.ending_equity
    assert [run.name for run in runs_in(lab.root, "paper")] == ["s0001-binance-btcusdt", "s0002-binance-btcusdt"]
    assert find_run(lab.root, "last").number == 2


async def test_a_simulation_starts_anew(lab):
    first = await lab.run(lab.config(10.0))
    later(lab)
    assert (await lab.run(lab.config(10.0))).starting_equity == first.starting_equity


async def test_a_breaker_that_tripped_stays_tripped_in_the_next_session(lab):
    config = lab.config(20.0, source="binance", limits={"max_drawdown_fraction": "0.0001"})
    assert (await lab.run(config)).breakers == ("drawdown",)
    later(lab)
    second = await lab.run(config)
    assert second.breakers == ("drawdown",)
    assert (second.status, second.exit_code) == ("held_back", 3), "a day without any entry is not completed"
    assert second.orders == 0
    assert {line["reason"] for line in lab.events("OrderRejected")} == {"drawdown"}


async def test_errors_are_counted_anew(lab):
    def fail(event):
        if len(lab.events("ExecutionFill")) >= 1:
            raise RuntimeError("a defect")

    lab.tamper = fail
    assert (await lab.run(lab.config(10.0, source="binance"))).error_count == 1
    later(lab)
    lab.tamper = None
    assert (await lab.run(lab.config(3.0, source="binance"))).error_count == 0


async def test_a_kill_is_over_when_its_source_is_cleared(lab):
    lab.when("ExecutionFill", (lab.root / KILL_FILE).touch)
    assert (await lab.run(lab.config(10.0, source="binance"))).reason == "kill_switch:file"
    (lab.root / KILL_FILE).unlink()
    later(lab)
    second = await lab.run(lab.config(10.0, source="binance"))
    assert (second.reason, second.rejects) == ("duration", 0)
    assert second.trades > 0

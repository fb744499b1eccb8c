"""Looks at sealed bars: counted by what the bars are, decided in the transaction, and the same look again is none."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro.store.opening import open_store
from maestro.store.repository import SqlStore
from maestro_engine.data.bars import UNKNOWN_SYMBOL, Bars
from maestro_engine.data.digest import sealed
from maestro_engine.data.fingerprints import market_key, sealed_bars
from maestro_engine.data.resample import resample
from maestro_engine.data.simulators.regimes import simulate_bars
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import LooksOvertaken
from maestro_protocol.messages.campaign import HoldoutOpened
from maestro_protocol.messages.rules import OpeningPolicy
from maestro_protocol.messages.sealed import Claim, Looks, SealedBars

PROGRAM = Path(__file__).with_name("racing_looker.py")
RELEASE = Path(__file__).parents[1] / "releases" / "0.1.0" / "runs.tar.gz"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
DAYS = 12
FROM_DAY, TO_DAY = 4, 9
"""What was opened of the bars that every example is made of."""


def recorded(seed: int = 1, symbol: str = "BTCUSDT") -> Bars:
    """Minute bars that look recorded: a symbol, prices and volumes of a few decimals."""
    bars = simulate_bars("mixed", seed, DAYS * 1_440, step_ms=60_000)
    rounded = {name: np.round(getattr(bars, name), 2) for name in ("open", "high", "low", "close")}
    return sealed(
        dataclasses.replace(bars, symbol=symbol, simulated=False, volume=np.round(bars.volume, 3), **rounded)
    )


MINUTES = recorded()
BEGINS = int(MINUTES.open_time[0])


def part(bars: Bars, first_day: float, last_day: float) -> SealedBars:
    """*bars* as sealed from one day to another, both counted from where the minutes begin."""
    since, until = (BEGINS + round(day * 24) * HOUR_MS for day in (first_day, last_day))
    first, end = (int(np.searchsorted(bars.open_time, moment)) for moment in (since, until))
    return sealed_bars(bars, first, end)


def named(bars: Bars, symbol: str) -> Bars:
    return dataclasses.replace(bars, symbol=symbol)


async def take(
    store: SqlStore, bars: SealedBars, look: str, campaign: str = "c1", seq: int = 1, make: Any = None
) -> int:
    """Open *bars*; the number of earlier looks."""
    earlier = (await store.openings.looks(bars, look)).earlier
    body = HoldoutOpened(finalists=("seg1",), opening=1, first_bar=0, bars=1, earlier=earlier)
    await store.commit(campaign, [make.envelope(seq, body, campaign)], opened=Claim(bars, look, earlier))
    return earlier


async def test_each_look_counts_once_and_the_same_look_again_is_none(store: SqlStore, make: Any) -> None:
    bars = part(MINUTES, FROM_DAY, TO_DAY)
    assert [await take(store, bars, look, look, 1, make) for look in ("a", "b", "c")] == [0, 1, 2]
    assert await take(store, bars, "b", "b-r2", 1, make) == 1
    assert await take(store, bars, "d", "d", 1, make) == 3
    assert await store.openings.looks(bars, "new") == Looks(4, 5)
    assert await store.openings.looks(part(MINUTES, 0, FROM_DAY), "new") == Looks(0, 0)


async def test_a_count_that_no_longer_holds_opens_nothing(store: SqlStore, make: Any) -> None:
    bars = part(MINUTES, FROM_DAY, TO_DAY)
    await take(store, bars, "a", "c1", 1, make)
    body = HoldoutOpened(finalists=("seg1",), opening=1, first_bar=0, bars=1, earlier=0)
    with pytest.raises(LooksOvertaken):
        await store.commit("c2", [make.envelope(1, body, "c2")], opened=Claim(bars, "b", 0))
    assert await store.records("c2") == []
    assert await store.openings.looks(bars, "b") == Looks(1, 5)
    await store.commit("c2", [make.envelope(1, body, "c2")], opened=Claim(bars, "b", None))  # nobody counted
    assert await store.openings.looks(bars, "c") == Looks(2, 5)


async def test_an_opening_that_is_not_written_is_none(store: SqlStore, make: Any) -> None:
    bars = part(MINUTES, FROM_DAY, TO_DAY)
    with pytest.raises(Exception, match="does not follow"):
        await take(store, bars, "a", "c1", 7, make)
    assert await store.openings.looks(bars, "a") == Looks(0, 0)


async def test_a_chain_of_longer_files_pays_day_by_day(store: SqlStore, make: Any) -> None:
    """Each file holds two days more; no day is looked at more often than the files that show it."""
    found = [await take(store, part(MINUTES, day, day + 4), f"{day}", f"c{day}", 1, make) for day in (0, 2, 4, 6, 8)]
    assert found == [0, 1, 1, 1, 1]


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> SqlStore:
    """A store in which the minutes were looked at once, by their name and by what they are."""

    async def made() -> SqlStore:
        store = await open_store(f"sqlite:///{tmp_path_factory.mktemp('looked')}/maestro.db")
        body = HoldoutOpened(finalists=("seg1",), opening=1, first_bar=0, bars=1)
        said = Envelope(id="m1", seq=1, time=1, campaign="c1", sender="control", topic="campaign", body=body)
        await store.commit("c1", [said], opened=Claim(part(MINUTES, FROM_DAY, TO_DAY), "first", None))
        return store

    return asyncio.run(made())


changed = st.fixed_dictionaries(
    {
        "first": st.integers(0, (DAYS - 1) * 24),
        "hours": st.integers(24, DAYS * 24),
        "step": st.sampled_from([60_000, 300_000, 900_000, HOUR_MS, 4 * HOUR_MS, DAY_MS]),
        "symbol": st.sampled_from(["BTCUSDT", "BTC-USDT-PERP", "btc_usdt", "RENAMED", UNKNOWN_SYMBOL]),
        "cut": st.booleans(),
        "single": st.booleans(),
        "moved_hours": st.sampled_from([0, 0, 1, -5, 24]),
    }
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(how=changed)
def test_the_same_bars_are_known_again(looked: SqlStore, how: dict[str, Any]) -> None:
    """Extended, cut, resampled, renamed, in single precision, in another time zone: days that were seen were seen."""
    first, last = how["first"] / 24, min(DAYS, (how["first"] + how["hours"]) / 24)
    long = how["step"] > HOUR_MS
    if long:
        first, last = float(int(first)), float(int(last))
    if last - first < 1:
        return
    bars = resample(MINUTES, how["step"])
    if how["single"] and not long:  # of a whole day's five numbers one is often rounded the other way
        names = ("open", "high", "low", "close", "volume")
        bars = dataclasses.replace(bars, **{n: getattr(bars, n).astype(np.float32).astype(np.float64) for n in names})
    if how["cut"]:
        begin = int(np.searchsorted(bars.open_time, BEGINS + int(first * 24) * HOUR_MS))
        bars = bars.slice(begin, len(bars))
    shown = part(named(bars, how["symbol"]), first, last)
    overlap = min(last, TO_DAY) - max(first, FROM_DAY)
    known = market_key(how["symbol"], "", simulated=False) == "BTCUSDT"
    if not known and how["moved_hours"] and not (long and how["moved_hours"] % 24):
        moved = dataclasses.replace(bars, open_time=bars.open_time + how["moved_hours"] * HOUR_MS)
        since = how["moved_hours"] / 24
        shown = part(named(moved, how["symbol"]), first + since, last + since)
    found = asyncio.run(looked.openings.looks(shown, "another"))
    if overlap <= 0:
        assert found == Looks(0, 0)
    elif known or overlap >= 2:  # of less than two days in a row not one need be whole
        assert found.earlier == 1
        assert overlap - 2 <= found.seen <= overlap + 2
    else:
        assert found.earlier <= 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(2, 10_000), step=st.sampled_from([60_000, HOUR_MS, DAY_MS]))
def test_other_bars_are_others(looked: SqlStore, seed: int, step: int) -> None:
    """Of another market at the same time, and of the same one at another."""
    other = resample(recorded(seed, "RENAMED"), step)
    assert asyncio.run(looked.openings.looks(part(other, 0, DAYS), "another")) == Looks(0, 0)
    later = dataclasses.replace(other, symbol="BTCUSDT", open_time=other.open_time + DAYS * DAY_MS)
    assert asyncio.run(looked.openings.looks(part(later, DAYS, 2 * DAYS), "another")) == Looks(0, 0)


def test_a_price_that_stands_still_is_no_mark() -> None:
    flat = np.full(2_880, 1.0)
    still = dataclasses.replace(MINUTES.slice(0, 2_880), open=flat, high=flat, low=flat, close=flat)
    assert {(day.whole, day.hours) for day in sealed_bars(still, 0, 2_880).days} == {(None, ())}


def test_simulated_markets_are_told_apart_by_what_made_them() -> None:
    one, other = (simulate_bars("mixed", seed, 3 * 288, step_ms=300_000) for seed in (1, 2))
    assert sealed_bars(one, 0, 288).market != sealed_bars(other, 0, 288).market
    days = [{day.whole for day in sealed_bars(bars, 0, 3 * 288).days} for bars in (one, other)]
    assert days[0].isdisjoint(days[1])


@given(alpha=st.floats(0.001, 0.2), spends=st.floats(0.05, 0.95), looks=st.integers(1, 200), ask=st.integers(1, 10))
def test_all_looks_together_spend_no_more_than_there_is(alpha: float, spends: float, looks: int, ask: int) -> None:
    policy = OpeningPolicy(version=1, alpha=alpha, spends=spends, ask_from=ask)
    levels = [policy.alpha_of(look) for look in range(1, looks + 1)]
    assert levels == sorted(levels, reverse=True)
    assert min(levels) > 0
    assert sum(levels) <= alpha * (1 + 1e-5)


def _pipes(racer: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert racer.stdin is not None
    assert racer.stdout is not None
    return racer.stdin, racer.stdout


def test_of_two_processes_that_open_the_same_bars_at_once_one_is_the_first(store_url: str) -> None:
    async def made() -> None:
        await (await open_store(store_url)).close()

    asyncio.run(made())
    racers = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), store_url, campaign],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for campaign in ("c1", "c2")
    ]
    pipes = [_pipes(racer) for racer in racers]
    assert [said.readline() for _, said in pipes] == ["ready\n", "ready\n"]
    for day in range(60):
        for told, _ in pipes:
            told.write(f"{day}\n")
            told.flush()
        assert sorted(said.readline() for _, said in pipes) == ["0\n", "1\n"]
    for racer in racers:
        racer.communicate(timeout=60)
        assert racer.returncode == 0


async def test_looks_of_before_they_were_counted_count(tmp_path: Path) -> None:
    """The database of 0.1.0 has two campaigns that opened their sealed part."""
    with tarfile.open(RELEASE) as archive:
        archive.extract("runs/maestro.db", tmp_path, filter="data")
    store = await open_store(f"sqlite:///{tmp_path}/runs/maestro.db")
    query = "SELECT campaign, market, first_ms, end_ms FROM openings ORDER BY number"
    rows = await store.database.read(lambda connection: connection.rows(query))
    assert rows
    for campaign, market, first_ms, end_ms in rows:
        (config,) = await store.records(campaign, types=["CampaignConfig"])
        data: Any = config.envelope().body.data  # type: ignore[union-attr]
        assert market == market_key(data.symbol, data.source, data.simulated)
        assert data.first_ms < first_ms < end_ms
        assert end_ms - data.last_ms == (data.last_ms - data.first_ms) // (data.bars - 1)
        seen = await store.openings.looks(SealedBars(market, first_ms, end_ms, part(MINUTES, 0, 0.5).days), "new")
        assert seen.earlier <= len(rows)
    await store.close()

"""The pure parts of the feeds: order, chains, pacing, witnesses, time."""

from __future__ import annotations

import gzip
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.feeds.binance.depth import DepthChain
from maestro_engine.feeds.binance.wire import DepthWire
from maestro_engine.feeds.book import DepthBook
from maestro_engine.feeds.candles import CandleMaker, fold
from maestro_engine.feeds.clock import ReceiveStamps, SuppliedClock, VirtualClock
from maestro_engine.feeds.live.backoff import Backoff, ReconnectPolicy
from maestro_engine.feeds.live.connection import LineSpec
from maestro_engine.feeds.live.timesync import TimeGuard, TimeSample, best_offset_ms
from maestro_engine.feeds.live.watchdog import StreamWatchdog, WatchLimits
from maestro_engine.feeds.port import Counters, DepthUpdate, Kline, TradeTick, interval_ms
from maestro_engine.feeds.recording import Recorder, Recording
from maestro_engine.feeds.sequence import PATIENCE, POISONED, HighWater, KlineOrder, TradeIds
from maestro_protocol.errors import ConfigError, DataError, ParameterError

S = 1_000_000_000


def kline(open_ms: int, *, closed: bool = True, time_ms: int | None = None, close: float = 10.0) -> Kline:
    return Kline(
        symbol="BTCUSDT",
        time_ms=open_ms + 60_000 if time_ms is None else time_ms,
        local_ns=0,
        interval="1m",
        open_ms=open_ms,
        close_ms=open_ms + 59_999,
        open=10.0,
        high=max(10.0, close),
        low=min(10.0, close),
        close=close,
        volume=1.0,
        quote_volume=10.0,
        trades=1,
        taker_buy_volume=0.5,
        closed=closed,
    )


class TestTradeIds:
    @given(st.permutations(range(100, 140)), st.lists(st.integers(100, 139), max_size=30))
    def test_every_id_passes_once_in_whatever_order(self, order, again):
        ids = TradeIds()
        ids.take(99)
        passed = [i for i in [*order, *again] if ids.take(i)[0] != "double"]
        assert sorted(passed) == list(range(100, 140))

    def test_ids_that_never_come_are_told_once_with_their_number(self):
        ids = TradeIds()
        gaps = [ids.take(i)[1] for i in [1, 2, 6, *range(7, 7 + PATIENCE * 2)]]
        told = [gap for gap in gaps if gap is not None]
        assert [(gap.missing, gap.before, gap.after) for gap in told] == [(3, 2, 6)]

    def test_one_absurd_id_does_not_deafen_for_good(self):
        water = HighWater()
        assert water.passes(10)
        assert water.passes(10**15)
        passed = [n for n in range(11, 11 + 2 * POISONED) if water.passes(n)]
        assert passed[0] == 11 + POISONED
        assert len(passed) == POISONED


class TestKlineOrder:
    @given(st.permutations(range(8)), st.lists(st.integers(0, 7), max_size=5))
    def test_closed_candles_come_once_in_order_without_holes_when_rest_has_them(self, order, again):
        counters = Counters()
        candles = KlineOrder("1m", counters, last_open_ms=-60_000)
        out: list[Kline] = []
        for minute in [*order, *again]:
            ready, gap = candles.take(kline(minute * 60_000))
            out += ready
            if gap is not None:
                assert gap.missing == (gap.after - gap.before) // 60_000 - 1
                rows = [kline(at) for at in range(gap.before + 60_000, gap.after, 60_000)]
                out += candles.fill(reversed(rows))
        assert [k.open_ms for k in out] == [60_000 * i for i in range(8)]

    def test_a_gap_rest_cannot_fill_does_not_stop_the_candles(self):
        order = KlineOrder("1m", Counters(), last_open_ms=0)
        ready, gap = order.take(kline(300_000))
        assert (ready, gap.missing) == ([], 4)
        assert order.take(kline(360_000)) == ([], None)
        assert [k.open_ms for k in order.fill([kline(60_000)])] == [60_000, 300_000, 360_000]

    def test_an_older_update_of_the_forming_candle_is_left_out(self):
        counters = Counters()
        order = KlineOrder("1m", counters)
        assert order.take(kline(0, closed=False, time_ms=20_000))[0]
        assert order.take(kline(0, closed=False, time_ms=10_000)) == ([], None)
        assert counters.late == 1


def depth(first: int, last: int, previous: int | None = None) -> DepthWire:
    return DepthWire("BTCUSDT", 1_700_000_000_000, first, last, (), (), previous)


class TestDepthChain:
    def test_spot_starts_at_the_update_that_spans_the_snapshot(self):
        chain = DepthChain()
        for update in (depth(1, 5), depth(6, 10), depth(11, 15)):
            assert chain.take(update) == ([], None)
        assert [u.last_id for u in chain.anchor(7)] == [10, 15]
        assert [u.last_id for u in chain.take(depth(16, 20))[0]] == [20]
        assert chain.take(depth(16, 20)) == ([], None), "a double is dropped"
        updates, gap = chain.take(depth(25, 30))
        assert (updates, gap.missing, gap.before, gap.after) == ([], 4, 20, 25)
        assert chain.waiting

    def test_usdm_chains_by_the_previous_id(self):
        chain = DepthChain()
        for update in (depth(10, 20, 5), depth(23, 30, 20), depth(35, 40, 30)):
            chain.take(update)
        assert [u.last_id for u in chain.anchor(25)] == [30, 40]
        assert chain.take(depth(50, 60, 40))[1] is None
        assert chain.take(depth(70, 80, 61))[1] is not None

    def test_a_snapshot_older_than_everything_held_is_no_start(self):
        chain = DepthChain()
        chain.take(depth(100, 110))
        assert chain.anchor(50) is None
        assert chain.waiting

    @given(st.permutations(range(6)), st.integers(0, 30))
    def test_held_updates_join_in_any_order(self, order, snapshot_id):
        updates = [depth(i * 5 + 1, i * 5 + 5) for i in range(6)]
        chain = DepthChain()
        for i in order:
            chain.take(updates[i])
        joined = chain.anchor(snapshot_id)
        assert [u.last_id for u in joined] == [u.last_id for u in updates if u.last_id > snapshot_id]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 30), st.sampled_from([0.0, 1.0, 2.5])), min_size=1, max_size=80)
)
def test_book_best_is_the_extreme_of_what_rests(changes):
    book, bids, asks = DepthBook(), {}, {}
    for number, (is_bid, price, qty) in enumerate(changes):
        level = ((float(price), qty),)
        book.apply(DepthUpdate("X", 0, 0, number, number, level if is_bid else (), () if is_bid else level))
        side = bids if is_bid else asks
        side[float(price)] = qty
        alive = {p: q for p, q in side.items() if q}
        best = (book.bid if is_bid else book.ask)()
        assert best == (((max if is_bid else min)(alive.items())) if alive else None)
    assert book.bids(3) == sorted(((p, q) for p, q in bids.items() if q), reverse=True)[:3]
    assert book.asks(3) == sorted((p, q) for p, q in asks.items() if q)[:3]


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 500), st.booleans()), min_size=1, max_size=60))
def test_candles_keep_every_trade_and_leave_no_minute_out(steps):
    maker, closed, now = CandleMaker("X", "1m"), [], 1_700_000_000_000
    trades = []
    for number, (wait, price, sold) in enumerate(steps):
        now += wait
        trades.append(TradeTick("X", now, 0, number, price / 10, 0.001 * (number + 1), sold))
        closed += maker.take(trades[-1])
    closed += maker.close_until(now + 60_000, 0)
    assert [b.open_ms - a.open_ms for a, b in pairwise(closed)] == [60_000] * (len(closed) - 1)
    assert sum(k.trades for k in closed) == len(trades)
    assert sum(k.volume for k in closed) == pytest.approx(sum(t.qty for t in trades))
    for a, b in pairwise(closed):
        assert b.trades or b.open == b.close == a.close, "an empty minute is flat at the last price"
    five = fold(closed, "5m")
    assert sum(k.trades for k in five) == len(trades)
    assert all(k.low <= min(k.open, k.close) and max(k.open, k.close) <= k.high for k in five)


class TestBackoff:
    def delays(self, policy: ReconnectPolicy, count: int) -> list[float]:
        backoff = Backoff(policy, np.random.default_rng(1), 0)
        return [backoff.delay_s(0) for _ in range(count)]

    def test_delays_double_up_to_the_longest_each_drawn_from_its_upper_half(self):
        delays = self.delays(ReconnectPolicy(first_s=1, longest_s=16), 8)
        for delay, whole in zip(delays, [1, 2, 4, 8, 16, 16, 16, 16], strict=True):
            assert whole / 2 <= delay <= whole
        assert delays == self.delays(ReconnectPolicy(first_s=1, longest_s=16), 8), "same seed, same delays"

    def test_an_exchange_that_accepts_and_drops_at_once_is_paced_like_a_dead_one(self):
        backoff = Backoff(ReconnectPolicy(), np.random.default_rng(1), 0)
        delays, now = [], 0
        for _ in range(8):
            opened = now
            backoff.heard(now + S // 100)  # one frame, then gone
            now += S // 50
            backoff.closed(opened)
            delay = backoff.delay_s(now)
            delays.append(delay)
            now += round(delay * S)
        assert delays[-1] >= 15, "not thousands of connections"

    def test_delays_start_over_after_a_connection_that_lasted(self):
        backoff = Backoff(ReconnectPolicy(), np.random.default_rng(1), 0)
        for _ in range(6):
            backoff.delay_s(0)
        backoff.heard(100 * S)
        backoff.closed(opened_ns=0)
        assert backoff.delay_s(100 * S) <= 0.5

    def test_patience_outlasts_ten_minutes_and_then_ends(self):
        with pytest.raises(ParameterError, match="600"):
            ReconnectPolicy(patience_s=599)
        backoff = Backoff(ReconnectPolicy(patience_s=600), np.random.default_rng(1), 0)
        assert backoff.delay_s(600 * S) is not None
        assert backoff.delay_s(601 * S) is None


class TestWatchdog:
    LIMITS = WatchLimits(stale_s=5, ping_s=5, pong_s=10, grace_s=1, ask_again_s=5)

    def dog(self) -> StreamWatchdog:
        return StreamWatchdog(("trade", "depth"), self.LIMITS, 0)

    def test_frames_keep_a_stream_live(self):
        dog = self.dog()
        dog.frame("trade", 4 * S)
        assert dog.verdict("trade", 8 * S) == "live"
        assert dog.verdict("depth", 8 * S) == "stale", "each stream for itself"

    def test_silence_while_rest_agrees_is_quiet(self):
        dog = self.dog()
        assert dog.questions(4 * S) == []
        assert dog.questions(5 * S) == ["trade", "depth"]
        assert dog.questions(6 * S) == [], "asked once"
        dog.answered("trade", False, 6 * S)
        assert dog.verdict("trade", 60 * S) == "quiet"
        assert dog.questions(10 * S) == ["trade", "depth"], "and again later"

    def test_silence_while_rest_moves_on_is_frozen_after_the_grace(self):
        dog = self.dog()
        dog.questions(5 * S)
        dog.answered("depth", True, 6 * S)
        assert dog.verdict("depth", 6 * S + S // 2) == "stale", "a frame may be on its way"
        assert dog.verdict("depth", 7 * S) == "frozen"

    def test_a_frame_on_its_way_acquits(self):
        dog = self.dog()
        dog.questions(5 * S)
        dog.frame("depth", 6 * S)
        dog.answered("depth", True, 6 * S + 1)
        assert dog.verdict("depth", 8 * S) == "live"
        assert dog.verdict("depth", 12 * S) == "stale", "the old testimony is forgotten"

    def test_a_ping_without_an_answer_is_dead(self):
        dog = self.dog()
        assert not dog.ping_due(4 * S)
        assert dog.ping_due(5 * S)
        dog.pinged(5 * S)
        assert not dog.ping_due(20 * S), "one at a time"
        assert dog.verdict("trade", 14 * S) == "stale"
        assert dog.verdict("trade", 15 * S) == "dead"
        dog.ponged(0)
        assert dog.verdict("trade", 15 * S) == "stale"

    def test_without_rest_nobody_can_tell(self):
        dog = self.dog()
        dog.questions(5 * S)
        dog.answered("trade", None, 6 * S)
        assert dog.verdict("trade", 60 * S) == "stale"


class TestTime:
    @given(st.floats(-1e12, 1e12), st.floats(0, 500), st.floats(0, 500))
    def test_offset_is_right_within_half_the_round_trip(self, offset, there, back):
        sent = 1_700_000_000 * S
        arrived_ms = sent / 1e6 + there
        sample = TimeSample(sent, sent + round((there + back) * 1e6), round(arrived_ms + offset))
        assert abs(sample.offset_ms - offset) <= (there + back) / 2 + 1

    def test_the_quickest_answer_counts(self):
        slow = TimeSample(0, 400_000_000, 5_000)
        quick = TimeSample(0, 10_000_000, 1_005)
        assert best_offset_ms([slow, quick]) == 1_000

    def test_insane_stamps_are_refused_and_many_doubt_the_offset(self):
        guard = TimeGuard()
        assert not guard.sane(5, 10**18), "nothing is known yet, and no single stamp is believed against the clock"
        assert guard.sane(10**12, 10**18)
        guard.set(0.0)
        assert guard.sane(60_000, 0)
        assert not guard.wants_sync()
        for _ in range(20):
            assert not guard.sane(60_001, 0)
        assert guard.wants_sync()
        assert not guard.wants_sync(), "told once"

    def test_receive_stamps_do_not_follow_a_wall_clock_that_jumps(self):
        wall, monotonic = [1_700_000_000 * S], [5 * S]
        clock = SuppliedClock(lambda: wall[0], lambda: monotonic[0])
        stamps = ReceiveStamps(clock)
        wall[0] += 3_600 * S
        monotonic[0] += 2 * S
        assert stamps.now_ns() == 1_700_000_002 * S
        assert clock.now_ms() == 1_700_003_600_000

    async def test_virtual_time_wakes_sleepers_in_order(self):
        import asyncio

        clock, woken = VirtualClock(1_000), []

        async def sleeper(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append((name, clock.now_ms()))

        await asyncio.gather(sleeper("late", 30), sleeper("soon", 1), sleeper("soon too", 1))
        assert woken == [("soon", 2_000), ("soon too", 2_000), ("late", 31_000)]

    @pytest.mark.parametrize(
        ("text", "ms"), [("1s", 1_000), ("15m", 900_000), ("4h", 14_400_000), ("1d", 86_400_000)]
    )
    def test_intervals(self, text, ms):
        assert interval_ms(text) == ms

    @pytest.mark.parametrize("text", ["", "m", "0m", "1M", "-1m", "1.5m", "²m", "99999m"])
    def test_intervals_that_are_none(self, text):
        with pytest.raises(ParameterError, match="interval"):
            interval_ms(text)


class TestRecorder:
    def lines(self, count: int) -> list[tuple[int, bytes]]:
        return [(1_700_000_000 * S + i * S // 10, b'{"stream":"x@trade","data":{"n":%d}}' % i) for i in range(count)]

    def test_lines_come_back_as_they_went_in_over_many_files(self, tmp_path):
        recorder = Recorder(tmp_path / "new", "run", rotate_bytes=500)
        for line in self.lines(500):
            recorder(*line)
        recorder.close()
        assert len(recorder.paths) > 3
        assert list(Recording(tmp_path / "new").lines()) == self.lines(500)
        assert recorder.paths[0].name == "run_20231114T221320_000.ws.gz"

    def test_a_killed_recorder_loses_only_its_last_second(self, tmp_path):
        recorder = Recorder(tmp_path, "run", flush_s=1.0)
        for line in self.lines(500):
            recorder(*line)
        # killed here: never closed
        assert list(Recording(tmp_path).lines()) == self.lines(500)[: 500 // 11 * 11]

    @given(st.integers(1, 2_000))
    def test_a_file_cut_anywhere_gives_a_beginning_of_the_lines(self, cut):
        import tempfile
        from pathlib import Path

        with tempfile.TemporaryDirectory() as folder:
            recorder = Recorder(Path(folder), "run")
            for line in self.lines(300):
                recorder(*line)
            recorder.close()
            whole = recorder.paths[0].read_bytes()
            recorder.paths[0].write_bytes(whole[: -min(cut, len(whole) - 2)])
            found = list(Recording(Path(folder)).lines())
            assert found == self.lines(300)[: len(found)]
            assert len(found) >= 300 - 11 * (cut // 60 + 2)

    def test_a_second_recorder_starts_its_own_file(self, tmp_path):
        for _ in range(2):
            recorder = Recorder(tmp_path, "run")
            recorder(*self.lines(1)[0])
            recorder.close()
        assert sorted(p.name[-10:] for p in tmp_path.iterdir()) == ["_000.ws.gz", "_001.ws.gz"]

    def test_a_file_that_is_no_recording_names_file_and_line(self, tmp_path):
        path = tmp_path / "x.ws.gz"
        path.write_bytes(gzip.compress(b"17 {}\nhello world\n"))
        with pytest.raises(DataError, match=r"x\.ws\.gz, line 2"):
            list(Recording(path).lines())
        with pytest.raises(DataError, match="no recording"):
            Recording(tmp_path / "absent.ws.gz")


def test_addresses_that_are_none_are_refused_at_once():
    with pytest.raises(ConfigError, match="ws://"):
        LineSpec("https://example.com", ())

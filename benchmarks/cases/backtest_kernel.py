"""backtest_kernel owns the product's own kernel: methods, gates, exits, slippage, with trades and scores recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np

from maestro_engine import methods as registry
from maestro_engine.backtest import BarWindow, BatchResult, FillCosts, TestSpec, simulate_batch
from maestro_engine.data.bars import Bars
from maestro_protocol.messages.campaign import DEFAULT_METHODS
from maestro_protocol.space import ParameterSpec, Value
from measuring.bench import Bench
from measuring.market import MEGA, MICRO, STEP_MS, Columns
from measuring.results import Row, duration, least, most, rate
from measuring.samples import Sample, Samples, interleaved, timed

TITLE = "The product's kernel"

WARMUP = 300
COSTS = FillCosts(taker_bps=5.0, maker_bps=2.0, slippage_bps=1.0)
TESTS = 2_000
SETTINGS = 24
"""Settings of the methods that a campaign's tests share while they differ in exits and gates."""
BARS = (4_320, 43_200, 432_000, 1_000_000)
COUNTS = (500, 5_000, 50_000)
EXITS_AND_GATES = ("atr_stop_mult", "hard_tp_usd", "timeout_bars", "imb_min", "atr_z_min", "vhf_min")
GATES = ("gate_cvd", "gate_imb", "gate_atrz", "gate_vhf")


def load(path: Path) -> Bars:
    """A seeded set in a file as the engine's bars."""
    with np.load(path) as file:
        columns = Columns(*(np.ascontiguousarray(file[field]) for field in Columns._fields))
    return Bars(
        symbol="BENCH",
        step_ms=STEP_MS,
        open_time=columns.open_ms,
        open=columns.open,
        high=columns.high,
        low=columns.low,
        close=columns.close,
        volume=columns.volume,
        taker_buy_volume=columns.taker_buy_volume,
    )


def specs(count: int, bars: int, settings: int, seed: int = 5) -> list[TestSpec]:
    """*count* tests on one window of *bars* bars, with *settings* different settings of methods and their lengths."""
    rng = np.random.default_rng(seed)
    names = DEFAULT_METHODS
    sets = [chosen for size in range(1, len(names) + 1) for chosen in combinations(names, size)]
    window = BarWindow(0, WARMUP, bars * 2 // 3, bars * 4 // 5, bars)
    spoken = [_spoken(sets[at % len(sets)], rng) for at in range(settings)]
    exits = [spec for spec in registry.COMMON if spec.name in EXITS_AND_GATES]
    tests: list[TestSpec] = []
    for at in range(count):
        methods, own = spoken[at % settings]
        values: dict[str, Value] = {spec.name: _some(spec, rng) for spec in exits}
        values |= {gate: bool(on) for gate, on in zip(GATES, rng.random(len(GATES)) < 0.25, strict=True)}
        tests.append(TestSpec(at, window, methods, own | values))
    return tests


def _spoken(methods: tuple[str, ...], rng: np.random.Generator) -> tuple[tuple[str, ...], dict[str, Value]]:
    """Random lengths of *methods*, drawn again until they go together."""
    wanted = [spec for name in methods for spec in registry.get(name).specs]
    common = [spec for spec in registry.COMMON if spec.unit == "bars" and spec.name not in EXITS_AND_GATES]
    while True:
        values: dict[str, Value] = {spec.name: _some(spec, rng) for spec in (*wanted, *common)}
        whole = registry.space_for(methods).resolve(values)
        if all(whole[low] < whole[high] for name in methods for low, high in registry.get(name).ordered):
            return methods, values


def _some(spec: ParameterSpec, rng: np.random.Generator) -> Value:
    """A value inside the bounds; lengths and distances stay in the lower part, where signals are many."""
    high = spec.low + (spec.high - spec.low) * 0.4
    if spec.kind == "int":
        return int(rng.integers(int(spec.low), int(high) + 1))
    return float(rng.uniform(spec.low, high))


def measure(bench: Bench) -> Iterator[Row]:
    micro = load(bench.bars(MICRO))
    own, shared = specs(TESTS, len(micro), TESTS), specs(TESTS, len(micro), SETTINGS)
    found = simulate_batch(micro, own, COSTS)
    yield from _rates(bench, micro, own, shared, int(found.totals["n_trades"].sum()))
    _assert_same(micro, own, found)
    note = (
        "trades, episodes and sums of 2,000 tests compared byte by byte: 1, 2 and 3 threads, whole, halves, reversed"
    )
    yield Row("results identical whatever the threads, the batch and the order", 1.0, "", least(1), note=note)
    yield from _linearity_in_tests(bench)
    if not bench.quick:
        yield from _linearity_in_bars(bench)


def _rates(
    bench: Bench, bars: Bars, own: Sequence[TestSpec], shared: Sequence[TestSpec], trades: int
) -> Iterator[Row]:
    kinds = {"every test with lengths of its own": own, f"{SETTINGS} settings of lengths": shared}
    takers = {
        f"{what}, {jobs} thread{'s' * (jobs > 1)}": timed(partial(simulate_batch, bars, tests, COSTS, jobs=jobs))
        for what, tests in kinds.items()
        for jobs in (1, 2)
    }
    for take in takers.values():
        take()
    samples = interleaved(takers, bench.rounds(9))
    for name, taken in samples.items():
        target = least(20_000) if name.endswith("1 thread") else least(40_000)
        note = f"{TESTS:,} tests of 4,320 bars, all methods, alone and together; {trades:,} trades" * (
            taken is samples[next(iter(samples))]
        )
        yield rate(name, taken, TESTS, "backtests/s", target, note)


def _assert_same(bars: Bars, tests: Sequence[TestSpec], whole: BatchResult) -> None:
    wanted = [_bytes(whole, at) for at in range(len(tests))]
    for jobs in (2, 3):
        again = simulate_batch(bars, tests, COSTS, jobs=jobs)
        assert [_bytes(again, at) for at in range(len(tests))] == wanted, f"{jobs} threads change results"
    middle = len(tests) // 2
    parts = [simulate_batch(bars, part, COSTS) for part in (tests[:middle], tests[middle:])]
    assert [_bytes(part, at) for part in parts for at in range(len(part))] == wanted, "the batch changes results"
    backwards = simulate_batch(bars, tests[::-1], COSTS, jobs=2)
    assert [_bytes(backwards, at) for at in reversed(range(len(tests)))] == wanted, "the order changes results"


def _bytes(result: BatchResult, at: int) -> tuple[bytes, ...]:
    parts = (result.trades(at), result.episodes(at), result.phases[at], result.totals[at])
    return tuple(part.tobytes() for part in parts)


def _linearity_in_tests(bench: Bench) -> Iterator[Row]:
    """Each batch in a process of its own, so that the small ones too pay for their memory."""
    counts = COUNTS[:2] if bench.quick else COUNTS
    kept = {"its trades kept": True, "its sums and scores kept": False}

    def alone(count: int, keep: bool) -> Sample:
        with bench.our_worker("one_batch.py") as worker:
            worker.ask("load", path=str(bench.bars(MICRO)))
            return worker.timed("run", count=count, keep=keep)()

    takers = {(what, count): partial(alone, count, keep) for what, keep in kept.items() for count in counts}
    samples = interleaved(takers, bench.rounds(5))
    for what in kept:
        each = [samples[what, count].times(1 / count) for count in counts]
        yield _spread(f"cost of a test, {what}: {counts[-1]:,} in one batch, over {counts[0]:,}", each)


def _linearity_in_bars(bench: Bench) -> Iterator[Row]:
    """In a process of its own, whose memory is not what other cases left of it."""
    kinds = {"macd_trend alone": False, "all methods in one test, three gates": True}
    with bench.our_worker("one_batch.py") as worker:
        worker.ask("load", path=str(bench.bars(MEGA)))
        takers = {
            (what, count): worker.timed("long", count=count, everything=everything)
            for what, everything in kinds.items()
            for count in BARS
        }
        for take in takers.values():
            take()
        samples = interleaved(takers, bench.rounds(15))
    for what in kinds:
        yield duration(f"one test of 1,000,000 bars, two threads: {what}", samples[what, BARS[-1]], most(0.020))
    each = [samples[what, count].times(1 / count) for what in list(kinds)[-1:] for count in BARS]
    yield _spread("cost of a bar: 1,000,000 in one test, over 4,320", each)


def long_test(bars: int, everything: bool) -> TestSpec:
    """A test on one window of so many *bars*: macd_trend, or all methods and three gates."""
    gates: dict[str, Value] = {
        "gate_cvd": True,
        "gate_atrz": True,
        "atr_z_min": -1.0,
        "gate_vhf": True,
        "vhf_min": 0.2,
    }
    window = BarWindow(0, WARMUP, bars * 2 // 3, bars * 4 // 5, bars)
    if not everything:
        return TestSpec(0, window, ("macd_trend",), {})
    return TestSpec(0, window, tuple(method.name for method in registry.all_methods()), gates)


def _spread(what: str, each: Sequence[Samples]) -> Row:
    """The largest set's cost over the smallest's: about 1 where cost is linear, less where a fixed cost is shared."""
    steps = ", ".join(f"{samples.cpu * 1e9:,.0f}" for samples in each)
    ratio = each[-1].wall / each[0].wall
    return Row(
        what, ratio, "x", most(1.25), by_cpu=each[-1].cpu / each[0].cpu, note=f"ns of CPU, small to large: {steps}"
    )

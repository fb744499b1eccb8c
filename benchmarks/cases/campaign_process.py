"""campaign_process owns the whole thing as a person starts it: a campaign of 500 tests, from start to exit."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from measuring.bench import Bench
from measuring.processes import Ended, run
from measuring.results import Row, duration, missing, most
from measuring.samples import Sample, Samples, interleaved

TITLE = "A campaign of 500 tests, as a process from start to exit"

MAESTRO = Path(sys.executable).with_name("maestro")


def measure(bench: Bench) -> Iterator[Row]:
    kinds: dict[str, list[str]] = {"built-in market": []}
    if bench.real_bars is None:
        yield missing("recorded market", "no recorded bars here; set MAESTRO_MARKET_DATA to their folder")
    else:
        kinds["recorded market"] = ["--data", str(bench.real_bars)]
    ended: dict[str, list[Ended]] = {what: [] for what in kinds}
    takers = {
        what: _campaign(bench.scratch, more, ended[what], name=f"market{place}")
        for place, (what, more) in enumerate(kinds.items())
    }
    for take in takers.values():
        take()  # kernels are compiled and files are read for the first time: not counted
    samples = interleaved(takers, bench.rounds(5))
    for what in kinds:
        yield from _rows(what, samples[what], ended[what][1:])
    yield from _help(bench)


def _campaign(scratch: Path, more: Sequence[str], ended: list[Ended], name: str) -> Callable[[], Sample]:
    """One campaign in a runs folder of its own, so that it is the first there each time."""

    def take() -> Sample:
        folder = scratch / f"{name}-{len(ended)}"
        folder.mkdir()
        done = run([str(MAESTRO), "campaign", "run", "--out", str(folder / "runs"), "--json", *more], folder)
        ended.append(done)
        _assert_whole(done)
        return done.sample

    return take


def _assert_whole(done: Ended) -> None:
    finished = json.loads(done.printed)
    folder = Path(finished["folder"])
    assert finished["tests"] == 500, f"{finished['tests']} tests ran"
    files = sorted(folder.glob("segment_*/test_*/trades.jsonl"))
    lines = sum(file.read_bytes().count(b"\n") for file in files)
    assert lines == finished["trades"], f"{lines} trades are written, {finished['trades']} were made"


def _rows(what: str, samples: Samples, ended: Sequence[Ended]) -> Iterator[Row]:
    finished = json.loads(ended[-1].printed)
    note = f"{finished['trades']:,} trades; every file written and durable, offline agents"
    yield duration(f"{what}: start to exit", samples, most(3.0), note)
    yield Row(f"{what}: peak memory", max(done.peak_mb for done in ended), "MB", most(300))


def _help(bench: Bench) -> Iterator[Row]:
    def take() -> Sample:
        return run([str(MAESTRO), "--help"], bench.scratch).sample

    take()
    yield duration("maestro --help", interleaved({"help": take}, bench.rounds(9))["help"], most(0.25))

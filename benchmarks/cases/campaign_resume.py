"""campaign_resume owns the way back into a campaign with a long journal, in a fresh process each time."""

from __future__ import annotations

from collections.abc import Iterator

from measuring.bench import Bench
from measuring.results import Row, duration, most
from measuring.samples import Sample, Samples

TITLE = "Resuming a campaign with 100,000 rows in its journal"

ROWS = 100_000


def measure(bench: Bench) -> Iterator[Row]:
    url = f"sqlite:///{bench.scratch / 'long.db'}"
    with bench.our_worker("long_journal.py") as worker:
        worker.ask("make", url=url, rows=ROWS)
    read: list[Sample] = []
    walked: list[Sample] = []
    for _ in range(bench.rounds(5)):
        with bench.our_worker("long_journal.py") as worker:
            answer = worker.ask("resume", url=url, rows=ROWS)
        read.append(Sample(answer["wall"], answer["cpu"]))
        walked.append(Sample(answer["walked"], answer["walked"]))
    note = "and everything said again by the same code, each row found to be it: the campaign can act"
    yield duration("store opened, journal read and walked", Samples(walked), most(2.0), note)
    yield duration("  until it is read, before anything is said", Samples(read))

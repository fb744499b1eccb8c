"""campaign_store_share owns what durability costs: the store's and the journal's part of a campaign of 500 tests."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from measuring.bench import Bench
from measuring.results import Row, most

TITLE = "What store and journal add to a campaign of 500 tests"


def measure(bench: Bench) -> Iterator[Row]:
    shares: list[float] = []
    doors: list[float] = []
    parts: list[str] = []
    for number in range(bench.rounds(5) + 1):
        with bench.our_worker("timed_campaign.py") as worker:
            answer = worker.ask("run", runs=str(bench.scratch / f"runs-{number}"))
        store = answer["doors"] + answer["importing"]
        shares.append(100 * store / (answer["whole"] - store))
        doors.append(100 * answer["doors"] / (answer["whole"] - store))
        parts.append(
            f"of {answer['whole']:.2f} s: {answer['doors']:.2f} s in the database and the journal's export, "
            f"{answer['importing']:.2f} s importing them"
        )
    counted = sorted(zip(shares[1:], parts[1:], strict=True))  # the first one fills caches
    share, note = counted[len(counted) // 2]
    yield Row("added to everything else, imports included", share, "%", most(15), note=note)
    yield Row("added to everything else, imports aside", median(doors[1:]), "%")

"""What every Store must do, whichever database is behind it."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any

import pytest

from maestro.store.repository import PAGE, SqlStore
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import StoreError
from maestro_protocol.messages.campaign import CampaignFinished


async def read(store: SqlStore, campaign: str = "c1", after: int = 0) -> list[Envelope]:
    return [entry async for entry in store.journal(campaign, after)]


async def test_what_was_committed_is_read_back_equal_and_in_order(store: SqlStore, make: Any) -> None:
    said = [make.trial(1, reason="açúcar, 'quotes', %s :x \n ☃ \x00"), *make.trials(2, 5)]
    await store.commit("c1", said[:2])
    await store.commit("c1", said[2:])
    assert await read(store) == said
    assert await read(store, after=3) == said[3:]
    assert await read(store, "c2") == []


async def test_a_second_opening_finds_everything(store_url: str, opened: Any, make: Any) -> None:
    first = await opened(store_url)
    await first.commit("c1", make.trials(1, 3), [make.stored("seg1_test001")])
    await first.close()
    second = await opened(store_url)
    assert len(await read(second)) == 3
    assert await second.finished("c1") == ["seg1_test001"]


@pytest.mark.parametrize("first", [1, 3, 5, 900])
async def test_a_number_that_is_taken_or_skipped_is_a_conflict_and_writes_nothing(
    store: SqlStore, make: Any, first: int
) -> None:
    await store.commit("c1", make.trials(1, 3))
    with pytest.raises(StoreError, match="another process writes this campaign"):
        await store.commit("c1", make.trials(first, first + 2), [make.stored("seg1_test001")])
    assert [entry.seq for entry in await read(store)] == [1, 2, 3]
    assert await store.finished("c1") == []


async def test_a_journal_starts_at_one(store: SqlStore, make: Any) -> None:
    with pytest.raises(StoreError, match="does not follow"):
        await store.commit("c1", [make.trial(2)])
    assert await store.campaigns() == []


async def test_entries_out_of_order_or_of_another_campaign_are_refused(store: SqlStore, make: Any) -> None:
    with pytest.raises(StoreError, match="out of order"):
        await store.commit("c1", [make.trial(1), make.trial(3)])
    with pytest.raises(StoreError, match="belongs to campaign c2"):
        await store.commit("c1", [make.trial(1, "c2")])
    assert await store.campaigns() == []


async def test_of_two_writers_at_once_each_number_is_won_by_one(store_url: str, opened: Any, make: Any) -> None:
    stores = [await opened(store_url), await opened(store_url)]

    async def write(store: SqlStore, sender: str) -> int:
        won = 0
        for seq in range(1, 31):
            try:
                await store.commit("c1", [make.trial(seq, reason=sender)])
                won += 1
            except StoreError:
                continue
        return won

    wins = await asyncio.gather(write(stores[0], "a"), write(stores[1], "b"))
    entries = await read(stores[0])
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert sum(wins) == len(entries)


async def test_results_come_back_to_the_byte_and_in_the_order_asked(store: SqlStore, make: Any) -> None:
    kept = [make.stored(f"seg1_test{n:03d}", trades=n) for n in range(4)]
    await store.commit("c1", [make.trial(1)], kept)
    names = [one.run_id for one in kept]
    assert await store.results("c1", names) == kept
    assert await store.results("c1", names[::-1]) == kept[::-1]
    assert await store.results("c1", []) == []
    assert await store.finished("c1") == names


async def test_a_missing_result_is_named(store: SqlStore, make: Any) -> None:
    await store.commit("c1", [make.trial(1)], [make.stored("seg1_test001")])
    with pytest.raises(StoreError, match="no result of seg1_test002"):
        await store.results("c1", ["seg1_test001", "seg1_test002"])
    with pytest.raises(StoreError, match="c9: no result"):
        await store.results("c9", ["seg1_test001"])


async def test_a_result_is_stored_once(store: SqlStore, make: Any) -> None:
    await store.commit("c1", [make.trial(1)], [make.stored("seg1_test001")])
    with pytest.raises(StoreError, match="stored already"):
        await store.commit("c1", [make.trial(2)], [make.stored("seg1_test001")])
    assert [entry.seq for entry in await read(store)] == [1]
    await store.commit("c1", [make.trial(2)], [make.stored("seg1_test002")])


async def test_many_results_are_given_back_at_once(store: SqlStore, make: Any) -> None:
    kept = [make.stored(f"seg1_test{n:04d}") for n in range(1_200)]
    await store.commit("c1", [make.trial(1)], kept)
    names = [one.run_id for one in kept]
    random.Random(1).shuffle(names)
    assert [one.run_id for one in await store.results("c1", names)] == names


async def test_a_long_journal_is_walked_in_pages_while_it_grows(store: SqlStore, make: Any) -> None:
    await store.commit("c1", make.trials(1, PAGE + 5))
    seen: list[int] = []
    async for entry in store.journal("c1"):
        seen.append(entry.seq)
        if entry.seq == PAGE:
            await store.commit("c1", [make.trial(PAGE + 6)])
    assert seen == list(range(1, PAGE + 7))


async def test_records_are_the_journal_unvalidated_and_by_type(store: SqlStore, make: Any) -> None:
    end = CampaignFinished(
        status="finished", tests=0, trades=0, total_pnl=Decimal(0), train=None, validation=None, whole=None
    )
    said = [*make.trials(1, 3), make.envelope(4, end)]
    await store.commit("c1", said)
    records = await store.records("c1", after=1)
    assert [record.envelope() for record in records] == said[1:]
    assert [record.json for record in records] == [entry.model_dump_json() for entry in said[1:]]
    assert records[0][:4] == (2, "m000002", "TrialRecorded", 1_700_000_000_000)
    assert [record.seq for record in await store.records("c1", types=["CampaignFinished"])] == [4]


async def test_campaigns_are_listed_oldest_first(store: SqlStore, make: Any) -> None:
    for name in ("zebra", "ant", "mole"):
        await store.commit(name, [make.trial(1, name)])
    await store.commit("zebra", [make.trial(2, "zebra")])
    assert await store.campaigns() == ["zebra", "ant", "mole"]


async def test_a_run_is_followed_back_to_its_root(store: SqlStore, make: Any) -> None:
    root, segment = make.config("root"), make.config("seg1", "root")
    await store.commit("c1", [make.trial(1)], runs=[root, segment])
    await store.commit("c1", [make.trial(2)], [make.stored("seg1_test001")])
    assert [one.run_id for one in await store.lineage("c1", "seg1_test001")] == ["root", "seg1", "seg1_test001"]
    assert (await store.lineage("c1", "root")) == [root]
    with pytest.raises(StoreError, match="no run nobody"):
        await store.lineage("c1", "nobody")


async def test_a_template_may_come_again_but_never_as_another_run(store: SqlStore, make: Any) -> None:
    root = make.config("root")
    await store.commit("c1", [make.trial(1)], runs=[root, root])
    await store.commit("c1", [], runs=[root])
    other = root.model_copy(update={"seed": 8})
    with pytest.raises(StoreError, match="another run is stored as root; nothing was written"):
        await store.commit("c1", [make.trial(2)], runs=[other])
    assert [entry.seq for entry in await read(store)] == [1]
    assert await store.lineage("c1", "root") == [root]


async def test_a_closed_store_says_so(store_url: str, opened: Any, make: Any) -> None:
    store = await opened(store_url)
    await store.commit("c1", [make.trial(1)])
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.campaigns()
    await store.close()


async def test_a_cancelled_commit_is_whole_or_not_there(store: SqlStore, make: Any) -> None:
    await store.commit("c1", [make.trial(1)])
    task = asyncio.create_task(store.commit("c1", [make.trial(2)], [make.stored("seg1_test001")]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    entries, finished = await read(store), await store.finished("c1")
    assert (len(entries), finished) in ((1, []), (2, ["seg1_test001"]))

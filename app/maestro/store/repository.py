"""repository owns the store's doors: journal and results of campaigns, committed together or not at all."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from sqlalchemy import Connection, and_, bindparam, insert, select, update

from maestro.store.calls import SqlCallLog, price
from maestro.store.database import Database
from maestro.store.gating import open_gate
from maestro.store.rows import Record, journal_rows, result_rows, run_rows, stored
from maestro.store.tables import CAMPAIGNS, JOURNAL, RESULTS, RUNS
from maestro_protocol.config import RunConfig
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import StoreError
from maestro_protocol.ids import CampaignId, RunId
from maestro_protocol.messages.gate import GateRequest
from maestro_protocol.messages.plan import ModelCalled
from maestro_protocol.ports import Stored

PAGE = 2_000
"""Envelopes read at a time while a journal is walked."""

_SAFE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,95}")

# Built once: to build and key a statement costs more than to run it.
_OF_CAMPAIGN = CAMPAIGNS.c.campaign == bindparam("of")
_LAST = select(CAMPAIGNS.c.last_seq).where(_OF_CAMPAIGN)
_STEP = (
    update(CAMPAIGNS)
    .where(and_(_OF_CAMPAIGN, CAMPAIGNS.c.last_seq == bindparam("before")))
    .values(last_seq=bindparam("last"))
)
_BEGIN = insert(CAMPAIGNS)
_APPEND = insert(JOURNAL)
_KEEP_RUNS = insert(RUNS)
_KEEP_RESULTS = insert(RESULTS)


class SqlStore:
    """The :class:`~maestro_protocol.ports.Store` on SQLite or PostgreSQL; open it with ``open_store``.

    Every door raises :class:`StoreError` with one line when the database is locked, full, gone or damaged;
    what was not committed then is not there, and the store works again when the cause is mended.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.calls = SqlCallLog(database)

    async def commit(
        self,
        campaign: CampaignId,
        entries: Sequence[Envelope],
        results: Sequence[Stored] = (),
        runs: Sequence[RunConfig] = (),
    ) -> None:
        """Append *entries* with the *results* and template *runs* they speak of, in one transaction.

        A result brings its own run config. What the entries change is changed with them: a GateRequest opens its
        gate, a ModelCalled prices its call. Raises :class:`StoreError` when a sequence number is taken or skipped
        (another process writes this campaign), or a run is stored already.
        """
        _follow_each_other(campaign, entries)
        await self.database.write(partial(_commit, campaign, entries, results, runs))

    async def journal(self, campaign: CampaignId, after: int = 0) -> AsyncIterator[Envelope]:
        """The campaign's envelopes with ``seq`` greater than *after*, in order, each validated."""
        while page := await self.database.read(partial(_records, campaign, after, (), PAGE)):
            for record in page:
                yield record.envelope()
            after = page[-1].seq

    async def records(self, campaign: CampaignId, after: int = 0, types: Sequence[str] = ()) -> Sequence[Record]:
        """The same as rows, at once and unvalidated; only messages of *types* when any are named."""
        return await self.database.read(partial(_records, campaign, after, types, None))

    async def results(self, campaign: CampaignId, runs: Sequence[RunId]) -> Sequence[Stored]:
        """The stored results of *runs*, in their order. Raises :class:`StoreError` where one is missing."""
        return await self.database.read(partial(_results, campaign, runs))

    async def finished(self, campaign: CampaignId) -> Sequence[RunId]:
        """The runs that have a stored result, as they were committed."""
        query = select(RESULTS.c.run_id).where(RESULTS.c.campaign == campaign)
        ordered = query.order_by(RESULTS.c.seq, RESULTS.c.run_id)
        return await self.database.read(lambda connection: list(connection.scalars(ordered)))

    async def lineage(self, campaign: CampaignId, run: RunId) -> Sequence[RunConfig]:
        """*run*'s config and those it descends from, the eldest first. Raises :class:`StoreError` when unknown."""
        return await self.database.read(partial(_lineage, campaign, run))

    async def campaigns(self) -> Sequence[CampaignId]:
        """All campaigns, oldest first."""
        query = select(CAMPAIGNS.c.campaign).order_by(CAMPAIGNS.c.number)
        return await self.database.read(lambda connection: list(connection.scalars(query)))

    @asynccontextmanager
    async def lease(self, campaign: CampaignId) -> AsyncGenerator[None]:
        """Be the only one who writes *campaign* while inside; the lease ends with its process, however that dies.

        Raises :class:`StoreError` at once when another holds it.
        """
        if not _SAFE.fullmatch(campaign):
            raise StoreError(f"{campaign!r} is no campaign: ids have lower-case letters, digits and _ . -")
        async with self.database.hold(campaign) as held:
            if not held:
                raise StoreError(f"campaign {campaign}: another process is at it; wait for it, or stop it first")
            yield

    async def close(self) -> None:
        await self.database.close()


def _follow_each_other(campaign: CampaignId, entries: Sequence[Envelope]) -> None:
    for place, entry in enumerate(entries):
        if entry.campaign != campaign:
            raise StoreError(f"campaign {campaign}: message {entry.id} belongs to campaign {entry.campaign}")
        if entry.seq != entries[0].seq + place or entry.seq < 1:
            raise StoreError(f"campaign {campaign}: message {entry.id} has number {entry.seq}, out of order")


def _commit(
    campaign: CampaignId,
    entries: Sequence[Envelope],
    results: Sequence[Stored],
    runs: Sequence[RunConfig],
    connection: Connection,
) -> None:
    last = _advance(connection, campaign, entries)
    configs = [*runs, *(result.config for result in results)]
    for statement, rows in (
        (_APPEND, journal_rows(campaign, entries)),
        (_KEEP_RUNS, run_rows(campaign, configs)),
        (_KEEP_RESULTS, result_rows(campaign, last, results)),
    ):
        if rows:
            connection.execute(statement, rows)
    for entry in entries:
        if isinstance(entry.body, GateRequest):
            open_gate(connection, entry.body, campaign)
        elif isinstance(entry.body, ModelCalled):
            price(connection, campaign, entry.body)


def _advance(connection: Connection, campaign: CampaignId, entries: Sequence[Envelope]) -> int:
    """Compare-and-set the journal's last number; gives the new one."""
    if not entries:
        return connection.scalar(_LAST, {"of": campaign}) or 0
    first, last = entries[0], entries[-1]
    if connection.execute(_STEP, {"of": campaign, "before": first.seq - 1, "last": last.seq}).rowcount == 1:
        return last.seq
    found = connection.scalar(_LAST, {"of": campaign})
    if found is None and first.seq == 1:
        connection.execute(_BEGIN, {"campaign": campaign, "started_ms": first.time, "last_seq": last.seq})
        return last.seq
    raise StoreError(
        f"campaign {campaign}: message {first.seq} does not follow the journal's last ({found or 0}); "
        "another process writes this campaign: stop it, then resume"
    )


def _records(
    campaign: CampaignId, after: int, types: Sequence[str], limit: int | None, connection: Connection
) -> list[Record]:
    columns = JOURNAL.c.seq, JOURNAL.c.id, JOURNAL.c.type, JOURNAL.c.time_ms, JOURNAL.c.json_text
    query = select(*columns).where(and_(JOURNAL.c.campaign == campaign, JOURNAL.c.seq > after))
    if types:
        query = query.where(JOURNAL.c.type.in_(types))
    return [Record(*row) for row in connection.execute(query.order_by(JOURNAL.c.seq).limit(limit))]


def _results(campaign: CampaignId, runs: Sequence[RunId], connection: Connection) -> list[Stored]:
    same = and_(RUNS.c.campaign == RESULTS.c.campaign, RUNS.c.run_id == RESULTS.c.run_id)
    query = select(RUNS.c.config, RESULTS).join(RUNS, same).where(RESULTS.c.campaign == campaign)
    found: dict[RunId, Stored] = {}
    for some in _portions(runs):
        for row in connection.execute(query.where(RESULTS.c.run_id.in_(some))).mappings():
            found[row["run_id"]] = stored(row["config"], dict(row))
    missing = [run for run in runs if run not in found]
    if missing:
        raise StoreError(f"campaign {campaign}: no result of {missing[0]} is stored ({len(missing)} missing)")
    return [found[run] for run in runs]


def _portions(runs: Sequence[RunId], size: int = 500) -> list[Sequence[RunId]]:
    """Parts of *runs* that stay under every driver's limit of parameters."""
    return [runs[start : start + size] for start in range(0, len(runs), size)]


def _lineage(campaign: CampaignId, run: RunId, connection: Connection) -> list[RunConfig]:
    chain: list[RunConfig] = []
    wanted: RunId | None = run
    while wanted is not None and wanted not in {config.run_id for config in chain}:
        one = and_(RUNS.c.campaign == campaign, RUNS.c.run_id == wanted)
        found: Any = connection.scalar(select(RUNS.c.config).where(one))
        if found is None:
            break
        chain.append(RunConfig.model_validate_json(found))
        wanted = chain[-1].parent_run
    if not chain:
        raise StoreError(f"campaign {campaign}: no run {run} is stored")
    return chain[::-1]

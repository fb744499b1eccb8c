"""repository owns the store's doors: journal and results of campaigns, committed together or not at all."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from maestro.store.calls import SqlCallLog, price
from maestro.store.database import Connection, Database, among
from maestro.store.gating import open_gate
from maestro.store.rows import JOURNAL, RESULTS, RUNS, journal_rows, result_rows, run_rows, stored
from maestro.store.sealed import SqlOpenings, keep
from maestro_protocol.config import RunConfig
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import StoreError
from maestro_protocol.ids import CampaignId, RunId
from maestro_protocol.messages.campaign import HoldoutOpened
from maestro_protocol.messages.gate import GateRequest
from maestro_protocol.messages.plan import ModelCalled
from maestro_protocol.messages.sealed import Claim
from maestro_protocol.ports import Record, Stored

PAGE = 2_000
"""Envelopes read at a time while a journal is walked."""

FEW = 10
"""Envelopes that are committed without going to another thread."""

_SAFE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,95}")

_LAST = "SELECT last_seq FROM campaigns WHERE campaign = :of"
_STEP = "UPDATE campaigns SET last_seq = :last WHERE campaign = :of AND last_seq = :before"
_BEGIN = "INSERT INTO campaigns (campaign, started_ms, last_seq) VALUES (:of, :started, :last)"
_RECORDS = "SELECT seq, id, type, time_ms, json_text FROM journal WHERE campaign = :of AND seq > :after"
_RESULTS = (
    "SELECT r.config, t.run_id, t.n_trades, t.total_pnl_micros, t.report, t.episodes, t.trade_lines, t.score_lines"
    " FROM results AS t JOIN runs AS r ON r.campaign = t.campaign AND r.run_id = t.run_id WHERE t.campaign = :of"
)
_FINISHED = "SELECT run_id FROM results WHERE campaign = :of ORDER BY seq, run_id"
_CONFIG = "SELECT config FROM runs WHERE campaign = :of AND run_id = :run"


class SqlStore:
    """The :class:`~maestro_protocol.ports.Store` on SQLite or PostgreSQL; open it with ``open_store``.

    Every door raises :class:`StoreError` with one line when the database is locked, full, gone or damaged;
    what was not committed then is not there, and the store works again when the cause is mended.
    """

    def __init__(self, database: Database, owner: str | None = None) -> None:
        self.database = database
        self._owner = owner
        self.calls = SqlCallLog(database)
        self.openings = SqlOpenings(database)

    async def commit(
        self,
        campaign: CampaignId,
        entries: Sequence[Envelope],
        results: Sequence[Stored] = (),
        runs: Sequence[RunConfig] = (),
        opened: Claim | None = None,
    ) -> None:
        """Append *entries* with the *results* and template *runs* they speak of, in one transaction.

        A result brings its own run config. What the entries change is changed with them: a GateRequest opens its
        gate, a ModelCalled prices its call, a HoldoutOpened keeps *opened*. Raises :class:`StoreError` when a
        sequence number is taken or skipped (another process writes this campaign), a test is stored already, or a
        template as another run; :class:`LooksOvertaken` when the looks that *opened* counted are others by now.
        """
        _follow_each_other(campaign, entries)
        work = partial(_commit, campaign, entries, results, runs, opened, self._owner)
        await self.database.write(work, small=not results and opened is None and len(entries) <= FEW)

    async def journal(self, campaign: CampaignId, after: int = 0) -> AsyncIterator[Envelope]:
        """The campaign's envelopes with ``seq`` greater than *after*, in order, each validated."""
        while page := await self.database.read(partial(_records, campaign, after, (), PAGE)):
            for record in page:
                yield record.envelope()
            after = page[-1].seq

    async def records(self, campaign: CampaignId, after: int = 0, types: Sequence[str] = ()) -> Sequence[Record]:
        """The same as rows, at once and not yet validated; only messages of *types* when any are named."""
        return await self.database.read(partial(_records, campaign, after, types, None))

    async def results(self, campaign: CampaignId, runs: Sequence[RunId]) -> Sequence[Stored]:
        """The stored results of *runs*, in their order. Raises :class:`StoreError` where one is missing."""
        return await self.database.read(partial(_results, campaign, runs))

    async def finished(self, campaign: CampaignId) -> Sequence[RunId]:
        """The runs that have a stored result, as they were committed."""
        return await self.database.read(lambda found: [run for (run,) in found.rows(_FINISHED, {"of": campaign})])

    async def lineage(self, campaign: CampaignId, run: RunId) -> Sequence[RunConfig]:
        """*run*'s config and those it descends from, the eldest first. Raises :class:`StoreError` when unknown."""
        return await self.database.read(partial(_lineage, campaign, run))

    async def campaigns(self) -> Sequence[CampaignId]:
        """All campaigns, oldest first."""
        query = "SELECT campaign FROM campaigns ORDER BY number"
        return await self.database.read(lambda found: [campaign for (campaign,) in found.rows(query)])

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
    opened: Claim | None,
    owner: str | None,
    connection: Connection,
) -> None:
    last = _advance(connection, campaign, entries)
    for row in run_rows(campaign, runs):
        _keep(connection, row)
    for statement, rows in (
        (JOURNAL, journal_rows(campaign, entries)),
        (RUNS, run_rows(campaign, [result.config for result in results])),
        (RESULTS, result_rows(campaign, last, results)),
    ):
        if rows:
            connection.run(statement, *rows)
    for entry in entries:
        if isinstance(entry.body, GateRequest):
            open_gate(connection, entry.body, campaign, owner)
        elif isinstance(entry.body, ModelCalled):
            price(connection, campaign, entry.body)
        elif isinstance(entry.body, HoldoutOpened) and opened is not None:
            keep(connection, campaign, entry, opened)


def _keep(connection: Connection, row: dict[str, str]) -> None:
    """Store a template once: a patch that is reverted, or a path walked again, comes back to it."""
    if connection.run(f"{RUNS} ON CONFLICT DO NOTHING", row) == 1:
        return
    if connection.value(_CONFIG, {"of": row["campaign"], "run": row["run_id"]}) != row["config"]:
        raise StoreError(f"campaign {row['campaign']}: another run is stored as {row['run_id']}; nothing was written")


def _advance(connection: Connection, campaign: CampaignId, entries: Sequence[Envelope]) -> int:
    """Compare-and-set the journal's last number; gives the new one."""
    if not entries:
        return connection.value(_LAST, {"of": campaign}) or 0
    first, last = entries[0], entries[-1]
    if connection.run(_STEP, {"of": campaign, "before": first.seq - 1, "last": last.seq}) == 1:
        return last.seq
    found = connection.value(_LAST, {"of": campaign})
    if found is None and first.seq == 1:
        connection.run(_BEGIN, {"of": campaign, "started": first.time, "last": last.seq})
        return last.seq
    raise StoreError(
        f"campaign {campaign}: message {first.seq} does not follow the journal's last ({found or 0}); "
        "another process writes this campaign: stop it, then resume"
    )


def _records(
    campaign: CampaignId, after: int, types: Sequence[str], limit: int | None, connection: Connection
) -> list[Record]:
    query, values = _RECORDS, {"of": campaign, "after": after}
    if types:
        kinds, named = among(types)
        query, values = f"{query} AND type IN {kinds}", {**values, **named}
    page = "" if limit is None else f" LIMIT {limit:d}"
    return [Record(*row) for row in connection.rows(f"{query} ORDER BY seq{page}", values)]


def _results(campaign: CampaignId, runs: Sequence[RunId], connection: Connection) -> list[Stored]:
    found: dict[RunId, Stored] = {}
    for some in _portions(runs):
        wanted, named = among(some)
        for row in connection.rows(f"{_RESULTS} AND t.run_id IN {wanted}", {"of": campaign, **named}):
            one = stored(*row)
            found[one.run_id] = one
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
        found = connection.value(_CONFIG, {"of": campaign, "run": wanted})
        if found is None:
            break
        chain.append(RunConfig.model_validate_json(found))
        wanted = chain[-1].parent_run
    if not chain:
        raise StoreError(f"campaign {campaign}: no run {run} is stored")
    return chain[::-1]

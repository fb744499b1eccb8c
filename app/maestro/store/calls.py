"""calls owns the memory of model calls: every request before it leaves, what came of it, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping, and_, bindparam, func, insert, select, update

from maestro.store.database import Database
from maestro.store.tables import CALLS
from maestro_protocol.base import MICRO
from maestro_protocol.errors import StoreError
from maestro_protocol.ids import CampaignId
from maestro_protocol.messages.plan import ModelCalled
from maestro_protocol.ports import Exchange

# Built once: to build and key a statement costs more than to run it.
_OF_KEY = and_(CALLS.c.campaign == bindparam("of"), CALLS.c.key == bindparam("by"))
_ANSWER = select(CALLS.c.reply).where(and_(_OF_KEY, CALLS.c.state == "answered")).order_by(CALLS.c.number).limit(1)
_LAST_OPEN = select(func.max(CALLS.c.number)).where(and_(_OF_KEY, CALLS.c.state == "open")).scalar_subquery()
_SETTLE = (
    update(CALLS)
    .where(CALLS.c.number == _LAST_OPEN)
    .values(state=bindparam("now"), reply=bindparam("said"), reason=bindparam("why"))
)
_OPEN = insert(CALLS)
_EXCHANGE = CALLS.c.key, CALLS.c.role, CALLS.c.request, CALLS.c.reply, CALLS.c.state, CALLS.c.reason


class Spent(NamedTuple):
    """What one role's calls to one model came to."""

    role: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_micros: int | None
    """Micro-USD, exact; null when the price of any of them is unknown."""


class SqlCallLog:
    """The :class:`~maestro_protocol.ports.CallLog` on SQLite or PostgreSQL: one row per attempt, durable at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def opened(self, campaign: CampaignId, key: str, role: str, request: str) -> None:
        """Durable before the request leaves. Raises :class:`StoreError` when its answer is known: recall it."""

        def work(connection: Connection) -> None:
            if connection.scalar(_ANSWER, {"of": campaign, "by": key}) is not None:
                raise StoreError(f"campaign {campaign}: request {key[:12]} of {role} is answered; recall it")
            row = {"campaign": campaign, "key": key, "role": role, "state": "open", "reason": "", "request": request}
            connection.execute(_OPEN, row)

        await self._database.write(work)

    async def answered(self, campaign: CampaignId, key: str, reply: str) -> None:
        await self._database.write(partial(_settle, campaign, key, "answered", reply, ""))

    async def failed(self, campaign: CampaignId, key: str, reason: str) -> None:
        told = reason.replace("\x00", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL takes no NUL
        await self._database.write(partial(_settle, campaign, key, "failed", None, told))

    async def recall(self, campaign: CampaignId, key: str) -> str | None:
        """The reply of an answered request, or null."""
        return await self._database.read(lambda connection: connection.scalar(_ANSWER, {"of": campaign, "by": key}))

    async def exchanges(self, campaign: CampaignId) -> Sequence[Exchange]:
        """All of the campaign's, in the order they were opened, each attempt by itself."""
        query = select(*_EXCHANGE).where(CALLS.c.campaign == campaign).order_by(CALLS.c.number)
        return await self._database.read(lambda connection: [Exchange(*row) for row in connection.execute(query)])

    async def settle(self, campaign: CampaignId) -> Sequence[Exchange]:
        """Requests that were in flight when the last process died become ``unknown``; gives those.

        Nobody knows whether they were answered and paid. Call it under the campaign's lease.
        """

        def work(connection: Connection) -> list[Exchange]:
            flying = and_(CALLS.c.campaign == campaign, CALLS.c.state == "open")
            numbers = list(connection.scalars(select(CALLS.c.number).where(flying)))
            reason = "in flight when its process ended; whether it was paid is not known"
            connection.execute(update(CALLS).where(flying).values(state="unknown", reason=reason))
            query = select(*_EXCHANGE).where(CALLS.c.number.in_(numbers)).order_by(CALLS.c.number)
            return [Exchange(*row) for row in connection.execute(query)]

        return await self._database.write(work)

    async def costs(self, campaign: CampaignId) -> Sequence[Spent]:
        """What the priced calls came to, by role and model."""
        tokens = CALLS.c.input_tokens, CALLS.c.output_tokens, CALLS.c.cache_read_tokens, CALLS.c.cache_write_tokens
        sums = [func.sum(column).label(column.name) for column in tokens]
        cost = [func.sum(CALLS.c.cost_micros).label("cost"), func.count(CALLS.c.cost_micros).label("priced")]
        query = (
            select(CALLS.c.role, CALLS.c.model, func.count().label("calls"), *sums, *cost)
            .where(and_(CALLS.c.campaign == campaign, CALLS.c.model.is_not(None)))
            .group_by(CALLS.c.role, CALLS.c.model)
            .order_by(CALLS.c.role, CALLS.c.model)
        )
        return await self._database.read(lambda found: [_spent(row) for row in found.execute(query).mappings()])


def _spent(row: RowMapping) -> Spent:
    return Spent(
        role=row["role"],
        model=row["model"],
        calls=row["calls"],
        input_tokens=int(row["input_tokens"]),
        output_tokens=int(row["output_tokens"]),
        cache_read_tokens=int(row["cache_read_tokens"]),
        cache_write_tokens=int(row["cache_write_tokens"]),
        cost_micros=int(row["cost"]) if row["priced"] == row["calls"] else None,
    )


def price(connection: Connection, campaign: CampaignId, called: ModelCalled) -> None:
    """Write tokens and cost of an answered call beside it; one told again from the record cost nothing."""
    if called.recalled:
        return
    one = and_(CALLS.c.campaign == campaign, CALLS.c.key == called.request_key, CALLS.c.state == "answered")
    connection.execute(
        update(CALLS)
        .where(one)
        .values(
            model=called.model,
            input_tokens=called.input_tokens,
            output_tokens=called.output_tokens,
            cache_read_tokens=called.cache_read_tokens,
            cache_write_tokens=called.cache_write_tokens,
            cost_micros=None if called.cost_usd is None else int(called.cost_usd * MICRO),
        )
    )


def _settle(
    campaign: CampaignId, key: str, state: str, reply: str | None, reason: str, connection: Connection
) -> None:
    """Settle the request's open attempt; a second time finds none open."""
    outcome = {"of": campaign, "by": key, "now": state, "said": reply, "why": reason}
    if connection.execute(_SETTLE, outcome).rowcount != 1:
        raise StoreError(f"campaign {campaign}: request {key[:12]} is not open, so it cannot be {state}")

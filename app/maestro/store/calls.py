"""calls owns the memory of model calls: every request before it leaves, what came of it, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Literal, NamedTuple

from maestro.store.database import Connection, Database, inserting
from maestro_protocol.base import MICRO
from maestro_protocol.errors import StoreError
from maestro_protocol.ids import CampaignId
from maestro_protocol.messages.plan import ModelCalled
from maestro_protocol.ports import Amount, Hold, ModelCallRecord, Taken

_ANSWER = "SELECT reply FROM calls WHERE campaign = :of AND key = :by AND state = 'answered' ORDER BY number LIMIT 1"
_SETTLE = "UPDATE calls SET state = :now, reply = :said, reason = :why WHERE number = :call"
_OPEN = inserting("calls", ("campaign", "key", "role", "state", "reason"))
_OPENED = "SELECT max(number) FROM calls WHERE campaign = :of AND key = :by AND state = 'open'"
_ASKED = inserting("requests", ("call", "request"))
_TOLD = (
    "SELECT c.key, c.role, r.request, c.reply, c.state, c.reason"
    " FROM calls AS c JOIN requests AS r ON r.call = c.number WHERE c.campaign = :of"
)
_EXCHANGES = f"{_TOLD} ORDER BY c.number"
_FLYING = f"{_TOLD} AND c.state = 'open' ORDER BY c.number"
_LOST = "UPDATE calls SET state = 'unknown', reason = :why WHERE campaign = :of AND state = 'open'"
_COSTS = (
    "SELECT role, model, count(*), sum(input_tokens), sum(output_tokens), sum(cache_read_tokens),"
    " sum(cache_write_tokens), sum(cost_micros), count(cost_micros)"
    " FROM calls WHERE campaign = :of AND model IS NOT NULL AND input_tokens IS NOT NULL"
    " AND output_tokens IS NOT NULL GROUP BY role, model ORDER BY role, model"
)
_KIND = (
    "CASE WHEN c.state IN ('open', 'unknown') THEN 'set aside' WHEN c.state = 'failed' THEN 'failed'"
    " ELSE 'unknown' END"
)
_UNPAID = (
    f"SELECT c.role, {_KIND} AS kind, count(*), sum(s.usd_micros), sum(s.tokens)"  # noqa: S608 - our own names
    " FROM calls AS c JOIN spending AS s ON s.call = c.number WHERE c.campaign = :of AND (c.state <> 'answered'"
    " OR (c.model IS NOT NULL AND (c.input_tokens IS NULL OR c.output_tokens IS NULL)))"
    f" GROUP BY c.role, {_KIND} ORDER BY c.role, kind"
)
_PRICE = (
    "UPDATE calls SET model = :model, input_tokens = :read, output_tokens = :written,"
    " cache_read_tokens = :from_cache, cache_write_tokens = :to_cache, cost_micros = :cost"
    " WHERE campaign = :of AND key = :by AND state = 'answered'"
)
_SPENDING = ("call", "campaign", "role", "day", "usd_micros", "tokens", "requests", "ms")
_HOLD = inserting("spending", _SPENDING)
_HELD = f"SELECT {', '.join(_SPENDING)} FROM spending WHERE call = :call"  # noqa: S608 - our own names
_TOOK = (
    "UPDATE spending SET usd_micros = :usd_micros, tokens = :tokens, requests = :requests, ms = :ms"
    " WHERE call = :call"
)
_WAITING = (
    f"SELECT {', '.join(_SPENDING)} FROM spending"  # noqa: S608 - our own names
    " WHERE call IN (SELECT number FROM calls WHERE campaign = :of AND state = 'open')"
)
_SUM = "SELECT scope, usd_micros, tokens, requests, ms FROM budgets WHERE scope ="
_SUMS = f"{_SUM} :campaign UNION ALL {_SUM} :role UNION ALL {_SUM} :day"  # an IN would build a table to look in
_ADD = (
    "INSERT INTO budgets (scope, usd_micros, tokens, requests, ms)"
    " VALUES (:scope, :usd_micros, :tokens, :requests, :ms) ON CONFLICT (scope) DO UPDATE SET"
    " usd_micros = budgets.usd_micros + excluded.usd_micros, tokens = budgets.tokens + excluded.tokens,"
    " requests = budgets.requests + excluded.requests, ms = budgets.ms + excluded.ms"
)
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtext('maestro/spending'))"
NOTHING = Amount()


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


class UnsettledUsage(NamedTuple):
    """What one role's requests count for whose vendor did not say what they took: the most that is paid for them."""

    role: str
    kind: Literal["set aside", "failed", "unknown"]
    """In flight or lost there; without a usable answer; answered, and nobody counted the tokens."""
    requests: int
    usd_micros: int
    tokens: int


class SqlCallLog:
    """The :class:`~maestro_protocol.ports.CallLog` on SQLite or PostgreSQL: one row per attempt, durable at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def opened(
        self, campaign: CampaignId, key: str, role: str, request: str, hold: Hold | None = None
    ) -> Amount | str:
        """Durable before the request leaves, and counted: no two processes are granted the same last dollar.

        An answer that is known is given instead, and nothing is opened. Raises what *hold*'s grant raises.
        """

        def work(connection: Connection) -> Amount | str:
            known: str | None = connection.value(_ANSWER, {"of": campaign, "by": key})
            if known is not None:
                return known
            granted = NOTHING if hold is None else hold.grant(_taken(connection, campaign, role, hold.day))
            row = {"campaign": campaign, "key": key, "role": role, "state": "open", "reason": ""}
            connection.run(_OPEN, row)
            call: int = connection.value(_OPENED, {"of": campaign, "by": key})
            connection.run(_ASKED, {"call": call, "request": request})
            if hold is not None:
                counted = _counted(granted)
                connection.run(_HOLD, {"call": call, "campaign": campaign, "role": role, "day": hold.day, **counted})
                _add(connection, _scopes(campaign, role, hold.day), counted)
            return granted

        return await self._database.write(work, small=True)

    async def answered(self, campaign: CampaignId, key: str, reply: str, took: Amount | None = None) -> None:
        await self._database.write(partial(_settle, campaign, key, "answered", reply, "", took), small=True)

    async def failed(self, campaign: CampaignId, key: str, reason: str, took: Amount | None = None) -> None:
        told = reason.replace("\x00", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL takes no NUL
        await self._database.write(partial(_settle, campaign, key, "failed", None, told, took or NOTHING), small=True)

    async def recall(self, campaign: CampaignId, key: str) -> str | None:
        """The reply of an answered request, or null."""
        return await self._database.read(lambda connection: connection.value(_ANSWER, {"of": campaign, "by": key}))

    async def exchanges(self, campaign: CampaignId) -> Sequence[ModelCallRecord]:
        """All of the campaign's, in the order they were opened, each attempt by itself."""
        return await self._database.read(
            lambda connection: [ModelCallRecord(*row) for row in connection.rows(_EXCHANGES, {"of": campaign})]
        )

    async def settle(self, campaign: CampaignId) -> Sequence[ModelCallRecord]:
        """Requests that were in flight when the last process died become ``unknown``; gives those.

        Nobody knows whether they were answered and paid, so all that was set aside for them stays counted, but for
        the waiting, which ended with its process. Call it under the campaign's lease.
        """

        why = "in flight when its process ended; whether it was paid is not known"

        def work(connection: Connection) -> list[ModelCallRecord]:
            flying = connection.rows(_FLYING, {"of": campaign})
            for held in connection.rows(_WAITING, {"of": campaign}):
                _count(connection, _Held(*held), {**_Held(*held).counted(), "ms": 0})
            connection.run(_LOST, {"of": campaign, "why": why})
            return [ModelCallRecord(*row)._replace(state="unknown", reason=why) for row in flying]

        return await self._database.write(work)

    async def costs(self, campaign: CampaignId) -> Sequence[Spent]:
        """What the calls came to whose vendors counted them, by role and model."""
        return await self._database.read(
            lambda connection: [_spent(*row) for row in connection.rows(_COSTS, {"of": campaign})]
        )

    async def counted(self, campaign: CampaignId) -> Sequence[UnsettledUsage]:
        """What counts of requests besides what vendors said they took, by role and kind."""
        return await self._database.read(
            lambda connection: [
                UnsettledUsage(role, kind, *(int(count) for count in counts))  # of PostgreSQL's a sum is a Decimal
                for role, kind, *counts in connection.rows(_UNPAID, {"of": campaign})
            ]
        )


class _Held(NamedTuple):
    """A row of ``spending``, in the order of ``_SPENDING``."""

    call: int
    campaign: CampaignId
    role: str
    day: int
    usd_micros: int
    tokens: int
    requests: int
    ms: int

    def counted(self) -> dict[str, int]:
        return {unit: getattr(self, unit) for unit in _UNITS}


_UNITS = ("usd_micros", "tokens", "requests", "ms")


def _scopes(campaign: CampaignId, role: str, day: int) -> tuple[str, str, str]:
    """The sums that a call counts in; always in this order, so that two processes never wait for each other."""
    return f"campaign {campaign}", f"role {role} of {campaign}", f"day {day}"


def _taken(connection: Connection, campaign: CampaignId, role: str, day: int) -> Taken:
    """What counts already; until the transaction ends nobody else may set more aside."""
    if connection.dialect == "postgresql":
        connection.rows(_ONE_AT_A_TIME)  # SQLite's transactions that write are one at a time by themselves
    scopes = _scopes(campaign, role, day)
    found = {
        scope: Amount(Decimal(micros) / MICRO, tokens, requests, ms)
        for scope, micros, tokens, requests, ms in connection.rows(
            _SUMS, dict(zip(("campaign", "role", "day"), scopes, strict=True))
        )
    }
    return Taken(*(found.get(scope, NOTHING) for scope in scopes))


def _count(connection: Connection, held: _Held, counted: Mapping[str, int]) -> None:
    """Let a call count for *counted* instead of what was set aside for it."""
    connection.run(_TOOK, {"call": held.call, **counted})
    more = {unit: counted[unit] - before for unit, before in held.counted().items()}
    _add(connection, _scopes(held.campaign, held.role, held.day), more)


def _add(connection: Connection, scopes: Sequence[str], counted: Mapping[str, int]) -> None:
    connection.run(_ADD, *({"scope": scope, **counted} for scope in scopes))


def _counted(amount: Amount) -> dict[str, int]:
    return {
        "usd_micros": int(amount.usd * MICRO),
        "tokens": amount.tokens,
        "requests": amount.requests,
        "ms": amount.ms,
    }


def _spent(role: str, model: str, calls: int, *sums: int | None) -> Spent:
    *tokens, cost, priced = sums  # of PostgreSQL's a sum is a Decimal
    read, written, from_cache, to_cache = (int(count or 0) for count in tokens)
    known = int(cost or 0) if priced == calls else None
    return Spent(role, model, calls, read, written, from_cache, to_cache, known)


def price(connection: Connection, campaign: CampaignId, called: ModelCalled) -> None:
    """Write tokens and cost of an answered call beside it; one told again from the record cost nothing."""
    if called.recalled:
        return
    told = {
        "of": campaign,
        "by": called.request_key,
        "model": called.model,
        "read": called.input_tokens,
        "written": called.output_tokens,
        "from_cache": called.cache_read_tokens,
        "to_cache": called.cache_write_tokens,
        "cost": None if called.cost_usd is None else int(called.cost_usd * MICRO),
    }
    connection.run(_PRICE, told)


def _settle(
    campaign: CampaignId,
    key: str,
    state: str,
    reply: str | None,
    reason: str,
    took: Amount | None,
    connection: Connection,
) -> None:
    """Settle the request's open attempt, and what it counts for; a second time finds none open."""
    call: int | None = connection.value(_OPENED, {"of": campaign, "by": key})
    if call is None:
        raise StoreError(f"campaign {campaign}: request {key[:12]} is not open, so it cannot be {state}")
    connection.run(_SETTLE, {"call": call, "now": state, "said": reply, "why": reason})
    if took is not None:
        for held in connection.rows(_HELD, {"call": call}):
            _count(connection, _Held(*held), _counted(took))

"""sealed owns which sealed bars were opened in a workspace, and how often: counted in the opening's transaction."""

from __future__ import annotations

from array import array
from functools import partial
from typing import NamedTuple

from maestro.store.database import Connection, Database, inserting
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import LooksOvertaken
from maestro_protocol.ids import CampaignId
from maestro_protocol.messages.sealed import Claim, Looks, SealedBars, SealedDay

KNOWN_AGAIN = 0.5
"""Share of a day's hours whose prints must be known: rounded prices and mended bars change some of them."""

_OPENINGS = "SELECT market, first_ms, end_ms, look, prints FROM openings ORDER BY number"
_KEEP = inserting("openings", ("campaign", "seq", "opened_ms", "market", "first_ms", "end_ms", "look", "prints"))
_TAKEN = "SELECT count(*) FROM openings WHERE look = :look"
_ALONE = "SELECT pg_advisory_xact_lock(hashtext('maestro/openings'))"
"""On PostgreSQL: one process counts and opens at a time; on SQLite a writing transaction is alone anyway."""


class _Opening(NamedTuple):
    """A row of ``openings``, its prints unpacked."""

    market: str | None
    first_ms: int
    end_ms: int
    look: str | None
    prints: frozenset[int]


class SqlOpenings:
    """The :class:`~maestro_protocol.ports.Openings` port on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def looks(self, bars: SealedBars, look: str) -> Looks:
        """Earlier looks at *bars*; those before it was first taken, where *look* was taken already."""
        return await self._database.read(partial(count, bars, look))

    def claim(self, bars: SealedBars, look: str, earlier: int | None) -> Claim | None:
        """What to commit with the opening; whether it still holds is decided there."""
        return Claim(bars, look, earlier)


def count(bars: SealedBars, look: str, connection: Connection) -> Looks:
    """The looks at each day of *bars*: by market and time, or by what the bars are where the market has another name.

    The error that all looks at one day may make together is bounded day by day, so the day that was looked at most
    often gives the number.
    """
    seen = [0] * len(bars.days)
    for row in connection.rows(_OPENINGS):
        market, first_ms, end_ms, told, prints = row
        opening = _Opening(market, first_ms, end_ms, told, frozenset(_unpacked(prints)))
        if opening.look == look:
            break
        for place, day in enumerate(bars.days):
            seen[place] += _shows(opening, bars.market, day)
    return Looks(max(seen, default=0), sum(number > 0 for number in seen))


def _shows(opening: _Opening, market: str | None, day: SealedDay) -> bool:
    """Whether *opening* showed anything of *day*."""
    if market is not None and opening.market == market:
        return opening.first_ms < day.end_ms and day.first_ms < opening.end_ms
    if day.whole in opening.prints:
        return True
    return bool(day.hours) and sum(hour in opening.prints for hour in day.hours) >= KNOWN_AGAIN * len(day.hours)


def keep(connection: Connection, campaign: CampaignId, entry: Envelope, claim: Claim) -> None:
    """Keep *claim* with *entry*, the message that says it; a look that was taken before is not kept again.

    Raises :class:`LooksOvertaken` where its count no longer holds.
    """
    if connection.dialect == "postgresql":
        connection.rows(_ALONE)
    bars, look, earlier = claim
    if earlier is not None and count(bars, look, connection).earlier != earlier:
        raise LooksOvertaken(f"campaign {campaign}: somebody else has looked at the same sealed bars meanwhile")
    if connection.value(_TAKEN, {"look": look}):
        return
    row = {
        "campaign": campaign,
        "seq": entry.seq,
        "opened_ms": entry.time,
        "market": bars.market,
        "first_ms": bars.first_ms,
        "end_ms": bars.end_ms,
        "look": look,
        "prints": _packed(bars),
    }
    connection.run(_KEEP, row)


def _packed(bars: SealedBars) -> bytes:
    """All prints of *bars* as int64 in this machine's order of bytes, which is everyone's (little-endian)."""
    prints = array("q")
    for day in bars.days:
        prints.extend(day.hours)
        if day.whole is not None:
            prints.append(day.whole)
    return prints.tobytes()


def _unpacked(prints: bytes) -> array[int]:
    found = array("q")
    found.frombytes(prints)
    return found

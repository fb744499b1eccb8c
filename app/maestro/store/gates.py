"""gates owns the doors to the questions people answer: durable, bound to a hash, expired by an injected clock."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from maestro.store import gating
from maestro.store.database import Connection
from maestro.store.gating import GateState
from maestro.store.repository import SqlStore
from maestro_protocol.errors import GateRefused
from maestro_protocol.ids import CampaignId
from maestro_protocol.messages.gate import GateDecided, GateRequest, GateVote
from maestro_protocol.ports import Clock


class GateStore:
    """The gates of a store. Several of these, in several processes, may decide; each gate is decided once.

    Time is *clock*'s, never a vote's own: an answer that arrives at ``expires_at`` or after is late. *owner* is who
    may decide the gates that are put through this door and name nobody; it is written into them.
    """

    def __init__(self, store: SqlStore, clock: Clock, owner: str) -> None:
        self._database = store.database
        self._clock = clock
        self._owner = owner

    @property
    def place(self) -> str:
        """Where they are kept, for people."""
        return self._database.place

    async def request(self, request: GateRequest, campaign: CampaignId | None = None) -> GateState:
        """Put the question; asked again (after a restart) it is the same gate, with whatever came of it.

        Another question of the same id (another hash, other people) voids the pending gate: what was to be approved
        is no more. Where the gate was decided, that answer is none to the new question, which gets a no.
        """

        def work(connection: Connection) -> GateState:
            gating.open_gate(connection, request, campaign, self._owner)
            gating.expire(connection, self._clock.now_ms())
            return gating.answers(gating.look(connection, request.gate_id), request)

        return await self._database.write(work)

    async def vote(self, vote: GateVote) -> GateDecided | None:
        """Count one answer: the outcome when it decides, null while more people must approve. Any no decides.

        Raises :class:`GateRefused` for an answer that does not count: late, decided already, for another hash,
        from somebody who may not or who has answered. The attempt is stored all the same.
        """
        now = self._clock.now_ms()
        counted = await self._database.write(partial(gating.count_vote, vote=vote, now=now))
        if counted.refused is not None:
            raise GateRefused(f"gate {vote.gate_id}: {counted.refused}")
        return counted.decided

    async def get(self, gate_id: str) -> GateState:
        """The gate as it stands now, expired when its time is over. Raises :class:`GateRefused` for an unknown id."""

        def work(connection: Connection) -> GateState:
            gating.expire(connection, self._clock.now_ms())
            return gating.look(connection, gate_id)

        return await self._database.write(work)

    async def pending(self) -> Sequence[GateState]:
        """The gates that wait for an answer, the most urgent first."""

        def work(connection: Connection) -> Sequence[GateState]:
            gating.expire(connection, self._clock.now_ms())
            return gating.pending(connection)

        return await self._database.write(work)

    async def expire(self) -> Sequence[GateDecided]:
        """Decide the gates whose time is over; gives those that were decided by this."""
        return await self._database.write(partial(gating.expire, now=self._clock.now_ms()))

    async def void(self, gate_id: str, reason: str) -> GateDecided | None:
        """End a pending gate because what it was bound to changed; null when it was decided already."""
        now = self._clock.now_ms()
        return await self._database.write(
            partial(gating.decide, gate_id=gate_id, outcome="void", at=now, reason=reason)
        )

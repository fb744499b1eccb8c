"""gating owns a gate's state machine in SQL: pending, then approved, rejected, expired or void, exactly once.

Every step is a compare-and-set on ``state = 'pending'`` inside one transaction, so that two deciders, a restart and
an expiry in any order leave one outcome. Two deciders on PostgreSQL queue at the gate's row, on SQLite at the file.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, RowMapping, and_, func, insert, select, text, update

from maestro.store.tables import GATES, VOTES
from maestro_protocol.errors import GateRefused
from maestro_protocol.ids import CampaignId
from maestro_protocol.messages.gate import GateAnswer, GateDecided, GateRequest, GateVote

Outcome = Literal["approved", "rejected", "expired", "void"]

_OPEN = text(
    "INSERT INTO gates (gate_id, campaign, state, bound_to, expires_ms, request)"
    " VALUES (:gate_id, :campaign, 'pending', :bound_to, :expires_ms, :request) ON CONFLICT DO NOTHING"
)
_ANSWERS: dict[Outcome, GateAnswer] = {
    "approved": "approved",
    "rejected": "rejected",
    "expired": "expired",
    "void": "rejected",
}


class GateState(NamedTuple):
    """A gate as it stands. ``votes`` are those that counted, in order."""

    request: GateRequest
    campaign: CampaignId | None
    state: Literal["pending", "approved", "rejected", "expired", "void"]
    votes: tuple[GateVote, ...]
    decided: GateDecided | None


class Counted(NamedTuple):
    """What came of a vote: refused with a reason, or counted and perhaps decisive."""

    refused: str | None
    decided: GateDecided | None


def open_gate(connection: Connection, request: GateRequest, campaign: CampaignId | None) -> None:
    """Put the question, once. The same id bound to something else voids a gate that is still pending."""
    row = {
        "gate_id": request.gate_id,
        "campaign": campaign,
        "bound_to": request.bound_to,
        "expires_ms": request.expires_at,
        "request": request.model_dump_json(),
    }
    if connection.execute(_OPEN, row).rowcount == 1:
        return
    found = _locked(connection, request.gate_id)
    if found["bound_to"] != request.bound_to:
        decide(connection, request.gate_id, "void", request.asked_at, "what it was bound to changed")


def decide(
    connection: Connection, gate_id: str, outcome: Outcome, at: int, reason: str, by: tuple[str, ...] = ()
) -> GateDecided | None:
    """Give a pending gate its *outcome*; null when it had one."""
    told = f"void: {reason}" if outcome == "void" else reason
    decided = GateDecided(gate_id=gate_id, answer=_ANSWERS[outcome], by=by, at=at, reason=told[:300])
    pending = and_(GATES.c.gate_id == gate_id, GATES.c.state == "pending")
    step = update(GATES).where(pending).values(state=outcome, decided=decided.model_dump_json())
    return decided if connection.execute(step).rowcount == 1 else None


def expire(connection: Connection, now: int) -> list[GateDecided]:
    """Decide every pending gate whose time is over: silence is a no."""
    due = and_(GATES.c.state == "pending", GATES.c.expires_ms <= now)
    ids = list(connection.scalars(select(GATES.c.gate_id).where(due).order_by(GATES.c.expires_ms, GATES.c.gate_id)))
    decided = [decide(connection, gate_id, "expired", now, "nobody decided in time") for gate_id in ids]
    return [one for one in decided if one is not None]


def count_vote(connection: Connection, vote: GateVote, now: int, owner: str) -> Counted:
    """Count *vote*, or refuse it; either way the attempt is stored."""
    gate = _locked(connection, vote.gate_id)
    if gate["state"] == "pending" and gate["expires_ms"] <= now:
        decide(connection, vote.gate_id, "expired", now, "nobody decided in time")
        gate = _locked(connection, vote.gate_id)
    request = GateRequest.model_validate_json(gate["request"])
    refused = _objection(connection, gate, request, vote, owner)
    row = {
        "gate_id": vote.gate_id,
        "who": _plain(vote.who),
        "approve": vote.approve,
        "at_ms": vote.at,
        "vote": vote.model_dump_json(),
        "refused": None if refused is None else _plain(refused),
    }
    connection.execute(insert(VOTES), row)
    return Counted(refused, None if refused else _tally(connection, request, vote, now))


def _tally(connection: Connection, request: GateRequest, vote: GateVote, now: int) -> GateDecided | None:
    if not vote.approve:
        return decide(connection, vote.gate_id, "rejected", now, vote.reason or "rejected", (vote.who,))
    for_it = _counted(vote.gate_id)
    approvers = tuple(connection.scalars(select(VOTES.c.who).where(for_it).order_by(VOTES.c.number)))
    if len(approvers) < request.needs:
        return None
    return decide(connection, vote.gate_id, "approved", now, vote.reason or "approved", approvers)


def _objection(
    connection: Connection, gate: RowMapping, request: GateRequest, vote: GateVote, owner: str
) -> str | None:
    if gate["state"] != "pending":
        decided = GateDecided.model_validate_json(gate["decided"])
        by = f" by {', '.join(decided.by)}" if decided.by else ""
        return f"it is {gate['state']} already{by}: {decided.reason}"
    if vote.bound_to != request.bound_to:
        return f"the answer is for something else ({vote.bound_to[:12]}, asked was {request.bound_to[:12]})"
    if vote.who not in (request.may_decide or (owner,)):
        return f"{vote.who} may not decide it"
    mine = and_(VOTES.c.gate_id == vote.gate_id, VOTES.c.who == _plain(vote.who), VOTES.c.refused.is_(None))
    if connection.scalar(select(func.count()).where(mine)):
        return f"{vote.who} has answered it already"
    return None


def pending(connection: Connection) -> list[GateState]:
    query = select(GATES).where(GATES.c.state == "pending").order_by(GATES.c.expires_ms, GATES.c.gate_id)
    return [_state(connection, row) for row in connection.execute(query).mappings().all()]


def look(connection: Connection, gate_id: str) -> GateState:
    """The gate as it stands. Raises :class:`GateRefused` when there is none."""
    return _state(connection, _locked(connection, gate_id))


def _locked(connection: Connection, gate_id: str) -> RowMapping:
    query = select(GATES).where(GATES.c.gate_id == gate_id).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise GateRefused(f"gate {gate_id}: there is no such gate; see the pending ones with: maestro gate list")
    return row


def _state(connection: Connection, row: RowMapping) -> GateState:
    counted = and_(VOTES.c.gate_id == row["gate_id"], VOTES.c.refused.is_(None))
    votes = connection.scalars(select(VOTES.c.vote).where(counted).order_by(VOTES.c.number))
    decided: Any = row["decided"]
    return GateState(
        request=GateRequest.model_validate_json(row["request"]),
        campaign=row["campaign"],
        state=row["state"],
        votes=tuple(GateVote.model_validate_json(vote) for vote in votes),
        decided=None if decided is None else GateDecided.model_validate_json(decided),
    )


def _counted(gate_id: str) -> Any:
    return and_(VOTES.c.gate_id == gate_id, VOTES.c.refused.is_(None), VOTES.c.approve.is_(True))


def _plain(words: str) -> str:
    return words.replace("\x00", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL takes no NUL

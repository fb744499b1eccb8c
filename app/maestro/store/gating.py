"""gating owns a gate's state machine in SQL: pending, then approved, rejected, expired or void, exactly once.

Every step is a compare-and-set on ``state = 'pending'`` inside one transaction, so that two deciders, a restart and
an expiry in any order leave one outcome. Two deciders on PostgreSQL queue at the gate's row, on SQLite at the file.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from maestro.store.database import Connection, inserting
from maestro_protocol.errors import GateRefused
from maestro_protocol.ids import CampaignId
from maestro_protocol.messages.gate import GateAnswer, GateDecided, GateRequest, GateVote

Outcome = Literal["approved", "rejected", "expired", "void"]

_OPEN = (
    "INSERT INTO gates (gate_id, campaign, state, bound_to, expires_ms, request)"
    " VALUES (:gate_id, :campaign, 'pending', :bound_to, :expires_ms, :request) ON CONFLICT DO NOTHING"
)
_DECIDE = "UPDATE gates SET state = :outcome, decided = :decided WHERE gate_id = :gate AND state = 'pending'"
_OWNED = "UPDATE gates SET request = :request WHERE gate_id = :gate AND state = 'pending'"
_DUE = "SELECT gate_id FROM gates WHERE state = 'pending' AND expires_ms <= :now ORDER BY expires_ms, gate_id"
_GATES = "SELECT campaign, state, bound_to, expires_ms, request, decided FROM gates"
_GATE = {
    "sqlite": f"{_GATES} WHERE gate_id = :gate",
    "postgresql": f"{_GATES} WHERE gate_id = :gate FOR UPDATE",
}
_PENDING = f"{_GATES} WHERE state = 'pending' ORDER BY expires_ms, gate_id"
_ATTEMPT = inserting("votes", ("gate_id", "who", "approve", "at_ms", "vote", "refused"))
_MINE = "SELECT count(*) FROM votes WHERE gate_id = :gate AND who = :who AND refused IS NULL"
_APPROVERS = "SELECT who FROM votes WHERE gate_id = :gate AND refused IS NULL AND approve IS TRUE ORDER BY number"
_COUNTED = "SELECT vote FROM votes WHERE gate_id = :gate AND refused IS NULL ORDER BY number"
_ANSWERS: dict[Outcome, GateAnswer] = {
    "approved": "approved",
    "rejected": "rejected",
    "expired": "expired",
    "void": "rejected",
}


class _Gate(NamedTuple):
    """A row of ``gates``."""

    campaign: CampaignId | None
    state: Any
    bound_to: str
    expires_ms: int
    request: str
    decided: str | None


class GateState(NamedTuple):
    """A gate as it stands. ``votes`` are those that counted, in order."""

    request: GateRequest
    campaign: CampaignId | None
    state: Literal["pending", "approved", "rejected", "expired", "void"]
    votes: tuple[GateVote, ...]
    decided: GateDecided | None


class VoteResult(NamedTuple):
    """What came of a vote: refused with a reason, or counted and perhaps decisive."""

    refused: str | None
    decided: GateDecided | None


def open_gate(
    connection: Connection, request: GateRequest, campaign: CampaignId | None, owner: str | None = None
) -> None:
    """Put the question, once. Another question of the same id voids a pending gate.

    *owner* is written into it by the first who says one; until then nobody may decide what is the owner's.
    """
    request = request.model_copy(update={"owner": owner})
    row = {
        "gate_id": request.gate_id,
        "campaign": campaign,
        "bound_to": request.bound_to,
        "expires_ms": request.expires_at,
        "request": request.model_dump_json(),
    }
    if connection.run(_OPEN, row) == 1:
        return
    stored = GateRequest.model_validate_json(_locked(connection, request.gate_id).request)
    if (
        owner is not None and stored.owner is None and same_question(stored, request)
    ):  # journalled, and put by nobody so far
        connection.run(_OWNED, {"gate": request.gate_id, "request": request.model_dump_json()})
    elif not same_question(stored, request):
        decide(connection, request.gate_id, "void", request.asked_at, "what it was bound to changed")


def same_question(one: GateRequest, other: GateRequest) -> bool:
    """Whether an answer to *one* is an answer to *other*: the same thing, asked of the same people."""
    return all(getattr(one, name) == getattr(other, name) for name in ("bound_to", "needs", "may_decide", "risk"))


def answers(state: GateState, request: GateRequest) -> GateState:
    """*state*, where it is that of *request*; else a no: what people said of something else says nothing of it."""
    if same_question(state.request, request):
        return state
    reason = "void: there was another question of this name"
    decided = GateDecided(gate_id=request.gate_id, answer="rejected", by=(), at=request.asked_at, reason=reason)
    return state._replace(state="void", decided=decided)


def decide(
    connection: Connection, gate_id: str, outcome: Outcome, at: int, reason: str, by: tuple[str, ...] = ()
) -> GateDecided | None:
    """Give a pending gate its *outcome*; null when it had one."""
    told = f"void: {reason}" if outcome == "void" else reason
    decided = GateDecided(gate_id=gate_id, answer=_ANSWERS[outcome], by=by, at=at, reason=told[:300])
    step = {"gate": gate_id, "outcome": outcome, "decided": decided.model_dump_json()}
    return decided if connection.run(_DECIDE, step) == 1 else None


def expire(connection: Connection, now: int) -> list[GateDecided]:
    """Decide every pending gate whose time is over: silence is a no."""
    due = connection.rows(_DUE, {"now": now})
    decided = [decide(connection, gate_id, "expired", now, "nobody decided in time") for (gate_id,) in due]
    return [one for one in decided if one is not None]


def count_vote(connection: Connection, vote: GateVote, now: int) -> VoteResult:
    """Count *vote*, or refuse it; either way the attempt is stored."""
    gate = _locked(connection, vote.gate_id)
    if gate.state == "pending" and gate.expires_ms <= now:
        decide(connection, vote.gate_id, "expired", now, "nobody decided in time")
        gate = _locked(connection, vote.gate_id)
    request = GateRequest.model_validate_json(gate.request)
    refused = _objection(connection, gate, request, vote)
    row = {
        "gate_id": vote.gate_id,
        "who": _plain(vote.who),
        "approve": vote.approve,
        "at_ms": vote.at,
        "vote": vote.model_dump_json(),
        "refused": None if refused is None else _plain(refused),
    }
    connection.run(_ATTEMPT, row)
    return VoteResult(refused, None if refused else _tally(connection, request, vote, now))


def _tally(connection: Connection, request: GateRequest, vote: GateVote, now: int) -> GateDecided | None:
    if not vote.approve:
        return decide(connection, vote.gate_id, "rejected", now, vote.reason or "rejected", (vote.who,))
    approvers = tuple(who for (who,) in connection.rows(_APPROVERS, {"gate": vote.gate_id}))
    if len(approvers) < request.needs:
        return None
    return decide(connection, vote.gate_id, "approved", now, vote.reason or "approved", approvers)


def _objection(connection: Connection, gate: _Gate, request: GateRequest, vote: GateVote) -> str | None:
    if gate.state != "pending":
        decided = GateDecided.model_validate_json(gate.decided or "")
        by = f" by {', '.join(decided.by)}" if decided.by else ""
        return f"it is {gate.state} already{by}: {decided.reason}"
    if vote.bound_to != request.bound_to:
        return f"the answer is for something else ({vote.bound_to[:12]}, asked was {request.bound_to[:12]})"
    if not request.may_decide and request.owner is None:
        return "whose it is was not written when it was put: resume the campaign, which puts it again"
    if vote.who not in (request.may_decide or (request.owner,)):
        return f"{vote.who} may not decide it: {', '.join(request.may_decide) or request.owner} may"
    if connection.value(_MINE, {"gate": vote.gate_id, "who": _plain(vote.who)}):
        return f"{vote.who} has answered it already"
    return None


def pending(connection: Connection) -> list[GateState]:
    """The gates that somebody may answer: one that is put but names nobody yet waits for its campaign to do so."""
    waiting = [_state(connection, _Gate(*row)) for row in connection.rows(_PENDING)]
    return [state for state in waiting if state.request.may_decide or state.request.owner is not None]


def look(connection: Connection, gate_id: str) -> GateState:
    """The gate as it stands. Raises :class:`GateRefused` when there is none."""
    return _state(connection, _locked(connection, gate_id))


def _locked(connection: Connection, gate_id: str) -> _Gate:
    rows = connection.rows(_GATE[connection.dialect], {"gate": gate_id})
    if not rows:
        raise GateRefused(f"gate {gate_id}: there is no such gate; see the pending ones with: maestro gate list")
    return _Gate(*rows[0])


def _state(connection: Connection, gate: _Gate) -> GateState:
    request = GateRequest.model_validate_json(gate.request)
    votes = connection.rows(_COUNTED, {"gate": request.gate_id})
    return GateState(
        request=request,
        campaign=gate.campaign,
        state=gate.state,
        votes=tuple(GateVote.model_validate_json(vote) for (vote,) in votes),
        decided=None if gate.decided is None else GateDecided.model_validate_json(gate.decided),
    )


def _plain(words: str) -> str:
    return words.replace("\x00", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL takes no NUL

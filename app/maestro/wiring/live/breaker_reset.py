"""breaker_reset owns how the owner's word that a breaker be cleared reaches the session that it tripped in."""

from __future__ import annotations

from dataclasses import dataclass

from maestro.clock import SystemClock
from maestro.settings import Settings
from maestro.wiring import sessions
from maestro.wiring.workspace import owner
from maestro_engine.session import clearing
from maestro_engine.session.places import Run
from maestro_engine.session.safety.controls import Clearing, send_clearing
from maestro_engine.session.safety.lock import holder
from maestro_engine.trading.risk.guard import Trip
from maestro_protocol.errors import Refused


@dataclass(frozen=True)
class BreakerReset:
    """What was cleared where. *done* is False where a session runs, which has only been asked yet."""

    run: str
    asked: Clearing
    detail: str
    done: bool


def word(breaker: str, tripped_ms: int, why: str, where: str = "cli") -> Clearing:
    """Word of whoever sits at this machine; no agent has a way to give it."""
    return Clearing(breaker, tripped_ms, owner(where), why, SystemClock().now_ms())


def clear(settings: Settings, run: Run, breaker: str, why: str) -> BreakerReset:
    """Clear *breaker* of *run*: a session that runs is asked to, else its saved state is changed.

    Raises :class:`UsageError` and :class:`Refused` where it may not be cleared, or not there.
    """
    workspace = sessions.workspace_of(settings)
    held = holder(workspace)

    def ask(trip: Trip) -> Clearing:
        return word(breaker, trip.at, why)

    if held is None:
        env, secrets = run.config().env, settings.secrets()
        asked, trip = clearing.clear_at_rest(workspace, run, env, breaker, ask, secrets)
    elif held.run == run.name:
        trip = clearing.trip_of(run, breaker)
        asked = ask(trip)
        send_clearing(run.folder, asked)
    else:
        raise Refused(f"session {held.run} is running: clear what has tripped in it, or wait for its end")
    return BreakerReset(run.name, asked, trip.detail, held is None)

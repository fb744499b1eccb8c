"""clearing owns how a person clears a breaker of a session that does not run: in its saved state, and in its trail.

One that runs clears it itself (:meth:`Trader.clear`). Either way the trip is gone and the line that says who cleared
it, and why, is written, or neither is, whenever the process dies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from maestro_engine.session.places import Run, carried, runs_in
from maestro_engine.session.safety.controls import Clearing
from maestro_engine.session.safety.lock import SessionLock
from maestro_engine.session.safety.state import StateFile
from maestro_engine.session.trail.audit import Audit
from maestro_engine.session.trail.records import CircuitBreakerCleared
from maestro_engine.session.trail.scrub import Scrubber
from maestro_engine.trading.risk.guard import CLEARABLE, DAILY_LOSS, ERRORS, RiskGuard, Trip
from maestro_engine.trading.venue.state import Plain
from maestro_protocol.errors import DataError, LimitExceeded, UnknownKey, UsageError


class Breakers(Struct, frozen=True):
    """What has tripped in a session, and what was cleared in it, as it was saved last."""

    tripped: tuple[Trip, ...] = ()
    cleared: tuple[Clearing, ...] = ()


class _Cleared(Struct):
    cleared: list[Clearing] = []


def breakers_of(run: Run) -> Breakers:
    """Raises :class:`DataError` where the saved state is damaged."""
    loaded = StateFile(run.folder).load()
    if loaded is None:
        return Breakers()
    return Breakers(_guard(run, loaded.state).trips, tuple(_told(loaded.state).cleared))


def trip_of(run: Run, breaker: str) -> Trip:
    """The trip of *breaker* that *run* stands in.

    Raises :class:`LimitExceeded` for a hard limit, :class:`UsageError` where it has not tripped.
    """
    found = {trip.breaker: trip for trip in breakers_of(run).tripped}
    if breaker in (DAILY_LOSS, ERRORS):
        raise LimitExceeded(f"{breaker}: is a hard limit, which nobody clears; wait for the next day or session")
    if breaker not in CLEARABLE:
        raise UnknownKey("breakers that a person clears", breaker, CLEARABLE)
    if breaker in found:
        return found[breaker]
    raise UsageError(f"{breaker}: has not tripped in {run.name}; tripped are: {', '.join(found) or 'none'}")


def must_matter(workspace: Path, run: Run, env: str) -> None:
    """Raise :class:`UsageError` where no session will ever go on with what *run* has saved."""
    phase = run.phase()
    if phase == "open":
        return
    if phase is None or not carried(run.source):
        raise UsageError(f"{run.name}: has ended, and the next session of {run.source or 'it'} begins anew anyway")
    later = [r for r in runs_in(workspace, env) if r.source == run.source and r.phase() is not None][-1]
    if later != run:
        raise UsageError(f"{run.name}: {later.name} has taken over its account and its breakers; clear it there")


def clear_at_rest(
    workspace: Path, run: Run, env: str, breaker: str, ask: Callable[[Trip], Clearing], secrets: Sequence[str] = ()
) -> tuple[Clearing, Trip]:
    """Clear *breaker* of *run* while no session runs, as *ask* says; one that wants to start meanwhile waits.

    Raises :class:`AlreadyRunning` where one runs, :class:`Refused` and :class:`UsageError` where it may not be
    cleared, :class:`DataError`.
    """
    with SessionLock(workspace, brief=True):
        must_matter(workspace, run, env)
        mend(run)
        asked = ask(trip_of(run, breaker))
        asked.check()
        loaded = StateFile(run.folder).load()
        assert loaded is not None, "what has tripped was saved"
        state, guard = loaded.state, _guard(run, loaded.state)
        trip = asked.apply(guard)
        audit = Audit(run.folder / "events.jsonl", Scrubber(secrets))
        try:
            audit.say(CircuitBreakerCleared.of(asked, trip), msgspec.convert(state["saved_ms"], int))
            told = [*_told(state).cleared, asked]
            own = {**msgspec.convert(state["trader"], Plain), "cleared": msgspec.to_builtins(told)}
            audit.sync()
            StateFile(run.folder).save(
                {**state, "seq": audit.seq, "pending": audit.pending(), "guard": guard.to_dict(), "trader": own}
            )
            audit.flush()
        finally:
            audit.close()
        return asked, trip


def mend(run: Run) -> None:
    """Write the lines that the saved state of *run* knows and its trail does not: whoever saved them has died.

    Raises :class:`DataError`.
    """
    loaded = StateFile(run.folder).load()
    if loaded is not None:
        audit = Audit(run.folder / "events.jsonl", Scrubber())
        try:
            pending = msgspec.convert(loaded.state["pending"], list[str])
            audit.recover(msgspec.convert(loaded.state["seq"], int), pending, again=run.config().own_time)
        except (KeyError, msgspec.ValidationError) as error:
            raise DataError(f"{run.folder}: its saved state cannot be read ({error})") from None
        finally:
            audit.close()


def _guard(run: Run, state: Plain) -> RiskGuard:
    try:
        return RiskGuard.from_dict(msgspec.convert(state["guard"], Plain), run.config().risk())
    except (KeyError, msgspec.ValidationError) as error:
        raise DataError(f"{run.folder}: its saved breakers cannot be read ({error})") from None


def _told(state: Plain) -> _Cleared:
    return msgspec.convert(state.get("trader", {}), _Cleared)

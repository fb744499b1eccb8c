"""control owns the commands by which a session's owner ends it, or lets it trade again."""

from __future__ import annotations

from typing import Annotated

import typer

from maestro.cli.session.options import Json, Out, RunArg, settings_with
from maestro.lines import emit, say
from maestro_protocol.errors import UsageError


def stop(
    kill: Annotated[bool, typer.Option("--kill", help="Switch the kill switch on: nothing starts after it.")] = False,
    out: Out = None,
) -> None:
    """Ask a session, or a chain that waits, to end in order; with --kill, to get flat at once and stay off."""
    from maestro.wiring import sessions

    for name in sessions.ask_to_end(settings_with(out), "kill" if kill else "stop"):
        say(f"{name} was asked to end")


def release(out: Out = None) -> None:
    """Switch the kill switch off again, by taking away its file."""
    from maestro.wiring import sessions
    from maestro_engine.session.safety.controls import KILL_FILE

    (sessions.workspace_of(settings_with(out)) / KILL_FILE).unlink(missing_ok=True)
    say("the kill file is gone; the environment may still say MAESTRO_KILL_SWITCH")


def clear(
    breaker: Annotated[str, typer.Argument(help="What has tripped: losing_streak or drawdown.")],
    run: RunArg = "last",
    why: Annotated[str, typer.Option(help="Why it may trade again; kept in the trail with your name.")] = "",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Let a session enter again after a losing streak or a drawdown. Hard limits nobody clears."""
    from maestro.wiring import sessions
    from maestro.wiring.live import breaker_reset

    if not why.strip():
        raise UsageError("--why: say why it may trade again; it is kept in the trail")
    settings = settings_with(out)
    done = breaker_reset.clear(settings, sessions.run_called(settings, run), breaker, why)
    asked = done.asked
    if as_json:
        said = {"run": done.run, "breaker": asked.breaker, "done": done.done, "who": asked.who, "why": asked.why}
        emit({**said, "at": asked.asked_ms, "tripped": asked.tripped_ms, "detail": done.detail})
    elif done.done:
        say(f"{asked.breaker} of {done.run} is cleared by {asked.who} ({done.detail})")
    else:
        say(f"{done.run} was asked to clear {asked.breaker}; maestro session status shows it")

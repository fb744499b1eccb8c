"""agent owns the command that runs one role in a process of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from maestro_protocol.errors import UsageError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run a role in a process of its own.")


@app.callback()
def _agent() -> None:
    """Run a role in a process of its own."""


@app.command("run")
def run(
    role: Annotated[str, typer.Argument(help="maestro, strategist, critic or implementer.")],
    bus: Annotated[
        str | None,
        typer.Option(help="redis://HOST:PORT/DB#NAME; a NAME keeps workspaces apart.  [default: MAESTRO_BUS_URL]"),
    ] = None,
    brain: Annotated[
        str, typer.Option(help="BRAIN[:MODEL], as the campaigns name it for this role; a model needs their store.")
    ] = "offline",
    out: Annotated[Path | None, typer.Option("--out", help="Where campaigns are kept.  [default: runs]")] = None,
) -> None:
    """Answer the questions that campaigns started with --remote ROLE put to this role, until stopped."""
    from maestro.cli.campaign import settings_with
    from maestro.cli.model_options import parse_brain
    from maestro.wiring.agent_worker import answer_questions
    from maestro.wiring.brains import role_names
    from maestro.wiring.gates import tell_on_stderr

    if role not in (known := role_names()):
        raise UsageError(f"role {role[:40]!r} is not known; choose one of: {', '.join(known)}")
    choice = parse_brain(f"{role}={brain}")
    asyncio.run(answer_questions(choice, settings_with(out, bus), tell_on_stderr))

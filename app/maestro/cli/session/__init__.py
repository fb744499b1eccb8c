"""session owns the commands that run an unattended paper session, ask about it, end it, and check its evidence."""

from __future__ import annotations

import typer

from maestro.cli.session import looking, running, steering

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Run an unattended paper session, and check its evidence."
)
for _command in (
    running.run,
    running.plan,
    looking.status,
    looking.watch,
    steering.stop,
    steering.release,
    steering.clear,
    looking.verify,
):
    app.command()(_command)

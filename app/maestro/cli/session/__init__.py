"""session owns the commands that run an unattended paper session, ask about it, end it, and check its evidence."""

from __future__ import annotations

import typer

from maestro.cli.session import control, running, status

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Run an unattended paper session, and check its evidence."
)
for _command in (
    running.run,
    running.plan,
    status.status,
    status.watch,
    control.stop,
    control.release,
    control.clear,
    status.verify,
):
    app.command()(_command)

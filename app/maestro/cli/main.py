"""main owns the command tree and the end of every command: one line for a person, an exit code for a program."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from maestro import process
from maestro.cli import campaign, data, exchange, gate, info, lineage, session, study
from maestro.cli.operate import agent, doctor
from maestro.lines import warn
from maestro_protocol.errors import MaestroError

app = typer.Typer(
    name="maestro",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Role agents that search for trading edges on an embedded engine, and an honest verdict at the end.",
    epilog="--debug, anywhere, shows the whole trace of an error.",
)
app.add_typer(agent.app, name="agent")
app.add_typer(campaign.app, name="campaign")
app.add_typer(data.app, name="data")
app.add_typer(exchange.app, name="exchange")
app.add_typer(session.app, name="session")
app.add_typer(gate.app, name="gate")
campaign.app.command("journal")(lineage.journal)
app.add_typer(study.app, name="study")
app.command("why")(lineage.why)
app.command("costs")(lineage.costs)
app.command("doctor")(doctor.doctor)
app.command("clean")(doctor.clean)
app.command("methods")(info.methods)
app.command("metrics")(info.metrics)
app.command("schema")(info.schema)
app.command("version")(info.version)


def _version(asked: bool) -> None:
    if asked:
        info.version()
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version, and exit.")
    ] = False,
) -> None:
    """Role agents that search for trading edges on an embedded engine, and an honest verdict at the end."""


def run() -> None:
    """The command line: any error of ours is one line on standard error and its own exit code.

    ``--debug`` may stand anywhere and shows the whole trace.
    """
    process.open_streams()
    process.spare()
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        app(arguments)
    except MaestroError as error:
        if debug:
            raise
        warn(f"maestro: {error!s}")
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:
        raise SystemExit(1) from None
    except OSError as error:
        if debug:
            raise
        warn(f"maestro: the system refused: {error!s}; see to it and try again")
        raise SystemExit(1) from None
    finally:
        process.leave()

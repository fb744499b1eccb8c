"""options owns what several of a session's commands are given, and where they look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from maestro.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Out = Annotated[Path | None, typer.Option("--out", help="Where runs are kept.  [default: runs]")]
RunArg = Annotated[str, typer.Argument(help="Id of the session, its folder, or last.")]


def settings_with(out: Path | None) -> Settings:
    from maestro.cli.campaign import settings_with as campaigns

    return campaigns(out)


def way_out(breaker: str) -> str:
    """How a tripped breaker ends: a person clears it, or the day or the session does."""
    from maestro_engine.trading.risk.guard import CLEARABLE, DAILY_LOSS

    if breaker in CLEARABLE:
        return f"you clear it: maestro session clear {breaker} --why ..."
    over = "the UTC day is over" if breaker == DAILY_LOSS else "this session is over"
    return f"{over}; nobody clears it"

"""info owns the commands about the product itself: its methods, its metrics, its schemas, its version."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from maestro.cli.output import table
from maestro.lines import emit, say
from maestro_protocol.errors import UsageError

Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--methods",
        "--method",
        help="What to search among, as `maestro methods` lists it, or all; again, or with commas.  [default: three]",
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metrics",
        "--metric",
        help="What to measure tests by too, as `maestro metrics` lists it; again, or with commas.  [default: none]",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def methods(
    method: Annotated[str | None, typer.Argument(help="Only this method's parameters.")] = None, as_json: Json = False
) -> None:
    """List the methods and their parameters: defaults, bounds, units."""
    from maestro_engine import methods as registry

    chosen = registry.all_methods() if method is None else (registry.get(method),)
    groups = [(m.name, m.about, m.specs) for m in chosen] + [
        ("shared", "exits, gates and voting, which every method has", registry.COMMON),
        ("optional", "exits that are off unless they are asked for by name", registry.OPTIONAL_EXITS),
    ]
    if as_json:
        emit({n: {"about": a, "parameters": [s.model_dump(mode="json") for s in specs]} for n, a, specs in groups})
        return
    columns = ["parameter", "default", "low", "high", "step", "unit", "about"]
    for name, about, specs in groups:
        rows = [{"parameter": s.name, **s.model_dump(mode="json")} for s in specs]
        table(f"{name}: {about}", columns, rows)


def metrics(as_json: Json = False) -> None:
    """List the metrics that a campaign may be asked for beside those that every test has."""
    from maestro_engine.metrics import further

    known = further.described(further.REGISTRY.names())
    rows = [{**metric.model_dump(), "from": str(further.REGISTRY.origin(metric.name)).strip()} for metric in known]
    if as_json:
        emit(rows)
    else:
        table("Metrics to ask for with --metrics", ["name", "label", "unit", "better", "from"], rows)


def named(**options: Sequence[str] | None) -> dict[str, tuple[str, ...] | None]:
    """The names behind each of *options*, which take several: given again, or with commas; each name once."""
    return {
        option: tuple({name.strip() for text in given or () for name in text.split(",") if name.strip()}) or None
        for option, given in options.items()
    }


def schema(
    write: Annotated[Path | None, typer.Option(help="Bring the schema files in this folder up to date.")] = None,
    check: Annotated[Path | None, typer.Option(help="Exit with 1 when the files in this folder are stale.")] = None,
    as_json: Json = False,
) -> None:
    """Print the JSON Schemas of all messages, or write or check the files in a folder."""
    from maestro_protocol import schema as schemas

    if write is not None:
        try:
            changed = schemas.write(write)
        except OSError as error:
            raise UsageError(f"--write {write}: cannot be written ({error.strerror}); name a folder") from None
        _names("changed", changed, as_json)
    elif check is not None:
        stale = schemas.drift(check)
        _names("stale", stale, as_json)
        raise typer.Exit(1 if stale else 0)
    else:
        emit(dict(schemas.schemas()))


def _names(what: str, names: Sequence[str], as_json: bool) -> None:
    if as_json:
        emit({what: list(names)})
    else:
        say(*names or ("up to date",))


def version(as_json: Json = False) -> None:
    """Print the version."""
    from importlib.metadata import version as of

    if as_json:
        emit({"maestro": of("maestro"), "python": sys.version.split()[0]})
    else:
        say(f"maestro {of('maestro')}")

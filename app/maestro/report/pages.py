"""pages owns the report's door: a campaign's folder in, summary.md and summary.html out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import jinja2

from maestro.report import audit_tables, sheets, tables
from maestro.report.campaign_data import Facts, gather
from maestro.report.headline import headline
from maestro.report.plots.gallery import draw
from maestro_protocol.errors import StoreError
from maestro_protocol.sanitize import printable

_TEMPLATES = Path(__file__).parent / "templates"


def write_report(folder: Path) -> tuple[Path, Path]:
    """Write the campaign's summary.md and summary.html anew, each whole or not at all; their paths.

    Raises DataError where a file of the campaign cannot be read, StoreError where nothing can be written.
    """
    facts = gather(folder)
    view = _view(facts)
    return (
        write_page(folder / "summary.md", "summary.md.j2", view),
        write_page(folder / "summary.html", "summary.html.j2", view | {"plots": draw(facts)}),
    )


def _view(facts: Facts) -> dict[str, object]:
    """What both pages show: the same facts, in the same words."""
    return {
        "config": facts.config,
        "simulated": facts.simulated,
        "head": headline(facts),
        "missing": facts.missing,
        "pages": facts.told.pages if facts.told else (),
        "files": facts.files,
        "why": tables.present([tables.behind_verdict(facts), tables.finalists(facts), tables.further_metrics(facts)]),
        "earned": tables.present([sheets.returns(facts), sheets.costs(facts)]),
        "traded": tables.present([sheets.kinds(facts), sheets.falls(facts)]),
        "closer": tables.present([tables.finalist_figures(facts), tables.parameters(facts)]),
        "results": tables.present([tables.memory(facts), tables.segments(facts), tables.leaderboard(facts)]),
        "trail": tables.present([audit_tables.trials(facts), audit_tables.patches(facts), audit_tables.gates(facts)]),
        "rest": tables.present(
            [audit_tables.calls(facts), audit_tables.fallbacks(facts), audit_tables.settings(facts)]
        ),
    }


def write_page(target: Path, template: str, view: Mapping[str, object]) -> Path:
    """Write *view* in the words of *template* to *target*, whole or not at all. Raises StoreError."""
    return _write(target, _page(template, view))


def _page(template: str, view: Mapping[str, object]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = markdown
    return printable(environment.get_template(template).render(view))


_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#&])")


def markdown(text: object) -> str:
    """*text* in one line that no Markdown reader takes for anything but text."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def _write(target: Path, text: str) -> Path:
    temporary = target.with_name(f".{target.name}.new")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(target)
    except OSError as error:
        raise StoreError(f"{target}: cannot be written ({error.strerror}); free some space or choose --out") from None
    return target

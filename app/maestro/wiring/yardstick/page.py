"""page owns study.html: a study of searches to look at, from the results that lie beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maestro.report import formatting
from maestro.report.pages import write_page
from maestro.report.tables import Table
from maestro.wiring.yardstick import pictures
from maestro.wiring.yardstick.cells import Study
from maestro.wiring.yardstick.comparison import ArmRow, Interval, Overall

PAGE = "study.html"


def write_study(folder: Path, study: Study, rows: Sequence[ArmRow], sums: Sequence[Overall], base: str) -> Path:
    """Write the page of *study* into *folder*, whole or not at all; its path. Raises StoreError."""
    view = {
        "title": "Searches compared",
        "sentence": _sentence(sums, base),
        "meaning": _meaning(study, len({(row.market, row.size) for row in rows})),
        "overall": pictures.over_all(sums),
        "sums": _sums(sums),
        "markets": pictures.edges(rows),
        "answers": pictures.answers(rows),
        "rows": _rows(rows, base),
    }
    return write_page(folder / PAGE, "study.html.j2", view)


def _sentence(sums: Sequence[Overall], base: str) -> str:
    own = next((each for each in sums if each.arm == base), None)
    others = [each for each in sums if each.arm != base and each.percent is not None]
    if own is None or own.percent is None:
        return "No search is measured on a market of a medium limit yet."
    text = f"The picks of {base} are worth {own.percent:.0f} % of the best in hindsight"
    if others:
        text += f"; of the other searches {others[0].arm} is best with {others[0].percent:.0f} %"
    return f"{text}."


def _meaning(study: Study, markets: int) -> str:
    return (
        f"{len(study.arms)} searches with {study.tests:,} one-window backtests each, quick tests and twins counted, "
        f"on {markets} markets with up to {study.seeds} seeds; methods: {', '.join(study.methods)}. What a pick is "
        "worth is measured on bars that no search saw."
    )


def _sums(sums: Sequence[Overall]) -> Table:
    return Table(
        "sums",
        "Over all markets",
        (
            ("Search", "name"),
            ("Percent", "num"),
            ("Standing aside as 0", "num"),
            ("Nothing to find, USD a day", "num"),
        ),
        tuple(
            (each.arm, _number(each.percent), _number(each.traded_percent), _number(each.nothing)) for each in sums
        ),
        "Percent of the best in hindsight, each market with a limit of 250 to 900 USD a day counted once.",
    )


def _rows(rows: Sequence[ArmRow], base: str) -> Table:
    return Table(
        "rows",
        "Every search on every market",
        (
            ("Market", "name"), ("Search", "name"), ("Seeds", "num"), ("Limit", "num"), ("Edge, USD a day", "name"),
            ("As traded", "name"), ("Aside", "num"), ("Percent", "num"), (f"Over {base}", "name"),
            ("First seen", "num"), ("Backtests", "num"), ("Seconds", "num"),
        ),
        tuple(
            (
                f"{row.market} {row.size}", row.arm, str(row.seeds), _number(row.limit), _span(row.edge),
                _span(row.traded), f"{row.aside:.0%}", _number(row.percent), _span(row.over),
                _number(row.first_seen), _number(row.tests), f"{row.seconds:.2f}",
            )
            for row in rows
        ),
        "Edge: of the pick, traded or not. As traded: 0 where the search stands aside. Over: on the same seeds.",
    )  # fmt: skip


def _number(value: float | None) -> str:
    return formatting.shown(None) if value is None else f"{value:,.0f}"


def _span(span: Interval | None) -> str:
    return formatting.shown(None) if span is None else f"{span.mean:,.0f} ({span.low:,.0f} to {span.high:,.0f})"

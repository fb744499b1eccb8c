"""schema owns which revision of the database this Maestro needs, and the statements that make one from nothing."""

from __future__ import annotations

from importlib import resources

HEAD = "0005"
"""What an up-to-date database is stamped with."""
TABLES = (
    *("campaigns", "journal", "runs", "results", "openings"),
    *("calls", "requests", "spending", "budgets", "gates", "votes"),
)
EXTRAS = "0001"
"""The revision that last changed what tables cannot say."""


def making(dialect: str) -> list[str]:
    """The tables of ``HEAD`` as statements of ``sqlite`` or ``postgresql``."""
    return _statements(f"schema_{dialect}.sql")


def extras(dialect: str, revision: str = EXTRAS) -> list[str]:
    """What tables cannot say, as statements of ``sqlite`` or ``postgresql``: the views of *revision*, and storage."""
    return _statements(f"extras_{revision}_{dialect}.sql")


def _statements(name: str) -> list[str]:
    file = resources.files("maestro.store") / "migrations" / name
    return [part.strip() for part in file.read_text(encoding="utf-8").split(";") if part.strip()]

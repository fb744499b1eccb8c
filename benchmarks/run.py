"""run owns the benchmark's command: which cases, how often, and where the table goes. Timings are never a test."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import cases
from maestro import process
from measuring import machine, table
from measuring.bench import Bench, Case
from measuring.results import Row, missing
from measuring.table import Section

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
METHOD = (
    "Medians of interleaved repetitions; ratios compare processes that took turns in this run. CPU time is beside "
    "wall time because a busy machine spoils the second more than the first."
)
BUSY = "The machine was busy: figures by wall time are worse than they would be, and ratios may be off."


def known() -> dict[str, Case]:
    """Every case, by name."""
    names = [found.name for found in pkgutil.iter_modules(cases.__path__)]
    return {name: cast("Case", importlib.import_module(f"cases.{name}")) for name in names}


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def rows_of(case: Case, bench: Bench) -> tuple[list[Row], bool]:
    """A case's rows, and whether it came to its end. What broke is a row, and the other cases go on."""
    rows: list[Row] = []
    try:
        rows.extend(case.measure(bench))
    except Exception as error:  # noqa: BLE001 - shown in the table; the run fails at its end
        rows.append(missing("this case broke", f"{type(error).__name__}: {error}"[:400]))
        return rows, False
    return rows, True


def main(arguments: Sequence[str]) -> int:
    there = known()
    parser = argparse.ArgumentParser(description="How fast, against what was promised and against named peers.")
    parser.add_argument("--quick", action="store_true", help="a first look: fewer repetitions, the small sets only")
    parser.add_argument("--only", action="append", choices=sorted(there), metavar="CASE", help=", ".join(there))
    asked = parser.parse_args(arguments)
    process.spare()  # as the product's own process does
    sections: list[Section] = []
    whole = True
    was_busy = machine.busy()
    about = machine.describe(ROOT)
    with tempfile.TemporaryDirectory(prefix="maestro-bench-") as scratch:
        bench = Bench(ROOT, Path(scratch), asked.quick, tell)
        for name in asked.only or there:
            tell(name)
            rows, ended = rows_of(there[name], replace(bench, scratch=_folder(bench.scratch / name)))
            whole = whole and ended
            sections.append(Section(name, there[name].TITLE, rows))
            print(table.plain(sections[-1]), flush=True)
    _write(sections, about, [METHOD, *([BUSY] if was_busy else [])])
    return 0 if whole else 1


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _write(sections: Sequence[Section], about: dict[str, object], notes: Sequence[str]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    document = {"machine": about, "notes": notes, "cases": table.as_json(sections)}
    (RESULTS / "latest.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "latest.md").write_text(table.markdown(sections, about, notes), encoding="utf-8")
    tell(f"written to {(RESULTS / 'latest.md').relative_to(ROOT)}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""table owns how results are shown: to a person at once, as Markdown for the README, as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from measuring.results import Row, Target

HEAD = ("", "measured", "promised", "met", "by CPU time", "one repetition (min .. max)", "note")


@dataclass(frozen=True)
class Section:
    """One case's rows."""

    name: str
    title: str
    rows: Sequence[Row]


def figure(value: float | None, unit: str) -> str:
    """Three digits, with the unit that reads best: ``0.0123 s`` is ``12.3 ms``."""
    if value is None:
        return "-"
    if unit == "s":
        for scale, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
            if value >= scale or name == "us":
                return f"{value / scale:.3g} {name}"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text}{'' if unit in ('x', '%') else ' '}{unit}"


def _promise(target: Target | None, unit: str) -> str:
    if target is None:
        return ""
    return f"{'>=' if target.kind == 'least' else '<='} {figure(target.figure, unit)}"


def cells(row: Row) -> tuple[str, ...]:
    """One line of the table, in the order of HEAD."""
    spent = ""
    if row.samples is not None:
        low, high = row.samples.span
        spent = f"{figure(row.samples.wall, 's')} ({figure(low, 's')} .. {figure(high, 's')})"
    return (
        row.what,
        figure(row.measured, row.unit),
        _promise(row.target, row.unit),
        {None: "", True: "yes", False: "NO"}[row.met],
        "" if row.by_cpu is None else figure(row.by_cpu, row.unit),
        spent,
        row.note,
    )


def markdown(sections: Sequence[Section], machine: Mapping[str, object], notes: Sequence[str]) -> str:
    lines = ["# Benchmarks", ""]
    about = "{processor}, {cores} cores, Python {python}, {system}; commit {commit}; load {load}"
    lines += [about.format_map(machine), "", *(f"{note}\n" for note in notes)]
    for section in sections:
        lines += [f"## {section.title}", "", _line(HEAD), _line(["---"] * len(HEAD))]
        lines += [_line(cells(row)) for row in section.rows]
        lines.append("")
    return "\n".join(lines)


def _line(values: Sequence[str]) -> str:
    return "| " + " | ".join(value.replace("|", "/") for value in values) + " |"


def plain(section: Section) -> str:
    """The section for a terminal: what, measured, promised, met; the note under it."""
    lines = [section.title]
    for row in section.rows:
        what, measured, promised, met, by_cpu, _, note = cells(row)
        cpu = f"(cpu {by_cpu})" if by_cpu else ""
        lines.append(f"  {what:<68} {measured:>14} {cpu:<18} {promised:<14} {met}".rstrip())
        if note:
            lines.append(f"      {note}")
    return "\n".join(lines)


def as_json(sections: Sequence[Section]) -> list[dict[str, object]]:
    return [{"case": s.name, "title": s.title, "rows": [_json_row(row) for row in s.rows]} for s in sections]


def _json_row(row: Row) -> dict[str, object]:
    target, samples = row.target, row.samples
    return {
        "what": row.what,
        "measured": row.measured,
        "by_cpu": row.by_cpu,
        "unit": row.unit,
        "promised": None if target is None else {target.kind: target.figure},
        "met": row.met,
        "wall": [] if samples is None else [sample.wall for sample in samples.taken],
        "cpu": [] if samples is None else [sample.cpu for sample in samples.taken],
        "note": row.note,
    }

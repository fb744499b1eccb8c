"""prompt_reader owns the way back from a rendered prompt to its question: what a model can know, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from maestro_protocol.config import DataRef
from maestro_protocol.messages.plan import Critique, PlanEvent, Proposal, SegmentPlan
from maestro_protocol.messages.report import Alert, Briefing, Metrics, VariationReport
from maestro_protocol.messages.work import TaskSpec
from maestro_protocol.space import ParameterSpec
from maestro_protocol.values import Change, as_params

Question = Briefing | TaskSpec


def question_in(system: str, turn: str) -> Question:
    """The question behind a prompt, as far as the prompt tells it."""
    role = _one(r"^You are the (\w+) of", system)
    wants = _one(r"## What is wanted\nAn? (\w+)", turn)
    if wants == "TaskAssigned":
        return TaskSpec.model_validate(_block(turn, "work order"))
    segment, segments, goal, tests, number = re.search(
        r"Segment (\d+) of (\d+), goal `(\w+)`, (\d+) tests\. Turn (\d+)\.", turn
    ).groups()  # type: ignore[union-attr]
    space = tuple(_specs(turn))
    history, current = _history(turn, space)
    given = {"plan": SegmentPlan, "proposal": Proposal, "critique": Critique, "request": PlanEvent}
    said = {kind: _said(turn, kind, model) for kind, model in given.items()}
    return Briefing(
        role=role,  # type: ignore[arg-type]
        wants=wants,  # type: ignore[arg-type]
        turn=int(number),
        segment=int(segment),
        segments=int(segments),
        goal=goal,  # type: ignore[arg-type]
        data=_data(turn),
        round_trip_cost_usd=float(_one(r"costs ([\d.]+) USD at the size", turn)),
        tests=int(tests),
        space=space,
        methods=tuple(_one(r"Methods offered: (.+)\.", turn).split(", ")),
        targets=tuple(_targets(turn)),
        history=history,
        current=current,
        plan=said["plan"],
        proposal=said["proposal"],
        critique=said["critique"],
        asked=said["request"],
        alerts=tuple(_alerts(turn)),
        notes=tuple(json.loads(note) for note in _blocks(turn, "note")),
    )


def _one(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    assert found, f"the prompt does not say {pattern}"
    return found.group(1)


def _blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf'<data source="\w+" kind="{kind}">\n(.*?)\n</data>', text, re.DOTALL)


def _block(text: str, kind: str) -> Any:
    found = _blocks(text, kind)
    return json.loads(found[0]) if found else None


def _said(text: str, kind: str, model: Any) -> Any:
    given = _block(text, kind)
    return None if given is None else model.model_validate(given)


def _rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table after *heading*, without its head."""
    if heading not in text:
        return []
    lines = text.split(heading, 1)[1].split("\n## ", 1)[0].splitlines()
    table = [line for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def _value(text: str) -> Any:
    return {"true": True, "false": False, "unknown": None}.get(text) if text.isalpha() else float(text)


def _specs(turn: str) -> Iterator[ParameterSpec]:
    for name, owner, kind, default, bounds, _, begins, step, unit, rule, about in _rows(turn, "## Parameters"):
        low, high = (0.0, 1.0) if kind == "bool" else map(float, bounds.split(" .. "))
        start = re.match(r"(\S+) \.\. ([^\s,]+)", begins)
        needs = "taker_volume" if "not usable" in about or name in ("gate_cvd", "gate_imb") else None
        given = _value(default)
        yield ParameterSpec(
            name=name,
            kind=kind,  # type: ignore[arg-type]
            default=int(given) if kind == "int" else given,
            low=low,
            high=high,
            step=1.0 if step == "-" else float(step),
            unit=unit,  # type: ignore[arg-type]
            about=about,
            needs=needs,
            scale="log" if begins.endswith("log") else "linear",
            search_low=float(start[1]) if start else None,
            search_high=float(start[2]) if start else None,
            method=None if owner == "all" else owner,
            below=_told(r"below (\w+)", rule),
            switch=_told(r"while (\w+)", rule),
        )


def _told(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found.group(1) if found else None


def _data(turn: str) -> DataRef:
    symbol = re.search(r"^Market: ([A-Z0-9._-]+), \d{4}-", turn, re.MULTILINE)
    return DataRef(
        source="prompt",
        symbol=symbol.group(1) if symbol else "HIDDEN",
        timeframe=_one(r"(\w+) bars, \d+ of them", turn),  # type: ignore[arg-type]
        bars=int(_one(r"bars, (\d+) of them", turn)),
        digest="0" * 64,
        first_ms=0,
        last_ms=1,
        simulated="them, simulated" in turn,
        has_taker_volume="taker volume recorded" in turn,
    )


def _targets(turn: str) -> Iterator[dict[str, Any]]:
    for metric, side, value in re.findall(r"^- (\w+) (at least|at most) (\S+)$", turn, re.MULTILINE):
        yield {"metric": metric, "op": ">=" if side == "at least" else "<=", "value": float(value)}


def _history(
    turn: str, space: tuple[ParameterSpec, ...]
) -> tuple[tuple[VariationReport, ...], VariationReport | None]:
    history = tuple(_report(row, space) for row in _rows(turn, "## History"))
    running = [_report(row, space) for row in _rows(turn, "## Running now")]
    return history, running[0] if running else None


def _report(row: list[str], space: tuple[ParameterSpec, ...]) -> VariationReport:
    kinds = {spec.name: spec.kind for spec in space}
    params: dict[str, Any] = {}
    for pair in [] if row[3] == "defaults" else row[3].split(", "):
        name, value = pair.split(" ")
        params[name] = int(float(value)) if kinds[name] == "int" else _value(value)
    figures = [None if cell == "-" else float(cell) for cell in row[6:15]]
    names = ("expectancy", "hit", "payoff", "profit_factor", "sharpe", "maxdd", "blunders_per_100", "high_vol_share")
    told = dict(zip((*names, "score"), figures, strict=True))
    trades = int(row[5])
    wins = round(trades * (told["hit"] or 0.0))
    return VariationReport(
        run_id=row[0],
        segment=int(row[1]),
        methods=tuple(row[2].split(" + ")),
        params=as_params(params),
        tests=int(row[4]),
        phase="train",
        fate=row[15],  # type: ignore[arg-type]
        metrics=Metrics(
            n_trades=trades,
            wins=wins,
            losses=trades - wins,
            gross_win=Decimal(0),
            gross_loss=Decimal(0),
            total_pnl=Decimal(str(round((told["expectancy"] or 0.0) * trades, 2))),
            blunders=0,
            exposure=None,
            **(told | {"maxdd": Decimal(str(told["maxdd"] or 0))}),  # type: ignore[arg-type]
        ),
    )


def _alerts(turn: str) -> Iterator[Alert]:
    evidence = [json.loads(text) for text in _blocks(turn, "evidence")]
    for i, (rule, metric, value, line, episodes, changes) in enumerate(_rows(turn, "## Alerts")):
        found = re.findall(r"(\w+) from (\S+) to ([^\s;]+)", changes)
        yield Alert(
            rule=rule,
            metric=metric,  # type: ignore[arg-type]
            value=float(value),
            line=float(line),
            episodes=int(episodes),
            evidence=evidence[i],
            change=tuple(Change(parameter=name, old=_value(old), new=_value(new)) for name, old, new in found),
        )

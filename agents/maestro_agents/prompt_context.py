"""prompt_context owns what a model is shown of a question: plain data for the prompts, blinded where asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from maestro_agents.answer_schema import answer_schema, schema_text
from maestro_agents.roles import ROLES, rules_of
from maestro_agents.roles.advisors import ADVISORS
from maestro_agents.roles.base import Question, turn_of, wanted
from maestro_agents.roles.evidence import reading
from maestro_agents.roles.search_space import COST_MULTIPLE
from maestro_agents.search import Estimate, estimate_all
from maestro_agents.search.effects import marginal_effects
from maestro_agents.search.finalists import Z_TO_OPEN
from maestro_agents.search.view import SearchView
from maestro_prompts.blind import redacted
from maestro_protocol.messages.plan import RoleName, Target
from maestro_protocol.messages.report import Alert, Briefing, VariationReport
from maestro_protocol.messages.work import TaskSpec
from maestro_protocol.space import ParameterSpec, Value

FIGURES = (
    "expectancy",
    "hit",
    "payoff",
    "profit_factor",
    "sharpe",
    "maxdd",
    "blunders_per_100",
    "high_vol_share",
    "score",
)

CANDIDATES = 20
"""Variants that a question tells of, the best first."""


def shown(question: Question, role: RoleName, *, blind: bool) -> dict[str, Any]:
    """Everything the prompt templates may use. With *blind*, dates and symbols are not in it at all."""
    base: dict[str, Any] = {
        "role": role,
        "duty": rules_of(role).duty,
        "wants": wanted(question),
        "turn": turn_of(question),
        "blind": blind,
        "instructions": "" if role in ROLES else ADVISORS.get(role).prompt,
        "json_schema": answer_schema(wanted(question)),
        "schema_text": schema_text(wanted(question)),
    }
    if isinstance(question, TaskSpec):
        return base | {"task": question.model_dump(mode="json")}
    said = _spoken(question)
    if blind:
        said = cast("dict[str, Any]", redacted(said, symbol=question.data.symbol))
    return base | _campaign(question, blind=blind) | said


def system_template(role: RoleName) -> str:
    """The template of *role*'s system prompt: roles from outside share one, which holds their own words."""
    return f"system_{role}.md.j2" if role in ROLES else "system_advisor.md.j2"


def _campaign(briefing: Briefing, *, blind: bool) -> dict[str, Any]:
    cost = briefing.round_trip_cost_usd
    ranges = {span.parameter: (span.low, span.high) for span in briefing.plan.ranges} if briefing.plan else {}
    defaults = {spec.name: spec.default for spec in briefing.space}
    return {
        "segment": briefing.segment,
        "segments": briefing.segments,
        "goal": briefing.goal,
        "tests": briefing.tests,
        "methods": list(briefing.methods),
        "market": _market(briefing, blind=blind),
        "cost": f"{cost:.2f}",
        "cost_floor": f"{COST_MULTIPLE * cost:.0f}",
        "cost_multiple": f"{COST_MULTIPLE:g}",
        "cost_examples": [{"target": f"{k * cost:.0f}", "share": f"{1 / k:.0%}"} for k in (2, 3, 5, 10)],
        "targets": [_target(target) for target in briefing.targets],
        "parameters": [_parameter(spec, briefing, ranges.get(spec.name)) for spec in briefing.space],
        "history": [_report(report, defaults) for report in briefing.history],
        "current": _report(briefing.current, defaults) if briefing.current else None,
        "alerts": [_alert(alert) for alert in briefing.alerts],
        "search": _search(briefing) if briefing.observations else None,
        "z_to_open": f"{Z_TO_OPEN:g}",
    }


def _search(briefing: Briefing) -> dict[str, Any]:
    """The search as the templates show it."""
    view = SearchView(briefing)
    estimates = estimate_all(view.seen)
    fates = {o.run_id: o.fate for o in briefing.observations}
    counted = Counter(method for variant in view.runs for method in variant.methods)
    asked = briefing.round
    return {
        "tests": len(view.seen),
        "budget": briefing.budget,
        "known": len(view.runs),
        "windows": len(view.race.windows),
        "round": None if asked is None else {"kind": asked.kind, "tests": asked.tests},
        "variants": [
            _candidate(estimate, view, fates[view.runs[estimate.variant]]) for estimate in estimates[:CANDIDATES]
        ],
        "methods": ", ".join(f"{method} {counted[method]}" for method in briefing.methods),
        "effects": marginal_effects(estimates),
    }


def _candidate(estimate: Estimate, view: SearchView, fate: str) -> dict[str, Any]:
    days = sum(o.days for o in view.seen if o.variant == estimate.variant)
    return {
        "run": view.runs[estimate.variant],
        "methods": " + ".join(estimate.variant.methods),
        "params": ", ".join(f"{name} {_value(value)}" for name, value in estimate.variant.values) or "defaults",
        "net": f"{estimate.net:.0f}",
        "noise": f"{estimate.noise:.0f}",
        "raw": f"{estimate.raw:.0f}",
        "gross": f"{estimate.raw + estimate.costs:.0f}",
        "costs": f"{estimate.costs:.0f}",
        "pace": f"{estimate.trades / days:.1f}" if days else "-",
        "windows": estimate.windows,
        "fate": fate,
    }


def _market(briefing: Briefing, *, blind: bool) -> dict[str, Any]:
    data = briefing.data
    market: dict[str, Any] = {
        "timeframe": data.timeframe,
        "bars": data.bars,
        "taker_volume": data.has_taker_volume,
        "simulated": data.simulated,
    }
    if blind:
        return market
    days = [datetime.fromtimestamp(ms / 1_000, UTC).date().isoformat() for ms in (data.first_ms, data.last_ms)]
    return market | {"symbol": data.symbol, "first": days[0], "last": days[1]}


def _spoken(briefing: Briefing) -> dict[str, Any]:
    """What other roles and people said: shown as data, never as part of the prompt's own words."""
    said = {name: getattr(briefing, name) for name in ("plan", "proposal", "critique", "asked")}
    return {
        **{name: None if message is None else message.model_dump(mode="json") for name, message in said.items()},
        "notes": list(briefing.notes),
        "advice": [given.model_dump(mode="json") for given in briefing.advice],
        "evidence": [alert.evidence for alert in briefing.alerts],
    }


def _target(target: Target) -> dict[str, str]:
    return {
        "metric": target.metric,
        "side": "at least" if target.op == ">=" else "at most",
        "value": f"{target.value:g}",
    }


def _parameter(spec: ParameterSpec, briefing: Briefing, narrowed: tuple[float, float] | None) -> dict[str, Any]:
    bounds = (spec.low, spec.high)
    allowed = narrowed or bounds
    switch = spec.kind == "bool"
    usable = spec.needs is None or briefing.data.has_taker_volume
    return {
        "name": spec.name,
        "of": spec.method or "all",
        "kind": spec.kind,
        "default": _value(spec.default),
        "bounds": "false or true" if switch else _span(*bounds),
        "range": "as bounds" if switch or allowed == bounds else _span(*allowed),
        "begins": "-" if switch else _begins(spec),
        "step": "-" if switch else f"{spec.step:g}",
        "unit": spec.unit,
        "rule": _rule(spec),
        "about": spec.about if usable else f"{spec.about} (not usable: the data lacks {spec.needs})",
    }


def _begins(spec: ParameterSpec) -> str:
    """Where a search begins, and on which scale it draws."""
    span = "as bounds" if spec.start == (spec.low, spec.high) else _span(*spec.start)
    return f"{span}, log" if spec.scale == "log" else span


def _rule(spec: ParameterSpec) -> str:
    """What a parameter asks of another one."""
    rules = [f"below {spec.below}"] if spec.below is not None else []
    return "; ".join([*rules, f"while {spec.switch}"] if spec.switch is not None else rules) or "-"


def _report(report: VariationReport, defaults: Mapping[str, Value]) -> dict[str, Any]:
    changed = {item.name: item.value for item in report.params if defaults.get(item.name) != item.value}
    return {
        "run_id": report.run_id,
        "segment": report.segment,
        "methods": " + ".join(report.methods),
        "params": ", ".join(f"{name} {_value(value)}" for name, value in changed.items()) or "defaults",
        "tests": report.tests,
        "trades": report.metrics.n_trades,
        "fate": report.fate,
        "figures": {name: _figure(reading(report.metrics, name)) for name in FIGURES},
    }


def _alert(alert: Alert) -> dict[str, Any]:
    changes = [f"{c.parameter} from {_value(c.old)} to {_value(c.new)}" for c in alert.change]
    return {
        "rule": alert.rule,
        "metric": alert.metric,
        "value": f"{alert.value:g}",
        "line": f"{alert.line:g}",
        "episodes": alert.episodes,
        "changes": "; ".join(changes) or "none",
    }


def _span(low: float, high: float) -> str:
    return f"{low:g} .. {high:g}"


def _value(value: float | bool | None) -> str:
    if value is None:
        return "unknown"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

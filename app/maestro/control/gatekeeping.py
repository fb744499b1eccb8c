"""gatekeeping owns the question whether a person must be asked, and what exactly the answer is bound to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from maestro_protocol.config import RunConfig
from maestro_protocol.messages.gate import GateRequest, Risk
from maestro_protocol.messages.rules import GatePolicy, PatchRisk
from maestro_protocol.schema import canonical
from maestro_protocol.space import ParameterSpace
from maestro_protocol.values import Change

MINUTE_MS = 60_000


def risk_of(changes: Sequence[Change], before: RunConfig, space: ParameterSpace, policy: GatePolicy) -> Risk:
    """The highest risk that *policy* sees in *changes* to *before*."""
    found = {rule.risk for rule in policy.patches if any(_concerns(rule, c, before, space) for c in changes)}
    if "high" in found:
        return "high"
    return "medium" if "medium" in found else "low"


def _concerns(rule: PatchRisk, change: Change, before: RunConfig, space: ParameterSpace) -> bool:
    if change.parameter not in rule.parameters or change.parameter not in space:
        return False
    spec = space[change.parameter]
    old = change.old if change.old is not None else before.values().get(spec.name, spec.default)
    return abs(float(change.new) - float(old)) > rule.over * (spec.high - spec.low)


def patch_request(
    patched: RunConfig, risk: Risk, policy: GatePolicy, reason: str, now_ms: int, campaign: str
) -> GateRequest:
    """The question whether *patched* may run, bound to exactly that config."""
    changes = ", ".join(f"{c.parameter} {c.old} -> {c.new}" for c in patched.changes_from_parent)
    bound = canonical(patched)
    name = hashlib.sha256(bound).hexdigest()[:8]  # a refused patch leaves its run id to the next one
    return request(
        f"{campaign}.{patched.run_id}.{name}",
        f"patch {patched.parent_run}: {changes}"[:300],
        reason,
        bound,
        risk,
        policy,
        now_ms,
    )


def request(
    gate_id: str, action: str, summary: str, bound: bytes, risk: Risk, policy: GatePolicy, now_ms: int
) -> GateRequest:
    """A gate of *risk*, bound to the hash of *bound*, with *policy*'s people and end."""
    needs = policy.classes.of(risk)
    return GateRequest(
        gate_id=gate_id,
        action=action,
        summary=summary[:4_000],
        risk=risk,
        bound_to=hashlib.sha256(bound).hexdigest(),
        needs=max(needs.needs, 1),
        may_decide=needs.may_decide,
        asked_at=now_ms,
        expires_at=now_ms + needs.timeout_minutes * MINUTE_MS,
    )


def budget_bytes(campaign: str, asked: int, raised: int) -> bytes:
    """What the *asked*-th question, whether to double a campaign's budget for the *raised*-th time, is bound to."""
    return json.dumps({"campaign": campaign, "asked": asked, "budget_doubled": raised}, sort_keys=True).encode()

"""gatekeeping owns the question whether a person must be asked, and what exactly the answer is bound to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from maestro_protocol.config import ParameterChange, RunConfig
from maestro_protocol.messages.gate import GateRequest, Risk
from maestro_protocol.messages.rules import GatePolicy, PatchRisk
from maestro_protocol.schema import canonical
from maestro_protocol.space import ParameterSpace, Value
from maestro_protocol.values import Change

MINUTE_MS = 60_000
LONGEST_ID = 96
CAMPAIGN_SHOWN = 64
"""Characters of its campaign's name that a gate's id has at most."""
ROUNDING = 1e-9
"""Share by which the sum of steps may miss the line that it lies on."""


def risk_of(
    changes: Sequence[Change], approved: Mapping[str, Value], space: ParameterSpace, policy: GatePolicy
) -> Risk:
    """The highest risk that *policy* sees in *changes*, measured from the value that is *approved* of each parameter.

    What a patch takes from the value before it does not count: many small steps are one large one.
    """
    found = {rule.risk for rule in policy.patches if any(_concerns(rule, c, approved, space) for c in changes)}
    if "high" in found:
        return "high"
    return "medium" if "medium" in found else "low"


def _concerns(rule: PatchRisk, change: Change, approved: Mapping[str, Value], space: ParameterSpace) -> bool:
    if change.parameter not in rule.parameters or change.parameter not in space:
        return False
    spec = space[change.parameter]
    moved = abs(float(change.new) - float(approved.get(spec.name, spec.default)))
    return moved > rule.over * (spec.high - spec.low) * (1 + ROUNDING)


def approving(approved: Mapping[str, Value], changes: Sequence[Change]) -> dict[str, Value]:
    """What is approved once a person has said yes to *changes*: of the parameters that they name, and no other."""
    return {**approved, **{change.parameter: change.new for change in changes}}


def patch_request(
    patched: RunConfig,
    approved: Mapping[str, Value],
    risk: Risk,
    policy: GatePolicy,
    reason: str,
    now_ms: int,
    campaign: str,
) -> GateRequest:
    """The question whether *patched* may run, bound to exactly that config; *approved* is what it went out from."""
    changes = ", ".join(_in_words(change, approved) for change in patched.changes_from_parent)
    bound = canonical(patched)
    return request(
        gate_id(campaign, f"{patched.run_id}.{short(bound)}"),  # a refused patch leaves its run id to the next one
        f"patch {patched.parent_run}: {changes}"[:300],
        reason,
        bound,
        risk,
        policy,
        now_ms,
    )


def gate_id(campaign: str, what: str) -> str:
    """A gate's name: its campaign's, and *what* it asks in there. Of what is too long the end gives way to a hash.

    *what* of a campaign has nothing to do with how its name was cut, so that gates can be told by how they begin.
    """
    return f"{_cut(campaign, CAMPAIGN_SHOWN)}.{_cut(what, LONGEST_ID - CAMPAIGN_SHOWN - 1)}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 9]}-{short(text.encode())}"


def short(bound: bytes) -> str:
    """A name for what a gate is bound to, so that another thing is another gate."""
    return hashlib.sha256(bound).hexdigest()[:8]


def _in_words(change: ParameterChange, approved: Mapping[str, Value]) -> str:
    """A step, and the way so far where it is one of several."""
    start = approved.get(change.parameter, change.old)
    so_far = "" if start == change.old else f" (approved was {start})"
    return f"{change.parameter} {change.old} -> {change.new}{so_far}"


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


def budget_bytes(campaign: str, asked: int, raised: Mapping[str, int]) -> bytes:
    """What the *asked*-th question, whether each limit may have been doubled *raised* times, is bound to."""
    return json.dumps({"campaign": campaign, "asked": asked, "budget_doubled": raised}, sort_keys=True).encode()

"""patcher owns the making of run configs: it alone turns one into another, and every step carries its parent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from maestro_protocol.config import ParameterChange, Patch, RunConfig, WindowRef, apply_patch
from maestro_protocol.errors import ParameterError
from maestro_protocol.ids import MessageId, RunId
from maestro_protocol.messages.plan import Jitter
from maestro_protocol.messages.rules import Rule
from maestro_protocol.space import ParameterSpace, Value
from maestro_protocol.values import Change, as_params


def draw(*key: object) -> float:
    """A number in [0, 1) that depends on *key* alone: no state, so no order of drawing to get wrong."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def derive(
    parent: RunConfig,
    run_id: RunId,
    methods: Sequence[str],
    values: Mapping[str, Value],
    space: ParameterSpace,
    because: MessageId | None,
) -> RunConfig:
    """A run with *methods* and *values*, its lineage from *parent*; every value is checked. Raises ParameterError."""
    before = parent.values()
    off = {spec.name: spec.default for spec in space.optional if spec.name in before}
    resolved = space.resolve(off | dict(values))
    changes = tuple(
        ParameterChange(parameter=name, old=before.get(name), new=value, because=because)
        for name, value in resolved.items()
        if before.get(name) != value
    )
    return parent.model_copy(
        update={
            "run_id": run_id,
            "parent_run": parent.run_id,
            "changes_from_parent": changes,
            "because": because,
            "methods": tuple(methods),
            "params": as_params(resolved),
            "window": None,
        }
    )


def in_force(config: RunConfig, space: ParameterSpace) -> dict[str, Value]:
    """The values that *config* runs with: its own, and what is optional and not asked for at its default."""
    return {spec.name: spec.default for spec in space.optional} | config.values()


def restated(config: RunConfig, values: Mapping[str, Value], space: ParameterSpace, because: MessageId) -> RunConfig:
    """*config* with *values* before it ever ran: its parent's child still, each value with who set it last.

    Raises ParameterError.
    """
    stated = derive(config, config.run_id, config.methods, values, space, because)
    lineage = {change.parameter: change for change in config.changes_from_parent}
    for change in stated.changes_from_parent:
        first = lineage.get(change.parameter, change)
        lineage[change.parameter] = change.model_copy(update={"old": first.old})
    steps = tuple(change for change in lineage.values() if change.old != change.new)
    return stated.model_copy(update={"parent_run": config.parent_run, "changes_from_parent": steps})


def apply_changes(
    config: RunConfig,
    changes: Sequence[Change],
    space: ParameterSpace,
    run_id: RunId,
    because: MessageId,
    reason: str,
) -> RunConfig:
    """All *changes* or none, as one run. Raises ParameterError (StalePatch) for the first that cannot be."""
    current, before = config, in_force(config, space)
    for change in changes:
        old = change.old if change.old is not None else before.get(change.parameter)
        if old is None:
            raise ParameterError(f"{change.parameter}: is not a parameter of {config.run_id}")
        step = Patch(parameter=change.parameter, old_value=old, new_value=change.new, reason=reason[:300])
        current = apply_patch(current, step, space, run_id=run_id, because=because)
    steps = tuple(
        ParameterChange(
            parameter=change.parameter,
            old=before.get(change.parameter),
            new=current.values()[change.parameter],
            because=because,
        )
        for change in changes
    )
    return current.model_copy(update={"parent_run": config.run_id, "changes_from_parent": steps})


def with_old(changes: Sequence[Change], config: RunConfig) -> tuple[Change, ...]:
    """*changes* with *config*'s values as the old ones where none were said; one that it does not have is unknown."""
    values = config.values()
    return tuple(
        change if change.old is not None else change.model_copy(update={"old": values.get(change.parameter)})
        for change in changes
    )


def suggested(rule: Rule, config: RunConfig, space: ParameterSpace) -> tuple[Change, ...]:
    """What *rule* would change in *config*: as far as the bounds allow, and nothing where they allow nothing."""
    values = in_force(config, space)
    changes: list[Change] = []
    for step in rule.change:
        if step.parameter not in space:
            continue
        if step.requires is not None and step.requires in space and not values.get(step.requires, False):
            changes.append(Change(parameter=step.requires, old=values[step.requires], new=True))
        old = values[step.parameter]
        new = space[step.parameter].clip(float(old) + step.step)
        if new != old:
            changes.append(Change(parameter=step.parameter, old=old, new=new))
    return tuple(changes)


@dataclass(frozen=True)
class Schedule:
    """Which window each test of a segment runs on: all windows in a shuffled order, then again in another."""

    seed: int
    segment: int
    windows: Sequence[WindowRef]

    def window(self, test: int) -> tuple[WindowRef, int]:
        """The window of the *test*-th test (from 1), and how often the segment has been through all windows."""
        lap, place = divmod(test - 1, len(self.windows))
        return self.windows[_shuffled(len(self.windows), self.seed, self.segment, lap)[place]], lap


@lru_cache(maxsize=64)
def _shuffled(count: int, *key: int) -> tuple[int, ...]:
    """The numbers below *count* in an order that depends on *key* alone."""
    return tuple(sorted(range(count), key=lambda each: draw(*key, each)))


def for_test(
    template: RunConfig,
    run_id: RunId,
    window: WindowRef,
    jitter: Mapping[str, Value] | None = None,
    because: MessageId | None = None,
) -> RunConfig:
    """The template on one window, with the values in which this test strays from it; *because* let it stray."""
    changes = tuple(
        ParameterChange(parameter=name, old=template.values().get(name), new=value, because=because)
        for name, value in (jitter or {}).items()
    )
    return template.model_copy(
        update={
            "run_id": run_id,
            "parent_run": template.run_id,
            "changes_from_parent": changes,
            "window": window,
            "params": as_params(template.values() | dict(jitter or {})),
        }
    )


def for_round(template: RunConfig, run_id: RunId, window: WindowRef, further: int) -> RunConfig:
    """The template as the session that runs *further* sessions after its chain's first, with a seed of its own."""
    return for_test(template, run_id, window).model_copy(update={"seed": template.seed + further})


def strayed(
    template: RunConfig, jitter: Sequence[Jitter], space: ParameterSpace, key: Sequence[object]
) -> dict[str, Value]:
    """The jittered values of one test, in whole steps of each parameter inside its bounds; none that stays."""
    values = in_force(template, space)
    out: dict[str, Value] = {}
    for item in jitter:
        spec = space[item.parameter]
        if spec.kind == "bool" or item.steps == 0:
            continue
        steps = int(draw(*key, item.parameter) * (2 * item.steps + 1)) - item.steps
        new = spec.clip(float(values[spec.name]) + steps * spec.step)
        if new != values[spec.name]:
            out[spec.name] = new
    return out

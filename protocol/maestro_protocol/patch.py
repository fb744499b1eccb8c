"""patch owns the one way a run config becomes another: a checked, pure step with its lineage."""

from __future__ import annotations

from maestro_protocol.base import Frozen, Line, Name, UtcMs
from maestro_protocol.config import ParameterChange, RunConfig
from maestro_protocol.errors import ParameterError, StalePatch
from maestro_protocol.ids import MessageId, RunId, is_id
from maestro_protocol.space import ParameterSpace, Value
from maestro_protocol.values import as_params


class Patch(Frozen):
    """One parameter to be set, with the value it is believed to have now (optimistic concurrency)."""

    parameter: Name
    old_value: Value | None
    """Null where it is not known, as of a patch refused because the run has no such parameter."""
    new_value: Value
    reason: Line
    applied_at: UtcMs | None = None
    """When it was applied; null until then."""


def apply(
    config: RunConfig, patch: Patch, space: ParameterSpace, *, run_id: RunId, because: MessageId | None = None
) -> RunConfig:
    """The config that *patch* makes of *config*, as run *run_id* with its lineage. Pure.

    Raises :class:`ParameterError` when the parameter is unknown, the value is of a wrong type, out of its
    bounds or no change at all, or an id is none; :class:`StalePatch` when the old value is unknown or not the one
    in force.
    """
    for name in (run_id, because):
        if name is not None and not is_id(name):
            raise ParameterError(f"{name[:80]!r} is no id: those have lower-case letters, digits and _ . -")
    spec = space[patch.parameter]
    values = config.values()
    current = values.get(spec.name, spec.default)
    if patch.old_value is None or current != spec.check(patch.old_value):
        raise StalePatch(f"{spec.name}: the patch expects {_shown(patch.old_value)}, the run has {current}")
    new = spec.check(patch.new_value)
    if new == current:
        raise ParameterError(f"{spec.name}: is {current} already; the patch changes nothing")
    change = ParameterChange(parameter=spec.name, old=current, new=new, because=because)
    return config.model_copy(
        update={
            "run_id": run_id,
            "parent_run": config.run_id,
            "changes_from_parent": (change,),
            "because": because,
            "params": as_params(values | {spec.name: new}),
        }
    )


def _shown(value: Value | None) -> str:
    return "an unknown value" if value is None else str(value)

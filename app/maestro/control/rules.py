"""rules owns the reading of the owner's rules and policies: data under specs/rules, checked when read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from maestro.control.learning.analyzer import READ
from maestro.yaml_reader import parse, read_bytes
from maestro_protocol.errors import ConfigError, UnknownKey
from maestro_protocol.messages.campaign import CampaignConfig
from maestro_protocol.messages.rules import GatePolicy
from maestro_protocol.space import ParameterSpace

M = TypeVar("M", bound=BaseModel)


def read_yaml(path: Path, model: type[M]) -> M:
    """*path* as *model*. Raises :class:`ConfigError` with the file, the place and the reason on one line."""
    data = parse(read_bytes(path), path.name)
    try:
        # As strict as JSON is: a switch is no number, a text is neither.
        return model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        raise _first_problem(path, model, error) from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path.name}: {str(error).splitlines()[0]}") from None


def _first_problem(path: Path, model: type[BaseModel], error: ValidationError) -> ConfigError:
    found = error.errors()
    first = next((item for item in found if item["type"] == "extra_forbidden"), found[0])
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return UnknownKey(f"{path.name}: {place}", str(first["loc"][-1]), known_keys(model))
    if not place:
        return ConfigError(f"{path.name}: holds no settings; write each as NAME: VALUE on a line of its own")
    return ConfigError(f"{path.name}: {place}: {first['msg']}")


def check_rules(config: CampaignConfig, space: ParameterSpace) -> None:
    """Raise ConfigError where the owner's rules name what nobody has: such a rule would never speak."""
    _ = config.policies.policy(config.policy)
    for rule in config.rules.rules:
        place = f"adjustments.yaml: rule {rule.name}"
        if rule.metric not in READ:
            raise UnknownKey(f"{place}: a metric of episodes", rule.metric, READ)
        for step in rule.change:
            for name in filter(None, (step.parameter, step.requires)):
                _check_parameter(place, name, space)
    check_gates(config.gates, "gates")
    for number, line in enumerate(config.gates.patches, start=1):
        for name in line.parameters:
            _check_parameter(f"policy.yaml: patches line {number}", name, space)


def check_gates(policy: GatePolicy, file: str) -> None:
    """Raise ConfigError for a class of gates in *file* that nobody can ever say yes to."""
    for risk in ("low", "medium", "high"):
        people = policy.classes.of(risk)
        place = f"{file}: classes.{risk}"
        for who in people.may_decide:
            if not _VOTER.fullmatch(who):
                raise ConfigError(
                    f"{place}.may_decide: nobody answers as {who[:40]!r}; write cli:NAME, as `id -un` says"
                )
        able = len(set(people.may_decide)) or 1
        if people.needs > able:
            who = "may_decide names" if people.may_decide else "without may_decide the owner alone decides, which is"
            raise ConfigError(
                f"{place}: {people.needs} must approve and {who} {able}: nobody could; name more people"
            )


_VOTER = re.compile(r"cli:\S+")
"""What people who answer are called: from where, and their account there."""


def _check_parameter(place: str, name: str, space: ParameterSpace) -> None:
    if name not in space:
        raise UnknownKey(f"{place}: a parameter", name, space.names)


def known_keys(model: type[BaseModel]) -> set[str]:
    """Every key that *model* and the models inside it know."""
    keys: set[str] = set()
    schema = model.model_json_schema()
    for part in [schema, *schema.get("$defs", {}).values()]:
        keys.update(part.get("properties", {}))
    return keys

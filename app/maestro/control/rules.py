"""rules owns the owner's adjustment rules and trigger policies: data under specs/rules, checked when read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from maestro_protocol.base import Frozen, Name
from maestro_protocol.errors import ConfigError, UnknownKey
from maestro_protocol.messages.plan import MetricName

M = TypeVar("M", bound=BaseModel)
MAX_BYTES = 1_000_000


class When(Frozen):
    """The line that a mean must cross before its rule speaks."""

    below: float | None = None
    above: float | None = None

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.below is None) == (self.above is None):
            raise ValueError("say either below or above")
        return self

    def crossed(self, value: float) -> bool:
        return value < self.below if self.below is not None else value > (self.above or 0.0)

    @property
    def line(self) -> float:
        return self.below if self.below is not None else (self.above or 0.0)


class Step(Frozen):
    parameter: Name
    step: float
    requires: Name | None = None
    """A switch without which the step means nothing; it is turned on first."""


class Rule(Frozen):
    name: Name
    metric: MetricName
    when: When
    on_target: float
    """What the sequential policy tests against: it speaks only once "the mean is on target" is rejected."""
    change: Annotated[tuple[Step, ...], Field(min_length=1, max_length=4)]


class Rules(Frozen):
    version: Literal[1]
    rules: Annotated[tuple[Rule, ...], Field(max_length=40)]


class Streak(Frozen):
    trigger: Literal["streak"]
    episodes: Annotated[int, Field(ge=1, le=100)]


class SequentialPolicy(Frozen):
    trigger: Literal["sequential"]
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    min_episodes: Annotated[int, Field(ge=2, le=10_000)]


class Measure(Frozen):
    """How a patch is judged on the same windows with and without it."""

    metric: Literal["expectancy", "total_pnl", "score", "sharpe"]
    p_max: Annotated[float, Field(gt=0, le=1)]
    min_windows: Annotated[int, Field(ge=2)]


class Kill(Frozen):
    min_tests: Annotated[int, Field(ge=1)]
    t_below: Annotated[float, Field(le=0)]


class Policies(Frozen):
    version: Literal[1]
    look_every_episodes: Annotated[int, Field(ge=1, le=1_000)]
    policies: dict[Name, Annotated[Streak | SequentialPolicy, Field(discriminator="trigger")]]
    measure: Measure
    max_patches_per_segment: Annotated[int, Field(ge=0, le=100)]
    kill: Kill

    def policy(self, name: str) -> Streak | SequentialPolicy:
        if name not in self.policies:
            raise UnknownKey("policies.yaml", name, self.policies)
        return self.policies[name]


def read_yaml(path: Path, model: type[M]) -> M:
    """*path* as *model*. Raises :class:`ConfigError` with the file, the place and the reason on one line."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path.name}: larger than {MAX_BYTES:,} bytes; this is not a rules file")
        return model.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"{path.name}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: is not YAML ({str(error).splitlines()[0]})") from None
    except ValidationError as error:
        raise _first_problem(path, model, error) from None


def _first_problem(path: Path, model: type[BaseModel], error: ValidationError) -> ConfigError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return UnknownKey(f"{path.name}: {place}", str(first["loc"][-1]), known_keys(model))
    return ConfigError(f"{path.name}: {place}: {first['msg']}")


def known_keys(model: type[BaseModel]) -> set[str]:
    """Every key that *model* and the models inside it know."""
    keys: set[str] = set()
    schema = model.model_json_schema()
    for part in [schema, *schema.get("$defs", {}).values()]:
        keys.update(part.get("properties", {}))
    return keys

"""optimizers owns public optimizers as searches of the yardstick: the same space, objective and number of tests."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from maestro.wiring.yardstick.objective import Objective
from maestro_agents.search import Observation, SearchSpace, Trial, Variant
from maestro_protocol.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

POPULATION = 8
METHOD = "method"


def tpe(objective: Objective, space: SearchSpace, tests: int, seed: int) -> list[Observation]:
    """Tree-structured Parzen estimator (Bergstra et al. 2011), Optuna's own settings.

    Each variant is tested on every window and told as its mean. Raises UsageError where Optuna is not installed.
    """
    samplers = _optuna().samplers
    return _optimized(samplers.TPESampler(seed=seed), _by_choice, objective, space, tests)


def cma_es(objective: Objective, space: SearchSpace, tests: int, seed: int) -> list[Observation]:
    """CMA-ES (Hansen 2001) in populations of 8 on the unit cube; a coordinate of its own decides the method.

    Raises UsageError where Optuna or cmaes is not installed.
    """
    sampler = _optuna().samplers.CmaEsSampler(seed=seed, popsize=POPULATION, warn_independent_sampling=False)
    return _optimized(sampler, _by_cube, objective, space, tests)


def _optuna() -> Any:
    """The package, quiet; loaded when it is first asked for."""
    try:
        importlib.import_module("cmaes")
        optuna: Any = importlib.import_module("optuna")
    except ImportError:
        raise UsageError("the arms tpe and cma-es need Optuna: pip install 'maestro[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _optimized(
    sampler: object,
    suggest: Callable[[Any, SearchSpace], Variant],
    objective: Objective,
    space: SearchSpace,
    tests: int,
) -> list[Observation]:
    study: Any = _optuna().create_study(direction="maximize", sampler=sampler)
    windows = range(len(objective.windows))
    seen: list[Observation] = []
    for _ in range(tests // len(windows)):
        trial = study.ask()
        variant = suggest(trial, space)
        earned = objective.run([Trial(variant, window) for window in windows])
        study.tell(trial, sum(each.net for each in earned) / len(earned))
        seen += earned
    return seen


def _by_choice(trial: Any, space: SearchSpace) -> Variant:
    """The method is a choice, and its parameters exist with it."""
    method: str = trial.suggest_categorical(METHOD, space.methods)
    names = [spec.name for spec in space.free((method,), {})]
    return space.placed((method,), _shares(trial, names))


def _by_cube(trial: Any, space: SearchSpace) -> Variant:
    """Every parameter of every method is a coordinate, always there."""
    share: float = trial.suggest_float(METHOD, 0.0, 1.0)
    method = space.methods[min(int(share * len(space.methods)), len(space.methods) - 1)]
    names = {spec.name: None for each in space.methods for spec in space.free((each,), {})}
    return space.placed((method,), _shares(trial, list(names)))


def _shares(trial: Any, names: list[str]) -> Mapping[str, float]:
    return {name: trial.suggest_float(name, 0.0, 1.0) for name in names}

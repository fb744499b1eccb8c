"""model_options owns the options by which a person says which models think for the roles, and what that may cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from maestro_protocol.errors import UnknownKey, UsageError

if TYPE_CHECKING:
    from maestro_protocol.messages.campaign import BrainChoice, BudgetPlan, Limits, ModelPrice

L = TypeVar("L", bound="Limits")

ROLES = ("maestro", "strategist", "critic", "implementer")
UNITS = ("usd", "tokens", "requests", "seconds")
CHOICE = "when_exhausted"
SCOPES = ("role", *ROLES, "day")
"""Whose limits may be set besides the campaign's: each role's, one role's, a UTC day's."""

Brains = Annotated[
    list[str] | None,
    typer.Option(
        help="ROLE=BRAIN[:MODEL][,max_tokens=…][,temperature=…], e.g. critic=openai:gpt-6-sol. Brains: offline, "
        "anthropic, openai."
    ),
]
Budget = Annotated[
    list[str] | None,
    typer.Option(
        help="The most models may cost: usd=5, tokens=…, requests=…, seconds=… (of waiting), or none; of one role "
        "strategist.usd=1, of each role.usd=2, of a UTC day over all campaigns day.usd=10; when_exhausted=ask or "
        "offline."
    ),
]


Prices = Annotated[
    list[str] | None,
    typer.Option(
        "--price",
        help="MODEL=INPUT/OUTPUT, USD per million tokens, where nobody knows it: my-model=0/0 for a local one.",
    ),
]


def parse_brains(texts: Sequence[str]) -> tuple[BrainChoice, ...]:
    """One brain a role. Raises UsageError."""
    chosen = tuple(parse_brain(text) for text in texts)
    roles = [choice.role for choice in chosen]
    for role in roles:
        if roles.count(role) > 1:
            raise UsageError(f"--brain {role} is given twice; a role has one brain")
    return chosen


def parse_brain(text: str) -> BrainChoice:
    """``ROLE=BRAIN[:MODEL][,max_tokens=N][,temperature=X]``. Raises UsageError."""
    from pydantic import ValidationError

    from maestro.wiring.brains import role_names
    from maestro_agents.api import brain_names
    from maestro_protocol.messages.campaign import BrainChoice

    role, equals, chosen = text.partition("=")
    brain, *settings = chosen.split(",")
    name, _, model = brain.partition(":")
    if not equals or name not in brain_names():
        *names, last = brain_names()
        raise UsageError(f"--brain {text[:80]!r}: write ROLE=BRAIN[:MODEL] with {', '.join(names)} or {last}")
    if role not in (known := role_names()):
        raise UsageError(f"--brain {text[:80]!r}: unknown role; known: {', '.join(known)}")
    given = {name: value for name, _, value in (setting.partition("=") for setting in settings)}
    if len(given) != len(settings) or not given.keys() <= {"max_tokens", "temperature"}:
        raise UsageError(f"--brain {text[:80]!r}: after the model come max_tokens=N and temperature=X, each once")
    if model:
        given["model"] = model
    try:
        return BrainChoice.model_validate({"role": role, "brain": name, **given})
    except ValidationError as error:
        first = error.errors()[0]
        what = "no model has such a name" if first["loc"] == ("model",) else f"{first['loc'][0]}: {first['msg']}"
        raise UsageError(f"--brain {text[:80]!r}: {what}") from None


def parse_budget(texts: Sequence[str], default: BudgetPlan | None = None, prices: Sequence[str] = ()) -> BudgetPlan:
    """``usd=5``, ``strategist.usd=1``, ``day.tokens=200000``, ``when_exhausted=offline`` and the like as a budget.

    A limit that nobody names is *default*'s, which is the product's; of a role's own limits, those of each role.
    *prices* are models' as ``MODEL=INPUT/OUTPUT``.
    Raises UsageError.
    """
    from maestro_protocol.messages.campaign import BudgetPlan, Limits, RoleLimits

    given = _by_scope(texts)
    default = default or BudgetPlan()
    each = _limits(Limits, "role.", default.role, given.get("role", {}))
    plan = _limits(BudgetPlan, "", default, given.get("", {}))
    of_roles = {limits.role: limits for limits in default.roles}
    own = [
        _limits(RoleLimits, f"{role}.", of_roles.get(role) or {"role": role, **dict(each)}, given.get(role, {}))
        for role in ROLES
        if role in given or role in of_roles
    ]
    day = _limits(Limits, "day.", default.day, given.get("day", {}))
    named = {price.model: price for price in (*default.prices, *map(_price, prices))}
    return plan.model_copy(update={"role": each, "roles": tuple(own), "day": day, "prices": tuple(named.values())})


def _price(text: str) -> ModelPrice:
    from pydantic import ValidationError

    from maestro_protocol.messages.campaign import ModelPrice

    model, _, amounts = text.rpartition("=")
    given, slash, answered = amounts.partition("/")
    try:
        if not model or not slash:
            raise UsageError(f"--price {text[:80]!r}: write MODEL=INPUT/OUTPUT, USD per million tokens")
        return ModelPrice.model_validate({"model": model, "input": given, "output": answered})
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"--price {text[:80]!r}: {first['loc'][0]}: {first['msg']}") from None


def _by_scope(texts: Sequence[str]) -> dict[str, dict[str, str | None]]:
    """What was given, by whose limit and name. Raises UsageError, UnknownKey naming the nearest."""
    known = [*UNITS, CHOICE, *(f"{scope}.{unit}" for scope in SCOPES for unit in UNITS)]
    given: dict[str, dict[str, str | None]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        scope, _, name = key.rpartition(".")
        if not equals or name in given.get(scope, {}):
            raise UsageError(f"--budget {text[:80]!r}: write NAME=VALUE, each name once")
        if key not in known:
            raise UnknownKey("--budget", key[:40], known)
        given.setdefault(scope, {})[name] = None if value == "none" else value
    return given


def _limits(kind: type[L], scope: str, default: L | Mapping[str, object], given: Mapping[str, str | None]) -> L:
    from pydantic import ValidationError

    try:
        return kind.model_validate(dict(default) | dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"--budget {scope}{'.'.join(map(str, first['loc']))}: {first['msg']}") from None

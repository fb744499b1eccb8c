"""advisors owns roles from outside: installed as ``maestro.roles``, asked once in a turn, answering with Advice."""

from __future__ import annotations

from typing import Protocol, TypeGuard, get_args

from maestro_agents.roles.base import RoleRules, briefed
from maestro_protocol.messages.plan import Advice, AskedAt
from maestro_protocol.messages.report import Briefing
from maestro_protocol.registry import Registry


class RoleSpec(Protocol):
    """A role that gives advice: what it is told, what it says without a model, and when it is asked."""

    @property
    def name(self) -> str:
        """Its name in configs, topics and the journal: that of its entry point."""
        ...

    @property
    def duty(self) -> str:
        """What it does, to go on after its name: ``risk_officer looks for ...``."""
        ...

    @property
    def prompt(self) -> str:
        """How it works, for a model, in Markdown: the part of its system prompt that is its own."""
        ...

    @property
    def asked(self) -> AskedAt:
        """When in a turn it is asked."""
        ...

    def advise(self, briefing: Briefing) -> Advice:
        """Its advice by rules alone: the same briefing gives the same advice, in any process."""
        ...


def is_role(thing: object) -> TypeGuard[RoleSpec]:
    """Whether *thing* is what the entry point ``maestro.roles`` takes."""
    texts = (getattr(thing, name, None) for name in ("name", "duty", "prompt"))
    known = getattr(thing, "asked", None) in get_args(AskedAt)
    return known and all(isinstance(text, str) for text in texts) and callable(getattr(thing, "advise", None))


ADVISORS: Registry[RoleSpec] = Registry("maestro.roles", dict, accepts=is_role)


def advisor_rules(name: str) -> RoleRules:
    """The rules of the role from outside called *name*. Raises UnknownKey, or ConfigError where it cannot be used."""
    role = ADVISORS.get(name)
    return RoleRules(name=name, duty=role.duty, rules={Advice.__name__: briefed(role.advise)})

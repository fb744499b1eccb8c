"""roles owns who there is: one file each, with what it answers and its offline rules. To add one, list it here."""

from __future__ import annotations

from collections.abc import Mapping

from maestro_agents.roles import controls, critic, dispatcher, implementer, maestro, strategist
from maestro_agents.roles.advisors import ADVISORS, advisor_rules
from maestro_agents.roles.base import RoleRules
from maestro_protocol.errors import UnknownKey

ROLES: Mapping[str, RoleRules] = {
    rules.name: rules
    for rules in (maestro.RULES, strategist.RULES, critic.RULES, implementer.RULES, dispatcher.RULES)
}


def rules_of(role: str) -> RoleRules:
    """The rules of *role*, the product's or one from outside. Raises :class:`UnknownKey`."""
    if role in ROLES:
        return ROLES[role]
    if role not in ADVISORS:
        raise UnknownKey("roles", role, [*ROLES, *ADVISORS.names()])
    return advisor_rules(role)


def control_of(role: str, brain: str) -> RoleRules:
    """The rules of *role* as a control of an ablation. Raises :class:`UnknownKey` where it has no such control."""
    known = controls.SILENT if brain == "silent" else controls.RANDOM
    if role not in known:
        raise UnknownKey(f"{brain} brains", role, known)
    return known[role]

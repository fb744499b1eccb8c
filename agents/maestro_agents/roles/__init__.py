"""roles owns who there is: one file each, with what it answers and its offline rules. To add one, list it here."""

from __future__ import annotations

from collections.abc import Mapping

from maestro_agents.roles import critic, dispatcher, implementer, maestro, strategist
from maestro_agents.roles.base import RoleRules
from maestro_protocol.errors import UnknownKey

ROLES: Mapping[str, RoleRules] = {
    rules.name: rules
    for rules in (maestro.RULES, strategist.RULES, critic.RULES, implementer.RULES, dispatcher.RULES)
}


def rules_of(role: str) -> RoleRules:
    """The rules of *role*. Raises :class:`UnknownKey`."""
    if role not in ROLES:
        raise UnknownKey("roles", role, ROLES)
    return ROLES[role]

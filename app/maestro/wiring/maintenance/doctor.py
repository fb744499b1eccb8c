"""doctor owns the examination of an installation: what is looked at, in which order."""

from __future__ import annotations

from maestro.settings import Settings
from maestro.wiring.maintenance import findings, machine, workplace
from maestro.wiring.maintenance.findings import Checked
from maestro_protocol.ports import Clock


async def examine(
    settings: Settings, clock: Clock, fix: bool = False, minimum_free: int = machine.MINIMUM_FREE
) -> list[Checked]:
    """Look at everything; with *fix* mend what can be mended. Nothing is looked up on the network but the bus.

    *minimum_free* is in bytes. No secret is in what is returned.
    """
    looks = [*machine.checks(settings, clock, minimum_free), *workplace.checks(settings, clock)]
    return await findings.run(looks, settings, fix)

"""Search: where the roles look for an edge with a few hundred noisy backtests, as pure functions of what was seen."""

from maestro_agents.search.chance import Chance
from maestro_agents.search.estimates import Estimate, Observation, estimate_all
from maestro_agents.search.finalists import finalists, worth_opening
from maestro_agents.search.race import Race, Trial
from maestro_agents.search.schedule import RacePlan, Round, rounds_of
from maestro_agents.search.space import SearchSpace, Variant
from maestro_agents.search.walk_forward import walk_forward

__all__ = [
    "Chance",
    "Estimate",
    "Observation",
    "Race",
    "RacePlan",
    "Round",
    "SearchSpace",
    "Trial",
    "Variant",
    "estimate_all",
    "finalists",
    "rounds_of",
    "walk_forward",
    "worth_opening",
]

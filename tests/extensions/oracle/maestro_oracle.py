"""maestro_oracle is a vendor from outside: one that speaks chat completions at an address of its own."""

from maestro_agents.api import BrainAdapter
from maestro_agents.brains.openai import OpenAIBrain


class OracleBrain(OpenAIBrain):
    """Asks the oracle; its recordings are filed under its own name."""

    provider = "oracle"


ADAPTER = BrainAdapter(
    name="oracle",
    build=OracleBrain,
    about="the oracle, by chat completions",
    key_variable="ORACLE_API_KEY",
    base_url_variable="ORACLE_BASE_URL",
    keyless_elsewhere=False,
    default_model="oracle-1",
    default_elsewhere=True,
)

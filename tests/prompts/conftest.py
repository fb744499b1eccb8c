"""conftest owns how tests of the prompts find the market that the agents' tests share."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(
    0, str(Path(__file__).parents[1] / "agents")
)  # helper modules have no package: importmode is importlib

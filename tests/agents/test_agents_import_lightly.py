"""Importing the room, and answering offline, loads no SDK, template engine or price table and starts no thread."""

from __future__ import annotations

import subprocess
import sys

CHECK = """
import sys, threading
before = threading.active_count()
import maestro_agents.api as agents
from maestro_protocol.messages.campaign import BrainChoice

class Clock:
    def now_ms(self): return 0
    def monotonic(self): return 0.0

for role in agents.ROLES:
    agents.build_agent(BrainChoice(role=role), clock=Clock())
heavy = {"anthropic", "openai", "httpx2", "httpx", "jinja2", "genai_prices", "tenacity", "numpy", "yaml"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert threading.active_count() == before
"""


def test_the_room_is_light_until_a_model_is_asked() -> None:
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

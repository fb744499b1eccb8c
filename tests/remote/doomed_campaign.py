"""doomed_campaign owns a campaign to be killed: URL RUNS DATA ROLE, with ROLE in another process."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from remote_support import conduct, request_on, settings_in

asyncio.run(conduct(request_on(Path(sys.argv[3])), settings_in(Path(sys.argv[2]), sys.argv[1]), {sys.argv[4]}))

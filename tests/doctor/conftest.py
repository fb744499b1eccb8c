"""conftest owns the way to this room's helper; the Redis is that of the store's tests."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_spec = spec_from_file_location("store_fixtures_for_doctor", Path(__file__).parents[1] / "store" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_shared = module_from_spec(_spec)
_spec.loader.exec_module(_shared)

redis_url = _shared.redis_url
postgres = _shared.postgres

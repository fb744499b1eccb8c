"""conftest owns nothing of its own: the servers and made-up campaigns are those of the store's tests."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_spec = spec_from_file_location("store_fixtures", Path(__file__).parents[1] / "store" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_shared = module_from_spec(_spec)
_spec.loader.exec_module(_shared)

clock = _shared.clock
make = _shared.make
postgres = _shared.postgres
store_url = _shared.store_url
opened = _shared.opened
store = _shared.store
redis_url = _shared.redis_url
redis_server = _shared.redis_server

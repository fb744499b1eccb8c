"""conftest owns how tests of the agents find their helpers, and that no request ever leaves this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import pytest_httpx2  # noqa: F401 - registers the mocker that sees what the vendors' SDKs send
import respx


@pytest.fixture
def vendors() -> Iterator[respx.MockRouter]:
    """Every request of the vendors' SDKs ends here; one that no route expects fails."""
    with respx.mock(using="httpcore2", assert_all_called=False) as router:
        yield router


@pytest.fixture(autouse=True)
def nothing_leaves(request: pytest.FixtureRequest) -> Iterator[None]:
    """Without its own routes or a loopback server a test may not send anything."""
    if {"vendors", "vendor_server", "loopback"} & set(request.fixturenames):
        yield
        return
    with respx.mock(using="httpcore2", assert_all_called=False):
        yield


@pytest.fixture
def loopback() -> None:
    """For a test that starts a loopback server of its own."""


@pytest.fixture
def vendor_server() -> Iterator[object]:
    """Both vendors on the loopback interface, answering as the offline rules would."""
    from vendor_server import VendorServer

    with VendorServer() as server:
        yield server

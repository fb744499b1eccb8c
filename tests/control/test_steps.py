"""A path walked again: what this run says is found in the journal, what differs stops it, what is damaged is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from maestro.control.durable_run import Steps
from maestro.store.opening import open_store
from maestro.store.repository import SqlStore
from maestro_protocol.bus import LocalBus
from maestro_protocol.envelope import ENVELOPE
from maestro_protocol.errors import JournalMismatch, StoreError
from maestro_protocol.messages import Message
from maestro_protocol.messages.campaign import TrialRecorded
from maestro_protocol.messages.gate import GateDecided, GateRequest
from maestro_protocol.messages.plan import RoleFellBack
from maestro_protocol.ports import Record

GOLDEN = Path(__file__).parents[1] / "protocol" / "golden"
SAID = [
    ENVELOPE.validate_json(path.read_bytes()).body
    for path in sorted(GOLDEN.glob("*.json"))
    if path.stem != "RunConfig"
]
CAMPAIGN = "c1"


class Ticking:
    """A clock that shows a later time whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 1_000

    def now_ms(self) -> int:
        self.now += 1
        return self.now

    def monotonic(self) -> float:
        return self.now / 1_000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    store = await open_store(f"sqlite:///{tmp_path}/maestro.db")
    yield store
    await store.close()


Walk = Callable[[], Awaitable[Steps]]


@pytest.fixture
def walk(store: SqlStore) -> Walk:
    async def begin() -> Steps:
        steps = Steps(CAMPAIGN, store, LocalBus(), cast("Any", None), Ticking(), cast("Any", None))
        await steps.open()
        return steps

    return begin


@pytest.fixture
async def walked(walk: Walk) -> Walk:
    """A campaign that said every message there is."""
    steps = await walk()
    for body in SAID:
        steps.say(body)
    await steps.flush()
    return walk


def later(body: Message) -> Message:
    """*body*, said at another time."""
    moments = {
        name: 2_000_000_000_000 for name in ("at", "applied_at", "asked_at") if name in type(body).model_fields
    }
    return body.model_copy(update=moments)


async def test_what_is_said_again_to_the_byte_is_not_read(walked: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = await walked()
    assert len(SAID) > 20
    with monkeypatch.context() as patched:
        patched.setattr(Record, "envelope", lambda row: pytest.fail(f"{row.type} was read"))
        for body in SAID:
            assert steps.walking_again
            steps.say(body)
    assert not steps.walking_again
    assert [envelope.body for envelope in steps.told()] == SAID
    assert [envelope.seq for envelope in steps.past()] == list(range(1, len(SAID) + 1))


async def test_another_time_is_no_other_message(walked: Walk) -> None:
    steps = await walked()
    for body in SAID:
        steps.say(later(body))
    assert not steps.walking_again
    assert [envelope.body for envelope in steps.told()] == SAID, "what the journal holds is what was said"


async def test_the_first_message_that_differs_stops_the_walk(walked: Walk) -> None:
    steps = await walked()
    steps.say(SAID[0])
    with pytest.raises(JournalMismatch, match=f"the journal has a {SAID[1].type} as m000002"):
        steps.say(RoleFellBack(role="critic", turn=1, brain="x", reason="y", repairs=0))


async def test_messages_of_a_kind_are_found_before_and_after_they_are_walked(walked: Walk) -> None:
    steps = await walked()
    wanted = [body for body in SAID if isinstance(body, GateDecided | GateRequest)]
    assert [envelope.body for envelope in steps.past(GateDecided, GateRequest)] == wanted
    assert steps.told(GateDecided, GateRequest) == []
    for body in SAID:
        steps.say(body)
    assert [envelope.body for envelope in steps.told(GateDecided, GateRequest)] == wanted
    assert steps.told(GateDecided, GateRequest, after=steps.place) == []


async def test_the_export_is_what_lies_in_the_store_read_or_not(walked: Walk, store: SqlStore) -> None:
    steps = await walked()
    kept = [record.json for record in await store.records(CAMPAIGN)]
    assert list(steps.lines(0)) == kept
    assert [envelope.body for envelope in steps.past()] == SAID
    assert list(steps.lines(3)) == kept[3:]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("json_text = replace(json_text, '\"fate\"', '\"fade\"')", "row 1 cannot be read"),
        ("json_text = 'not JSON'", "row 1 cannot be read"),
        ("type = 'GateDecided'", "row 1 is filed as another message"),
    ],
)
async def test_a_row_that_was_changed_is_told_in_one_line(
    walk: Walk, store: SqlStore, change: str, told: str
) -> None:
    trial = next(body for body in SAID if isinstance(body, TrialRecorded))
    steps = await walk()
    steps.say(trial)
    await steps.flush()
    await store.database.write(lambda connection: connection.run(f"UPDATE journal SET {change}"))
    steps = await walk()
    with pytest.raises(StoreError, match=told) as caught:
        steps.past(TrialRecorded, GateDecided)
    assert "\n" not in str(caught.value)
    if "json_text" in change:
        with pytest.raises(StoreError, match=told):
            steps.say(trial)

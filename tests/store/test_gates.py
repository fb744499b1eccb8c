"""A gate is decided exactly once, by those who may, on exactly what was asked, in time; silence is a no."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from maestro.store.gates import GateStore
from maestro.store.repository import SqlStore
from maestro_protocol.errors import GateRefused
from maestro_protocol.messages.gate import GateRequest, GateVote

HASH, OTHER = "a" * 64, "b" * 64
OWNER = "cli:alice"


def asked(gate_id: str = "g1", **changes: Any) -> GateRequest:
    fields: dict[str, Any] = {
        "gate_id": gate_id,
        "action": "raise the budget",
        "summary": "by 5 USD",
        "risk": "high",
        "bound_to": HASH,
        "asked_at": 1_000,
        "expires_at": 5_000,
    }
    return GateRequest(**fields | changes)


def vote(who: str = OWNER, approve: bool = True, bound_to: str = HASH, gate_id: str = "g1") -> GateVote:
    return GateVote(gate_id=gate_id, bound_to=bound_to, approve=approve, who=who, where="cli", at=1)


@pytest.fixture
def gates(store: SqlStore, clock: Any) -> GateStore:
    return GateStore(store, clock, OWNER)


@pytest.mark.parametrize(("approve", "answer"), [(True, "approved"), (False, "rejected")])
async def test_the_first_answer_wins_and_the_second_is_told(gates: GateStore, approve: bool, answer: str) -> None:
    await gates.request(asked())
    decided = await gates.vote(vote(approve=approve))
    assert decided is not None
    assert (decided.answer, decided.by, decided.at) == (answer, (OWNER,), 1_000)
    with pytest.raises(GateRefused, match=f"it is {answer} already by {OWNER}"):
        await gates.vote(vote(approve=not approve))
    state = await gates.get("g1")
    assert (state.state, state.decided, len(state.votes)) == (answer, decided, 1)
    assert await gates.pending() == []


async def test_asking_again_is_the_same_gate_with_what_came_of_it(gates: GateStore) -> None:
    first = await gates.request(asked(), "c1")
    assert (first.state, first.campaign, first.request) == ("pending", "c1", asked(owner=OWNER))
    await gates.vote(vote())
    again = await gates.request(asked(), "c1")
    assert again.state == "approved"


async def test_a_pending_gate_survives_a_restart(store_url: str, opened: Any, clock: Any) -> None:
    before = await opened(store_url)
    await GateStore(before, clock, OWNER).request(asked(needs=2, may_decide=("a", "b")))
    await GateStore(before, clock, OWNER).vote(vote("a"))
    await before.close()
    gates = GateStore(await opened(store_url), clock, OWNER)
    (state,) = await gates.pending()
    assert [one.who for one in state.votes] == ["a"]
    decided = await gates.vote(vote("b"))
    assert decided is not None
    assert decided.by == ("a", "b")


async def test_whoever_else_reaches_the_store_is_not_the_owner(store: SqlStore, gates: GateStore, clock: Any) -> None:
    await gates.request(asked())
    stranger = GateStore(store, clock, "cli:mallory")
    with pytest.raises(GateRefused, match=f"cli:mallory may not decide it: {OWNER} may"):
        await stranger.vote(vote("cli:mallory"))
    await stranger.request(asked())  # to put the question again makes nobody its owner
    with pytest.raises(GateRefused, match="cli:mallory may not decide it"):
        await stranger.vote(vote("cli:mallory"))
    decided = await stranger.vote(vote(OWNER))
    assert decided is not None
    assert decided.by == (OWNER,)


async def test_silence_is_a_no(gates: GateStore, clock: Any) -> None:
    await gates.request(asked())
    clock.now = 4_999
    assert await gates.expire() == []
    clock.now = 5_000
    (decided,) = await gates.expire()
    assert (decided.answer, decided.by, decided.at) == ("expired", (), 5_000)
    assert await gates.expire() == []
    with pytest.raises(GateRefused, match="expired already"):
        await gates.vote(vote())


async def test_a_late_answer_expires_the_gate_and_does_not_count(gates: GateStore, clock: Any) -> None:
    await gates.request(asked())
    clock.now = 5_000
    with pytest.raises(GateRefused, match="expired already: nobody decided in time"):
        await gates.vote(vote())
    assert (await gates.get("g1")).state == "expired"


async def test_reading_a_gate_that_is_due_expires_it(gates: GateStore, clock: Any) -> None:
    await gates.request(asked())
    clock.now = 9_000
    assert (await gates.get("g1")).state == "expired"


async def test_a_forged_answer_is_refused_stored_and_decides_nothing(
    gates: GateStore, store: SqlStore, clock: Any
) -> None:
    await gates.request(asked(may_decide=("bob",)))
    for forged, why in (
        (vote("mallory"), "mallory may not decide it"),
        (vote(OWNER), "may not decide it"),
        (vote("bob", bound_to=OTHER), "the answer is for something else"),
        (vote("bob\x00"), "may not decide it"),
    ):
        with pytest.raises(GateRefused, match=why):
            await gates.vote(forged)
    with pytest.raises(GateRefused, match="there is no such gate"):
        await gates.vote(vote(gate_id="g2"))
    state = await gates.get("g1")
    assert (state.state, state.votes) == ("pending", ())
    attempts = await store.database.read(
        lambda connection: connection.rows("SELECT who FROM votes WHERE refused IS NOT NULL")
    )
    assert [row[0] for row in attempts] == ["mallory", OWNER, "bob", "bob\N{REPLACEMENT CHARACTER}"]


async def test_so_many_different_people_must_approve(gates: GateStore) -> None:
    await gates.request(asked(needs=2, may_decide=("a", "b", "c")))
    assert await gates.vote(vote("a")) is None
    with pytest.raises(GateRefused, match="a has answered it already"):
        await gates.vote(vote("a"))
    decided = await gates.vote(vote("c"))
    assert decided is not None
    assert (decided.answer, decided.by) == ("approved", ("a", "c"))


async def test_one_no_is_a_no(gates: GateStore) -> None:
    await gates.request(asked(needs=2, may_decide=("a", "b", "c")))
    assert await gates.vote(vote("a")) is None
    decided = await gates.vote(vote("b", approve=False))
    assert decided is not None
    assert (decided.answer, decided.by) == ("rejected", ("b",))


async def test_a_gate_is_void_when_what_it_is_bound_to_changes(gates: GateStore) -> None:
    await gates.request(asked())
    state = await gates.request(asked(bound_to=OTHER))
    assert state.state == "void"
    assert state.decided is not None
    assert state.decided.answer == "rejected"
    assert state.decided.reason.startswith("void: ")
    for bound_to in (HASH, OTHER):
        with pytest.raises(GateRefused, match="it is void already"):
            await gates.vote(vote(bound_to=bound_to))


async def test_a_decided_gate_is_not_voided(gates: GateStore) -> None:
    await gates.request(asked())
    await gates.vote(vote())
    assert await gates.void("g1", "the plan changed") is None
    await gates.request(asked(bound_to=OTHER))
    assert (await gates.get("g1")).state == "approved"


async def test_void_says_why(gates: GateStore) -> None:
    await gates.request(asked())
    decided = await gates.void("g1", "the plan changed")
    assert decided is not None
    assert (decided.answer, decided.reason) == ("rejected", "void: the plan changed")


async def test_the_journal_opens_a_gate_with_the_message_that_asks(
    store: SqlStore, gates: GateStore, make: Any
) -> None:
    await store.commit("c1", [make.envelope(1, asked())])
    assert await gates.pending() == [], "nobody may answer it before it says whose it is"
    assert (await gates.request(asked(), "c1")).state == "pending"
    assert [state.campaign for state in await gates.pending()] == ["c1"]


async def test_pending_gates_come_the_most_urgent_first(gates: GateStore) -> None:
    for name, end in (("g1", 9_000), ("g2", 2_000), ("g3", 5_000)):
        await gates.request(asked(name, expires_at=end))
    assert [state.request.gate_id for state in await gates.pending()] == ["g2", "g3", "g1"]


async def test_of_many_deciders_at_once_one_decides(store_url: str, opened: Any, clock: Any) -> None:
    many = [GateStore(await opened(store_url), clock, OWNER) for _ in range(4)]
    await many[0].request(asked(may_decide=("p0", "p1", "p2", "p3")))
    outcomes = await asyncio.gather(
        *(gates.vote(vote(f"p{n}", approve=n % 2 == 0)) for n, gates in enumerate(many)), return_exceptions=True
    )
    decided = [one for one in outcomes if one is not None and not isinstance(one, BaseException)]
    refused = [one for one in outcomes if isinstance(one, GateRefused)]
    assert (len(decided), len(refused)) == (1, 3)
    assert (await many[1].get("g1")).decided == decided[0]


async def test_the_last_of_many_approvals_at_once_decides(store_url: str, opened: Any, clock: Any) -> None:
    people = ("p0", "p1", "p2", "p3")
    many = [GateStore(await opened(store_url), clock, OWNER) for _ in people]
    for turn in range(10):
        gate_id = f"g{turn}"
        await many[0].request(asked(gate_id, needs=4, may_decide=people))
        ballots = [vote(who, gate_id=gate_id) for who in people]
        answers = await asyncio.gather(*(gates.vote(one) for gates, one in zip(many, ballots, strict=True)))
        decided = [answer for answer in answers if answer is not None]
        assert len(decided) == 1
        assert sorted(decided[0].by) == list(people)


@pytest.mark.parametrize(
    "other",
    [{"bound_to": OTHER}, {"may_decide": ("mallory",)}, {"needs": 2, "may_decide": ("a", "b")}, {"risk": "low"}],
)
async def test_what_was_said_of_one_question_is_no_answer_to_another_of_its_name(
    gates: GateStore, other: Any
) -> None:
    """Whoever puts a question first under a name, with people of their own choosing, has decided nothing by it."""
    await gates.request(asked(**other))
    for who in asked(**other).may_decide or (OWNER,):
        await gates.vote(vote(who, bound_to=asked(**other).bound_to))
    assert (await gates.get("g1")).state == "approved"
    state = await gates.request(asked())
    assert state.state == "void"
    assert state.decided is not None
    assert (state.decided.answer, state.decided.by) == ("rejected", ())
    assert (await gates.get("g1")).state == "approved", "what was decided stays decided"


@pytest.mark.parametrize("other", [{"may_decide": ("mallory",)}, {"needs": 2}, {"risk": "low"}])
async def test_a_question_to_other_people_voids_the_one_that_waits(gates: GateStore, other: Any) -> None:
    await gates.request(asked(**other))
    state = await gates.request(asked())
    assert state.state == "void"
    assert await gates.pending() == []
    with pytest.raises(GateRefused, match="void already"):
        await gates.vote(vote("mallory"))

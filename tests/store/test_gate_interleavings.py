"""No interleaving of two deciders, a restart and an expiry gives a gate anything but exactly one outcome."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from maestro.store.gates import GateStore
from maestro.store.opening import open_store
from maestro.store.repository import SqlStore
from maestro_protocol.errors import GateRefused
from maestro_protocol.messages.gate import GateDecided, GateRequest, GateVote

HASHES = ("a" * 64, "b" * 64)
PEOPLE = ("ann", "bob", "cyd", "mallory")
MAY = PEOPLE[:3]
_gates = itertools.count()


class Clock:
    now = 0

    def now_ms(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return 0.0


votes = st.tuples(
    st.sampled_from(PEOPLE),
    st.sampled_from((True, True, True, False)),
    st.sampled_from((HASHES[0], HASHES[0], HASHES[0], HASHES[1])),
)


class GateMachine(RuleBasedStateMachine):
    """Two stores over one database decide on one gate; ``outcomes`` is every outcome that any door gave."""

    url = ""
    needs = 2

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.clock = Clock()
        self.stores: list[SqlStore] = [self.loop.run(open_store(self.url)) for _ in range(2)]
        self.gate = f"g{next(_gates)}"
        self.outcomes: list[GateDecided] = []
        self.approvers: set[str] = set()
        self.request = GateRequest(
            gate_id=self.gate,
            action="open",
            summary="",
            risk="high",
            bound_to=HASHES[0],
            needs=self.needs,
            may_decide=MAY,
            asked_at=0,
            expires_at=10,
        )
        self.together(self.doors(0).request(self.request))

    def teardown(self) -> None:
        for store in self.stores:
            self.loop.run(store.close())
        self.loop.close()

    def doors(self, side: int) -> GateStore:
        return GateStore(self.stores[side], self.clock, "nobody")

    def together(self, *calls: Any) -> list[Any]:
        """Run *calls* at once and note every outcome they give; refusals are answers, other errors are not."""

        async def run() -> list[Any]:
            return await asyncio.gather(*calls, return_exceptions=True)

        answers = self.loop.run(run())
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, GateRefused):
                raise answer
            given = answer if isinstance(answer, list) else [answer]
            self.outcomes += [one for one in given if isinstance(one, GateDecided)]
        return answers

    def ballot(self, side: int, drawn: tuple[str, bool, str]) -> Any:
        who, approve, bound_to = drawn
        if approve and who in MAY and bound_to == HASHES[0] and self.clock.now < 10:
            self.approvers.add(who)
        vote = GateVote(gate_id=self.gate, bound_to=bound_to, approve=approve, who=who, where="test", at=0)
        return self.doors(side).vote(vote)

    @rule(side=st.integers(0, 1), drawn=votes)
    def one_votes(self, side: int, drawn: tuple[str, bool, str]) -> None:
        self.together(self.ballot(side, drawn))

    @rule(first=votes, second=votes)
    def two_vote_at_once(self, first: tuple[str, bool, str], second: tuple[str, bool, str]) -> None:
        self.together(self.ballot(0, first), self.ballot(1, second))

    @rule(drawn=votes)
    def a_vote_meets_the_expiry(self, drawn: tuple[str, bool, str]) -> None:
        self.together(self.ballot(0, drawn), self.doors(1).expire())

    @rule(drawn=votes)
    def a_vote_meets_a_change(self, drawn: tuple[str, bool, str]) -> None:
        self.together(self.ballot(0, drawn), self.doors(1).void(self.gate, "changed"))

    @rule()
    def it_is_asked_again(self) -> None:
        self.together(self.doors(1).request(self.request))

    @rule(step=st.integers(1, 6))
    def time_passes(self, step: int) -> None:
        self.clock.now += step

    @rule(side=st.integers(0, 1))
    def a_process_restarts(self, side: int) -> None:
        self.loop.run(self.stores[side].close())
        self.stores[side] = self.loop.run(open_store(self.url))

    @invariant()
    def there_is_at_most_one_outcome_and_it_is_just(self) -> None:
        before = list(self.outcomes)
        state = self.loop.run(self.doors(0).get(self.gate))
        assert len(before) <= 1
        if before:
            assert state.decided == before[0]
        if state.state == "approved":
            assert state.decided is not None
            assert len(set(state.decided.by)) == self.needs
            assert set(state.decided.by) <= self.approvers
            assert state.decided.at < 10
        if state.state == "pending":
            assert self.clock.now < 10
            assert len(state.votes) < self.needs
        if state.decided is not None:  # for good
            self.outcomes = [state.decided]


def run(url: str, examples: int, needs: int) -> None:
    machine = type("Machine", (GateMachine,), {"url": url, "needs": needs})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=12,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.hypothesis
@pytest.mark.slow
@pytest.mark.parametrize("needs", [1, 2])
def test_one_outcome_on_sqlite(tmp_path: Path, needs: int) -> None:
    run(f"sqlite:///{tmp_path}/gates.db", 40, needs)


@pytest.mark.hypothesis
@pytest.mark.slow
@pytest.mark.parametrize("needs", [1, 2])
def test_one_outcome_on_postgresql(postgres: str, needs: int) -> None:
    run(postgres, 10, needs)

"""gate owns the commands by which a person answers what a campaign asks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from maestro.lines import emit, say
from maestro_protocol.errors import UsageError

if TYPE_CHECKING:
    from maestro.store.gates import GateStore
    from maestro.store.gating import GateState
    from maestro_protocol.messages.gate import GateVote

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Answer what a campaign waits for.")

GateArg = Annotated[str, typer.Argument(help="Id of the gate, as `maestro gate list` shows it.")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Out = Annotated[Path | None, typer.Option("--out", help="Where campaigns are kept.  [default: runs]")]
Reason = Annotated[str, typer.Option(help="Why; kept with the answer.")]
Bound = Annotated[str | None, typer.Option(help="Hash that you were shown; the answer counts for nothing else.")]


@app.command("list")
def list_(out: Out = None, as_json: Json = False) -> None:
    """List the gates that wait for an answer, the most urgent first."""

    async def waiting(gates: GateStore) -> tuple[Sequence[GateState], str]:
        return await gates.pending(), gates.place

    states, place = _with_gates(out, waiting)
    rows = [_row(state) for state in states]
    if as_json:
        emit(rows)
    elif rows:
        for row in rows:
            say(row["gate"], f"  {row['action']}")
            say(f"  {row['risk']} risk; {row['needs']} of {row['may_decide']} must approve by {row['expires']}")
    else:
        say(f"Nothing waits for an answer in {place}.")


@app.command("show")
def show(gate: GateArg, out: Out = None, as_json: Json = False) -> None:
    """Show one gate: what is asked, on what grounds, and what it is bound to."""
    state = _with_gates(out, lambda gates: gates.get(gate))
    row = _row(state) | {
        "summary": state.request.summary,
        "bound_to": state.request.bound_to,
        "state": state.state,
    }
    if as_json:
        emit(row | {"votes": [vote.model_dump(mode="json") for vote in state.votes]})
        return
    lines = [f"{name}: {value}" for name, value in row.items()]
    lines += [_in_words(vote) for vote in state.votes]
    if state.decided is not None and not state.votes:
        lines.append(f"because: {state.decided.reason}")
    say(*lines)


@app.command("approve")
def approve(gate: GateArg, reason: Reason = "", bound_to: Bound = None, out: Out = None) -> None:
    """Say yes. It counts once, in time, and only for exactly what is bound."""
    _answer(gate, True, reason, bound_to, out)


@app.command("reject")
def reject(gate: GateArg, reason: Reason = "", bound_to: Bound = None, out: Out = None) -> None:
    """Say no. One no decides."""
    _answer(gate, False, reason, bound_to, out)


def _answer(gate: str, approve: bool, reason: str, bound_to: str | None, out: Path | None) -> None:
    from maestro.clock import SystemClock
    from maestro.wiring.workspace import owner
    from maestro_protocol.messages.gate import GateVote

    if bound_to is not None and not re.fullmatch("[0-9a-f]{64}", bound_to):
        raise UsageError("--bound-to: write all 64 letters and digits, as `maestro gate show` tells them")

    async def vote(gates: GateStore) -> str:
        state = await gates.get(gate)
        answer = GateVote(
            gate_id=gate,
            bound_to=bound_to or state.request.bound_to,
            approve=approve,
            who=owner(),
            where="cli",
            at=SystemClock().now_ms(),
            reason=reason[:300],
        )
        decided = await gates.vote(answer)
        return "counted; more must approve" if decided is None else f"{decided.answer}: {decided.reason}"

    say(_with_gates(out, vote))


def _with_gates(out: Path | None, work: Callable[[GateStore], Awaitable[T]]) -> T:
    """Do *work* with the workspace's gates."""

    async def run() -> T:
        from maestro.cli.campaign import settings_with
        from maestro.clock import SystemClock
        from maestro.store.gates import GateStore
        from maestro.wiring.workspace import open_workspace_store, owner

        store = await open_workspace_store(settings_with(out))
        try:
            return await work(GateStore(store, SystemClock(), owner()))
        finally:
            await store.close()

    return asyncio.run(run())


def _in_words(vote: GateVote) -> str:
    reason = f": {vote.reason}" if vote.reason else ""
    return f"{'approved' if vote.approve else 'rejected'} by {vote.who} ({vote.where}, {_when(vote.at)}){reason}"


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _row(state: GateState) -> dict[str, Any]:
    request = state.request
    return {
        "gate": request.gate_id,
        "action": request.action,
        "risk": request.risk,
        "needs": request.needs,
        "may_decide": ", ".join(request.may_decide) or request.owner,
        "expires": _when(request.expires_at),
        "bound_to": request.bound_to[:12],
    }

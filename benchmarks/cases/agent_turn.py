"""agent_turn owns what a role's turn costs besides its model: a real question, an answer that is there at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

from cases.campaign_process import MAESTRO
from measuring.bench import Bench
from measuring.processes import run
from measuring.results import Row, duration, faster, least, missing, most
from measuring.samples import Taker, interleaved
from measuring.workers import Worker

TITLE = "An agent's turn without its model"

ROLE, WANTS = "critic", "Critique"
TURNS = 100
DURABLE, LIGHT = "durable", "in memory"
LANGGRAPH, AUTOGEN = "LangGraph with its SQLite checkpointer", "autogen-core, in memory"


def measure(bench: Bench) -> Iterator[Row]:
    with ExitStack() as stack:
        ours = stack.enter_context(bench.our_worker("maestro_turn.py"))
        exchange = _prepare(bench, ours)
        takers = {
            DURABLE: ours.timed("durable", count=TURNS),
            LIGHT: ours.timed("in_memory", count=TURNS),
        }
        absent = yield from _peers(bench, stack, exchange, takers)
        for take in takers.values():
            take()
        samples = interleaved(takers, bench.rounds(9))
    note = f"a {ROLE}'s briefing of {len(exchange['question']):,} bytes: prompt, call log, budget, answer checked"
    yield duration("journalled in SQLite, over the bus, to the role and back", samples[DURABLE], most(0.002), note)
    yield duration(
        "the same without a store", samples[LIGHT], note="what the durable turn has besides: 4 transactions"
    )
    if LANGGRAPH not in absent:
        yield faster(f"durable: against {LANGGRAPH}", samples[DURABLE], samples[LANGGRAPH], least(1), _less())
    if AUTOGEN not in absent:
        yield faster(f"without a store: against {AUTOGEN}", samples[LIGHT], samples[AUTOGEN], least(1), _less())
        yield faster(f"durable: against {AUTOGEN}", samples[DURABLE], samples[AUTOGEN])


def _less() -> str:
    return "the other renders no prompt, keeps no budget, and does not check its answer"


def _prepare(bench: Bench, ours: Worker) -> dict[str, str]:
    """A real question and its answer, from a small campaign's journal."""
    command = [str(MAESTRO), "campaign", "run", "--tests", "100", "--out", str(bench.scratch / "runs"), "--json"]
    folder = json.loads(run(command, bench.scratch).printed)["folder"]
    url = f"sqlite:///{bench.scratch / 'turns.db'}"
    return ours.ask("prepare", journal=f"{folder}/journal.jsonl", role=ROLE, wants=WANTS, url=url)


def _peers(bench: Bench, stack: ExitStack, exchange: dict[str, str], takers: dict[str, Taker]) -> Iterator[Row]:
    """Add the peers that are there to *takers*; rows, and the set, of those that are not."""
    absent: set[str] = set()
    graph = bench.peers.why_not("langgraph", "langgraph-checkpoint-sqlite")
    if graph is None:
        worker = stack.enter_context(bench.peer_worker("langgraph_turn.py"))
        worker.ask("prepare", folder=str(bench.scratch), **exchange)
        takers[LANGGRAPH] = worker.timed("durable", count=TURNS)
    else:
        absent.add(LANGGRAPH)
        yield missing(LANGGRAPH, graph)
    autogen = bench.peers.why_not("autogen-core")
    if autogen is None:
        worker = stack.enter_context(bench.peer_worker("autogen_turn.py"))
        worker.ask("prepare", **exchange)
        takers[AUTOGEN] = worker.timed("in_memory", count=TURNS)
    else:
        absent.add(AUTOGEN)
        yield missing(AUTOGEN, autogen)
    return absent

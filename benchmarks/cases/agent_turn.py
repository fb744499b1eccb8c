"""agent_turn owns what a role's turn costs besides its model: a real question, an answer that is there at once."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
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
LANGGRAPH, AUTOGEN = "LangGraph with its SQLite checkpointer", "autogen-core, in memory"
DURABLE, LIGHT = "durable", "in_memory"
BRAINS = {
    "ready": "its answer is JSON that is there",
    "rules": "its offline rules think",
    "model": "a model that answers at once: prompt rendered, call in its log, budget, answer checked",
}
"""What stands in for the model."""
WITHIN = most(0.002)


def measure(bench: Bench) -> Iterator[Row]:
    with ExitStack() as stack:
        ours = stack.enter_context(bench.our_worker("maestro_turn.py"))
        exchange = _prepare(bench, ours)
        takers = {
            f"{way} {brain}": ours.timed(way, count=TURNS, brain=brain)
            for way in (DURABLE, LIGHT)
            for brain in BRAINS
        }
        absent = yield from _peers(bench, stack, exchange, takers)
        for take in takers.values():
            take()
        samples = interleaved(takers, bench.rounds(9))
    note = (
        f"a {ROLE}'s briefing of {len(exchange['question']):,} bytes; in the journal on SQLite, over the bus and back"
    )
    for brain, what in BRAINS.items():
        yield duration(f"a turn, {what}", samples[f"{DURABLE} {brain}"], WITHIN, note * (brain == "ready"))
        yield duration("  the same without a store", samples[f"{LIGHT} {brain}"])
    same = "the same exchange: a question, JSON that is there read as its answer, and back"
    if LANGGRAPH not in absent:
        yield faster(f"against {LANGGRAPH}", samples[f"{DURABLE} ready"], samples[LANGGRAPH], least(1), same)
    if AUTOGEN not in absent:
        yield faster(
            f"without a store, against {AUTOGEN}", samples[f"{LIGHT} ready"], samples[AUTOGEN], least(1), same
        )


def _prepare(bench: Bench, ours: Worker) -> dict[str, str]:
    """A real question and its answer, from a small campaign's journal."""
    command = [str(MAESTRO), "campaign", "run", "--tests", "100", "--out", str(bench.scratch / "runs"), "--json"]
    folder = json.loads(run(command, bench.scratch).printed)["folder"]
    url = f"sqlite:///{bench.scratch / 'turns.db'}"
    return ours.ask("prepare", journal=f"{folder}/journal.jsonl", role=ROLE, wants=WANTS, url=url)


def _peers(
    bench: Bench, stack: ExitStack, exchange: dict[str, str], takers: dict[str, Taker]
) -> Generator[Row, None, set[str]]:
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

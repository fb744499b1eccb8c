"""langgraph_turn owns the same exchange on LangGraph: a graph of one role, every step checkpointed in SQLite."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from wire import serve, timed


class State(TypedDict, total=False):
    question: dict[str, Any]
    answer: dict[str, Any]


class Exchanges:
    """Its answer is JSON that is there; it is read, and not checked against a type as ours is."""

    def __init__(self) -> None:
        self.turn = 0

    def prepare(self, folder: str, question: str, answer: str) -> dict[str, Any]:
        self.question, self.answer = json.loads(question), answer
        connection = sqlite3.connect(Path(folder) / "langgraph.db", check_same_thread=False)
        saver = SqliteSaver(connection)
        saver.setup()
        connection.execute("PRAGMA synchronous = NORMAL")  # as our store has it
        graph = StateGraph(State)
        graph.add_node("role", self._role)
        graph.add_edge(START, "role")
        graph.add_edge("role", END)
        self.graph = graph.compile(checkpointer=saver)
        self._ask()
        return {}

    def _role(self, state: State) -> State:
        assert state["question"]
        return {"answer": json.loads(self.answer)}

    def _ask(self) -> None:
        self.turn += 1
        asked = {"question": self.question | {"turn": self.turn}}
        told = self.graph.invoke(asked, {"configurable": {"thread_id": "bench"}})
        assert told["answer"]

    def durable(self, count: int) -> dict[str, Any]:
        spent, _ = timed(self._ask, count)
        return spent


if __name__ == "__main__":
    exchanges = Exchanges()
    serve({"prepare": exchanges.prepare, "durable": exchanges.durable})

"""progress owns what a person watches while a campaign runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maestro.control.desk import Observer, Progress


@contextmanager
def watching(quiet: bool) -> Generator[Observer]:
    """An observer that draws on standard error; with *quiet*, one that does nothing."""
    if quiet:
        yield lambda progress: None
    elif sys.stderr.isatty():
        with _bar() as observer:
            yield observer
    else:
        yield _Lines()


def in_words(p: Progress, seconds: float) -> str:
    """One line: ``segment 2/5 explore: 150/500 tests, 9,000 episodes/s, best seg1 Sharpe 1.23, patches 2``.

    Where models were asked, ``, 12 calls to models, 45,210 tokens, 0.0312 USD`` besides.
    """
    rate = p.episodes / seconds if seconds > 0 else 0.0
    best = f"best {p.best_run} Sharpe {p.best_sharpe:.2f}" if p.best_sharpe is not None else "nothing ranked yet"
    patches = f"patches {p.patches_applied}" + (f" ({p.patches_refused} refused)" if p.patches_refused else "")
    note = f", {p.note}" if p.note else ""
    cost = "cost unknown" if p.usd is None else f"{p.usd:,.4f} USD"
    models = f", {p.calls:,} calls to models, {p.tokens:,} tokens, {cost}" if p.calls else ""
    return (
        f"segment {p.segment}/{p.segments} {p.goal.replace('_', ' ')}: {p.done}/{p.tests} tests, "
        f"{rate:,.0f} episodes/s, {best}, {patches}{models}{note}"
    )


class _Lines:
    """A line when a segment begins or ends, not for every batch."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._last: tuple[int, str] | None = None

    def __call__(self, progress: Progress) -> None:
        at = (progress.segment, progress.note)
        if at != self._last or progress.done == progress.tests:
            self._last = at
            sys.stderr.write(in_words(progress, time.perf_counter() - self._started) + "\n")


@contextmanager
def _bar() -> Generator[Observer]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    started = time.perf_counter()
    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=None)

        def observe(progress: Progress) -> None:
            text = in_words(progress, time.perf_counter() - started)
            bar.update(
                task, completed=progress.done, description=text.split(": ", 1)[0] + ", " + text.split("tests, ")[1]
            )

        yield observe

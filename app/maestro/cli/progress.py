"""progress owns what a person watches while a campaign runs: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from maestro.lines import warn

if TYPE_CHECKING:
    from maestro.control.context import Observer, Progress


LONGEST_SILENCE_S = 10.0
"""Where there is no terminal: so long a segment may run before another line says how far it is."""


@contextmanager
def watching(quiet: bool) -> Generator[Observer]:
    """An observer that draws on standard error; with *quiet*, one that does nothing."""
    if quiet:
        yield lambda progress: None
    elif sys.stderr.isatty():
        with _bar() as observer:
            yield observer
    else:
        lines = _Lines(warn)
        try:
            yield lines
        finally:
            lines.end()


@contextmanager
def counting(total: int, what: str, *, quiet: bool) -> Generator[Callable[[int, str], None]]:
    """Tell how many of *total* are done and how they stand: a bar on a terminal, elsewhere a line now and then."""
    if quiet:
        yield lambda _done, _standing: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}")
        with Bar(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done, standing: bar.update(task, completed=done, description=f"{what}: {standing}")
    else:
        said = time.perf_counter()

        def line(done: int, standing: str) -> None:
            nonlocal said
            now = time.perf_counter()
            if done == total or now - said > LONGEST_SILENCE_S:
                said = now
                warn(f"{done:,}/{total:,} {what}: {standing}")

        yield line


def in_words(p: Progress, seconds: float) -> str:
    """One line: ``segment 2/5 explore: 150/500 tests, 9,000 episodes/s, best seg1 Sharpe 1.23, patches 2``."""
    return f"{_place(p)}: {p.done}/{p.tests} tests, {figures(p, seconds)}"


def figures(p: Progress, seconds: float) -> str:
    """``9,000 episodes/s, best seg1 Sharpe 1.23, patches 2``, and what the campaign is at.

    Where models were asked, ``, 12 calls to models, 45,210 tokens, 0.0312 USD`` besides, and where they failed
    ``, rules took 3 turns of models``.
    """
    rate = p.episodes / seconds if seconds > 0 else 0.0
    best = f"best {p.best_run} Sharpe {p.best_sharpe:.2f}" if p.best_sharpe is not None else "nothing ranked yet"
    patches = f"patches {p.patches_applied}" + (f" ({p.patches_refused} refused)" if p.patches_refused else "")
    note = f", {p.note}" if p.note else ""
    cost = "cost unknown" if p.usd is None else f"{p.usd:,.4f} USD"
    models = f", {p.calls:,} calls to models, {p.tokens:,} tokens, {cost}" if p.calls else ""
    rules = f", rules took {p.fallbacks:,} turns of models" if p.fallbacks else ""
    return f"{rate:,.0f} episodes/s, {best}, {patches}{models}{rules}{note}"


def _place(p: Progress) -> str:
    return f"segment {p.segment}/{p.segments} {p.goal.replace('_', ' ')}"


class _Lines:
    """Says a line when a segment begins, one when it has ended, and now and then one between; not for every batch."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._started = self._said = time.perf_counter()
        self._held: str | None = None

    def __call__(self, progress: Progress) -> None:
        now = time.perf_counter()
        if progress.note:
            self.end()
        self._held = in_words(progress, now - self._started)
        if progress.note or now - self._said > LONGEST_SILENCE_S:
            self._said = now
            self.end()

    def end(self) -> None:
        """Say what was held back, if anything was."""
        if self._held is not None:
            self._say(self._held)
        self._held = None


@contextmanager
def _bar() -> Generator[Observer]:
    """A bar over all tests, its figures below it; above it a line for each segment that is over."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    started = time.perf_counter()
    bar = Bar(BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    task = bar.add_task("starting", total=None)
    below = Text()
    last: Progress | None = None
    with Live(Group(bar, below), console=Console(stderr=True)) as live:

        def observe(progress: Progress) -> None:
            nonlocal last
            seconds = time.perf_counter() - started
            if last is not None and last.segment != progress.segment:
                live.console.print(Text(in_words(last._replace(note=""), seconds)))
            last = progress
            bar.update(task, completed=progress.done, total=progress.tests, description=_place(progress))
            below.plain = figures(progress, seconds)

        yield observe

"""rerun owns what can be checked of a campaign that another version of Maestro decided: its entries and its tests.

Its decisions are not made again here: the rules of that version are not this one's. Each test still runs again from
its own ``run.yaml``, which says all that its trades depend on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from maestro.control.record.lineage import read_run
from maestro.control.record.replay_diff import LINES, difference_of, read_or_empty
from maestro_protocol.config import RunConfig
from maestro_protocol.envelope import Envelope
from maestro_protocol.errors import MaestroError
from maestro_protocol.messages.events import BatchFinished
from maestro_protocol.messages.report import SegmentFinished, TestReport
from maestro_protocol.ports import Runner


def broken_chain(journal: Sequence[Envelope]) -> Iterator[str]:
    """The entries of *journal* that do not follow the ones before: in number, campaign or what they answer."""
    known: set[str] = set()
    for place, entry in enumerate(journal, start=1):
        if entry.seq != place or entry.id in known or entry.campaign != journal[0].campaign:
            yield f"{entry.id}: is not the journal's entry {place}"
        if entry.causation is not None and entry.causation not in known:
            yield f"{entry.id}: answers {entry.causation}, which is not before it"
        known.add(entry.id)


def rerun_tests(folder: Path, journal: Sequence[Envelope], runner: Runner) -> tuple[int, list[str]]:
    """Run every test that *journal* says finished again, from its ``run.yaml``; compare what it leaves.

    Returns how many tests leave the trades and scores that lie in *folder*, byte for byte, and a sentence for each
    that does not: other lines, a configuration that the journal does not have, or one that does not run.
    """
    segments = [entry.body for entry in journal if isinstance(entry.body, SegmentFinished)]
    reports = {report.test_id: report for segment in segments for report in segment.results}
    equal, wrong = 0, list[str]()
    for entry in journal:
        if not isinstance(entry.body, BatchFinished):
            continue
        for run in entry.body.tests:
            found = list(_differences(folder, run, reports.get(run), runner))
            equal += not found
            wrong += found
    return equal, wrong


def _differences(folder: Path, run: str, report: TestReport | None, runner: Runner) -> Iterator[str]:
    try:
        config = read_run(folder, run)
        runner.check(config)
        (outcome,) = runner.run([config])
    except MaestroError as error:
        yield f"{run}: cannot run again ({error})"
        return
    if report is not None and (report.methods, report.params) != (config.methods, config.params):
        yield f"{run}, run.yaml: is not the configuration that the journal has"
    for name, lines in zip(LINES, (outcome.trades_jsonl, outcome.scores_jsonl), strict=True):
        recorded = read_or_empty(_test_folder(folder, config) / name)
        if recorded != lines:
            yield f"{run}, {name}{difference_of(recorded, lines)}"


def _test_folder(folder: Path, config: RunConfig) -> Path:
    segment, _, test = config.run_id.removeprefix("seg").partition("_test")
    return folder / f"segment_{segment}" / f"test_{test}"

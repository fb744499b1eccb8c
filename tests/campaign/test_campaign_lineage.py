"""Every run of a campaign descends from the root, step by step; patches reach the tests that had not started."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from campaign_support import bodies, conducted, journal_of, settings_in, small_config, small_file

from maestro.control.record.ledger import key_of
from maestro.control.record.lineage import explain, read_run
from maestro.store.opening import open_store
from maestro.wiring.campaigns import CampaignRequest, CampaignRun, run_campaign
from maestro_engine import methods as registry
from maestro_protocol.config import RunConfig
from maestro_protocol.messages.campaign import TrialRecorded, Verdict
from maestro_protocol.messages.events import BatchFinished
from maestro_protocol.messages.plan import PatchApplied, Proposal, RunConfigDraft
from maestro_protocol.values import as_mapping


def _runs(folder: Path) -> Iterator[RunConfig]:
    for path in sorted(folder.rglob("*.yaml")):
        if path.name != "campaign.yaml":
            yield RunConfig.model_validate(yaml.load(path.read_bytes(), yaml.CSafeLoader))


@pytest.fixture(scope="module")
def folders(undisturbed: CampaignRun, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Campaigns of different markets: what is proposed, patched, reverted and killed in them differs."""
    found = [undisturbed.folder]
    for kind in ("trending", "noise"):
        folder = tmp_path_factory.mktemp(kind)
        settings = settings_in(folder)
        config = small_config(small_file(folder, kind), settings, tests=60, segments=5, batch=4)
        found.append(conducted(config, settings).folder)
    return found


@pytest.fixture(scope="module")
def sequential(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = settings_in(tmp_path_factory.mktemp("sequential"))
    return asyncio.run(run_campaign(CampaignRequest(tests=60), settings, lambda progress: None, 2)).folder


def test_the_store_knows_every_run_back_to_the_root_as_the_folder_has_it(folders: list[Path]) -> None:
    async def stored(folder: Path) -> dict[str, list[RunConfig]]:
        store = await open_store(f"sqlite:///{folder.parent}/maestro.db")
        found = {run: list(await store.lineage(folder.name, run)) for run in await store.finished(folder.name)}
        await store.close()
        return found

    for folder in folders:
        runs = {run.run_id: run for run in _runs(folder)}
        chains = asyncio.run(stored(folder))
        assert len(chains) > 20
        for run, chain in chains.items():
            assert (chain[0].run_id, chain[-1].run_id) == ("root", run)
            assert chain == [runs[one.run_id] for one in chain]
        assert {one.run_id for chain in chains.values() for one in chain} >= {
            run.parent_run for run in runs.values() if run.parent_run is not None
        }


def test_every_run_is_its_parent_and_what_it_says_has_changed(folders: list[Path]) -> None:
    """The values of a run are its parent's, overlaid with its changes: old values are the parent's own."""
    for folder in folders:
        runs = {run.run_id: run for run in _runs(folder)}
        assert len(runs) > 24
        for run in runs.values():
            if run.run_id == "root":
                assert run.parent_run is None
                continue
            assert run.parent_run in runs, f"{run.run_id} descends from {run.parent_run}, which is not kept"
            before = runs[run.parent_run].values()
            after = dict(before)
            for change in run.changes_from_parent:
                assert change.old == before.get(change.parameter), f"{run.run_id}: {change}"
                assert change.new != change.old, f"{run.run_id}: {change} changes nothing"
                after[change.parameter] = change.new
            for name, value in run.values().items():
                assert after[name] == value, f"{run.run_id}: nothing says how {name} became {value}"


def test_every_chain_of_parents_ends_at_the_root_of_declared_defaults(folders: list[Path]) -> None:
    for folder in folders:
        for run in _runs(folder):
            chain = [run]
            while chain[-1].parent_run is not None:
                chain.append(read_run(folder, chain[-1].parent_run))
                assert len(chain) < 50
            assert chain[-1].run_id == "root"
            assert chain[-1].values() == registry.space_for(chain[-1].methods).defaults()


def test_every_value_of_every_run_is_inside_its_declared_bounds(folders: list[Path]) -> None:
    for folder in folders:
        for run in _runs(folder):
            space = registry.space_for(run.methods)
            assert set(run.values()) == set(space.names)
            for name, value in run.values().items():
                assert space[name].check(value) == value


def test_every_change_names_the_message_that_made_it_so(folders: list[Path]) -> None:
    for folder in folders:
        said = {envelope.id: envelope for envelope in journal_of(folder)}
        for run in _runs(folder):
            for change in run.changes_from_parent:
                assert change.because in said, f"{run.run_id}: nobody said {change}"


def test_who_proposed_a_value_is_told_apart_from_who_changed_another(folders: list[Path]) -> None:
    """A variant's own values are its draft's; what was patched afterwards is the strategist's last word."""
    checked = 0
    for folder in folders:
        said = {envelope.id: envelope.body for envelope in journal_of(folder)}
        for run in _runs(folder):
            for change in run.changes_from_parent:
                body: Any = said[change.because]
                if isinstance(body, RunConfigDraft):
                    given = [as_mapping(variant.params) for variant in body.variants]
                    default = registry.space_for(run.methods)[change.parameter].default
                    assert change.new == default or any(g.get(change.parameter) == change.new for g in given)
                    checked += 1
    assert checked > 3


def test_patches_reach_only_tests_that_had_not_started(folders: list[Path]) -> None:
    applied = 0
    for folder in folders:
        started: set[str] = set()
        for envelope in journal_of(folder):
            body: Any = envelope.body
            if isinstance(body, BatchFinished):
                started |= set(body.tests)
            if not isinstance(body, PatchApplied) or body.action == "measure":
                continue
            if body.applied_to == "no test is left":
                continue
            first = re.fullmatch(r"seg(\d+)_test(\d+)-(\d+)", body.applied_to)
            assert first, body.applied_to
            segment, low, high = first.groups()
            patched = body.patch.new_value if body.status == "applied" else body.patch.old_value
            for test in range(1, int(high) + 1):
                run_id = f"seg{segment}_test{test:03d}"
                assert (run_id in started) == (test < int(low))
            if body.status == "applied":
                applied += 1
                run = read_run(folder, f"seg{segment}_test{int(low):03d}")  # odd tests do not stray
                assert run.values()[body.patch.parameter] == patched
                assert "-p" in str(run.parent_run)
                before = read_run(folder, f"seg{segment}_test{int(low) - 1:03d}")
                assert before.parent_run != run.parent_run
    assert applied >= 6


def test_what_was_reverted_is_gone_from_the_tests_that_follow(folders: list[Path]) -> None:
    reverted = 0
    for folder in folders:
        for body in bodies(journal_of(folder), PatchApplied):
            if body.action == "revert" and body.applied_to != "no test is left":
                segment, low, _ = re.fullmatch(r"seg(\d+)_test(\d+)-(\d+)", body.applied_to).groups()  # type: ignore[union-attr]
                run = read_run(folder, f"seg{segment}_test{low}")
                reverted += 1
                assert run.parent_run is not None
                asked = {change.parameter: change for change in run.changes_from_parent}
                if body.patch.parameter not in asked:
                    values = read_run(folder, run.parent_run).values()
                    assert run.values()[body.patch.parameter] == values[body.patch.parameter]
    assert reverted >= 2


def test_why_tells_the_whole_chain_of_any_parameter_of_any_run(folders: list[Path]) -> None:
    journal = journal_of(folders[0])
    for run in list(_runs(folders[0]))[::3]:
        for name, value in run.values().items():
            chain = explain(folders[0], journal, run.run_id, name)
            assert chain.value == value
            now = value
            for link in chain.links:
                assert link.new == now, f"{run.run_id} {name}: a link of its chain does not fit the one before"
                assert link.said, f"{run.run_id} {name}: nobody's words stand behind {link}"
                if link.old is None:
                    break
                now = link.old


def test_every_variant_that_anybody_proposed_is_counted_once(folders: list[Path], sequential: Path) -> None:
    """The verdict counts the distinct variants of the journal: those that ran, were rejected, or never got there."""
    for folder in [*folders, sequential]:
        journal = journal_of(folder)
        trials = bodies(journal, TrialRecorded)
        variants = {key_of(trial.methods, as_mapping(trial.params)) for trial in trials}
        verdict = bodies(journal, Verdict)[0]
        assert verdict.trials == len(variants)
        for run in _runs(folder):
            if run.window is not None:
                assert key_of(run.methods, run.values()) in variants
        for proposal in bodies(journal, Proposal):
            keys = [
                key_of(v.methods, registry.space_for(v.methods).resolve(as_mapping(v.params)))
                for v in proposal.variations
                if v.region is None
            ]
            assert sum(key not in variants for key in keys) <= 1, "only the chosen one may have been changed before"

"""campaign_folder owns a campaign's files: each written whole, and durable when the campaign ends."""

from __future__ import annotations

import csv
import ctypes
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from maestro.control.record.manifest import digest, renew
from maestro.control.record.standings import LEADERBOARD
from maestro_protocol.config import RunConfig
from maestro_protocol.errors import StoreError
from maestro_protocol.messages.campaign import CampaignConfig
from maestro_protocol.ports import ModelCallRecord, TestOutcome


class CampaignFolder:
    """``runs/<campaign>``: what a person opens, and what another machine can be handed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.exported = 0
        """Messages of the journal that this put into the folder."""
        self.written: dict[str, str] = {}
        """Files that people read, and the SHA-256 of what this wrote into them."""

    def campaign(self, config: CampaignConfig) -> None:
        """What was asked for, resolved; its methods are written out where the message leaves the default ones out."""
        said = config.model_dump(mode="json")
        names = [name for name in CampaignConfig.model_fields if name in said or name == "methods"]
        self.write("campaign.yaml", _dump({**{name: said.get(name) for name in names}, "methods": [*config.methods]}))

    def root(self, config: RunConfig) -> None:
        """The run that all others descend from: every parameter at its declared default."""
        self.write("root.yaml", _yaml(config))

    def plan(self, segment: int, plan: BaseModel) -> None:
        self.write(f"segment_{segment}/segment_plan.json", _json(plan))

    def results(self, segment: int, finished: BaseModel) -> None:
        self.write(f"segment_{segment}/segment_results.json", _json(finished))

    def template(self, segment: int, config: RunConfig) -> None:
        """A run that no test is, but tests descend from."""
        self.write(f"segment_{segment}/lineage/{config.run_id}.yaml", _yaml(config))

    def page(self, after_segment: int, plan: BaseModel) -> None:
        self.write(f"segment_{after_segment}/one_page_plan.json", _json(plan))

    def tests(self, segment: int, batch: Sequence[tuple[int, RunConfig, TestOutcome]]) -> None:
        """A batch of tests: their numbers, configs and outcomes.

        The store has them already, durable: walked again after a crash, a campaign writes these files again.
        """
        for number, config, outcome in batch:
            folder = self.path / f"segment_{segment}" / f"test_{number:03d}"
            lines = {"trades.jsonl": outcome.trades_jsonl, "scores.jsonl": outcome.scores_jsonl}
            config_text = _run_yaml(config)
            self.fill(folder, {"run.yaml": config_text} | lines)
            self.written[f"segment_{segment}/test_{number:03d}/run.yaml"] = digest(config_text)

    def leaderboard(self, rows: Sequence[Mapping[str, object]]) -> None:
        """One line a test; further metrics come after the fixed columns."""
        columns = [*LEADERBOARD, *(name for name in (rows[0] if rows else ()) if name not in LEADERBOARD)]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(row[name]) for name in columns} for row in rows)
        self.write("leaderboard.csv", text.getvalue().encode())

    def metrics(self, finished: BaseModel) -> None:
        self.write("metrics_global.json", _json(finished))

    def exhibits(self, exhibits: BaseModel) -> None:
        self.write("exhibits.json", _json(exhibits))

    def journal(self, more: Iterable[str]) -> None:
        """The journal's export: an envelope a line, in order; *more* than what this folder ``exported`` before."""
        lines = [f"{line}\n".encode() for line in more]
        if self.exported == 0:
            self.write("journal.jsonl", b"".join(lines))
        else:
            self.add("journal.jsonl", b"".join(lines))
        self.exported += len(lines)

    def recordings(self, exchanges: Sequence[ModelCallRecord]) -> None:
        """Every request to a model and its reply, a JSON line each: what a replay answers from."""
        lines = (json.dumps(exchange._asdict(), ensure_ascii=False).encode() + b"\n" for exchange in exchanges)
        self.write("recordings.jsonl", b"".join(lines))

    def seal(self) -> None:
        """Say in the manifest what was written."""
        renew(self.path, self.written)

    def sync(self) -> None:
        """Wait until everything written so far is on the disk: one call for all files."""
        try:
            _sync_file_system(self.path)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be made durable ({error.strerror})") from None

    def fill(self, folder: Path, files: Mapping[str, bytes]) -> None:
        """Write a test's files in place: a crash in the middle leaves a test that the journal does not know."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                (folder / name).write_bytes(content)
        except OSError as error:
            raise StoreError(f"{folder}: cannot be written ({error.strerror}); free some space") from None

    def add(self, name: str, content: bytes) -> None:
        """More at the end of a file of the folder."""
        try:
            with (self.path / name).open("ab") as file:
                file.write(content)
            self.written[name] = digest((self.path / name).read_bytes())
        except OSError as error:
            raise StoreError(f"{self.path / name}: cannot be written ({error.strerror}); free some space") from None

    def write(self, name: str, content: bytes) -> None:
        """One file of the folder, whole or not at all."""
        target = self.path / name
        temporary = target.with_name(f".{target.name}.new")
        try:
            if not target.parent.is_dir():
                target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(content)
            temporary.replace(target)
            self.written[name] = digest(content)
        except OSError as error:
            raise StoreError(
                f"{target}: cannot be written ({error.strerror}); free some space or choose --out"
            ) from None


def _sync_file_system(path: Path) -> None:
    """Flush the file system that *path* is on: Linux's syncfs, elsewhere all of them."""
    if not sys.platform.startswith("linux"):
        os.sync()
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


def _yaml(model: BaseModel) -> bytes:
    return _dump(model.model_dump(mode="json"))


def _run_yaml(config: RunConfig) -> bytes:
    """As ``_yaml``: a campaign's runs share most of their sections, so each distinct one is written out once."""
    data = config.model_dump(mode="json")
    return b"".join(_section(key, json.dumps(value)) for key, value in data.items())


@lru_cache(maxsize=2_048)
def _section(key: str, value: str) -> bytes:
    return _dump({key: json.loads(value)})


def _dump(data: Mapping[str, Any]) -> bytes:
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(dict(data), Dumper=dumper, sort_keys=False, allow_unicode=True, width=118)
    return text.encode()


def _json(model: BaseModel) -> bytes:
    return model.model_dump_json(indent=1).encode() + b"\n"


def _cell(value: object) -> object:
    """Unknown is an empty cell; exact amounts and full floats otherwise."""
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, Decimal) else value

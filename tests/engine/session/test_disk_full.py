"""A disk that is really full: the session ends in order, in the room that it kept."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from maestro_engine.session.evidence.report import ARTIFACTS
from maestro_engine.session.evidence.verify import verify
from maestro_engine.session.safety.reserve import BYTES, RESERVE, DiskReserve
from maestro_engine.session.safety.state import StateFile
from maestro_protocol.errors import StoreError


@pytest.fixture
def small(tmp_path: Path):
    """A file system of twelve megabytes; only who administers the machine may make one."""
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mounting a small file system needs root and mount(8)")
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no small file system can be mounted here: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(folder: Path) -> None:
    """Take all that is left, to the last byte."""
    with (folder / "others").open("ab", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size):
                    pass


@pytest.mark.parametrize("policy", ["flatten", "keep"])
async def test_a_full_disk_ends_it_in_order_with_all_its_evidence(lab, small, policy):
    lab.root = small
    lab.when("ExecutionFill", lambda: fill_up(small))
    report = await lab.run(lab.config(on_disk_full=policy))
    assert (report.reason, report.status, report.exit_code) == ("disk_full", "failed", 1)
    assert (report.position == 0) == (policy == "flatten")
    assert all((lab.folder / name).stat().st_size for name in ARTIFACTS)
    assert not (lab.folder / RESERVE).exists()
    assert StateFile(lab.folder).load().state["phase"] == ("done" if policy == "flatten" else "open")
    failed = {check.number for check in verify(lab.folder) if not check.passed}
    assert failed == ({1, 2} if policy == "flatten" else {1, 2, 5, 9})
    if policy == "keep":
        assert lab.events("PositionKept")
        (small / "others").unlink()
        lab.on_line = None
        again = await lab.run(lab.config(on_disk_full=policy))
        assert again.position == 0


async def test_a_disk_that_stays_full_still_gets_it_flat_in_memory(lab, small):
    """Somebody else takes the room that was given up, before it is used."""
    lab.root = small
    hold = DiskReserve.release

    def grabbed(reserve: DiskReserve) -> None:
        hold(reserve)
        fill_up(small)

    lab.when("ExecutionFill", lambda: fill_up(small))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DiskReserve, "release", grabbed)
        report = await lab.run()
    assert (report.reason, report.exit_code, report.position) == ("disk_full", 1, Decimal(0))


async def test_a_session_does_not_start_without_room_to_end(lab, small):
    lab.root = small
    with (small / "others").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 12 * 1_048_576 - BYTES)
    with pytest.raises(StoreError, match="which an orderly end needs"):
        await lab.run()


def test_what_is_no_want_of_room_is_raised(tmp_path):
    reserve = DiskReserve(tmp_path, pytest.fail)

    def broken() -> None:
        raise OSError(errno.EIO, "input/output error")

    with pytest.raises(OSError, match="input/output"):
        reserve.write(broken)


def test_room_is_given_up_once_and_told_once(tmp_path):
    told, tries = [], []
    reserve = DiskReserve(tmp_path, lambda: told.append(1), size=4_096)
    reserve.hold()
    assert (tmp_path / RESERVE).stat().st_size == 4_096

    def full() -> None:
        tries.append((tmp_path / RESERVE).exists())
        raise OSError(errno.ENOSPC, "no space left on device")

    assert not reserve.write(full)
    assert not reserve.write(full)
    assert told == [1]
    assert tries == [True, False, False, False]
    assert reserve.lost

"""import_probe owns the watch over an import: ``python import_probe.py PACKAGE ROOT...`` prints what it did, as JSON.

It imports every module of PACKAGE and records each environment variable read by a line below a ROOT, each file opened
outside the installation and the ROOTs, each file written, and whatever reaches for network, thread or process.
"""

from __future__ import annotations

import _thread
import importlib
import importlib.util
import json
import os
import pkgutil
import sys
import threading
from pathlib import Path
from types import FrameType

PACKAGE, SOURCES = sys.argv[1], tuple(os.path.realpath(root) + os.sep for root in sys.argv[2:])
INSTALLED = tuple(os.path.realpath(root) + os.sep for root in {sys.prefix, sys.base_prefix, *sys.path} if root)
SYSTEM = ("/dev/", "/etc/", "/proc/", "/sys/", "/usr/")
LOUD = (
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "subprocess.Popen",
    "os.fork",
)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
THEIRS = ("PYDANTIC_DISABLE_PLUGINS",)  # read by a library for itself, whenever a class of its kind is made
CACHING = str(Path("numba", "core", "caching.py"))
offences: list[str] = []


def place(frame: FrameType | None, *, ours: bool) -> str | None:
    """The line that acts: any one, or one of ours that does not merely import somebody's module."""
    while frame is not None:
        name = frame.f_code.co_filename
        if ours and name.startswith("<frozen importlib"):
            return None
        if name.startswith(SOURCES) or not (ours or name.startswith("<frozen")):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def looks_for_its_cache(frame: FrameType | None) -> bool:
    """Whether numba asks where compiled kernels are kept: it tries the folder beside the module."""
    while frame is not None:
        if frame.f_code.co_filename.endswith(CACHING):
            return True
        frame = frame.f_back
    return False


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if event in LOUD:
        offences.append(f"{event} at {place(sys._getframe().f_back, ours=False)}")
    if event != "open" or isinstance(arguments[0], int):
        return
    frame = sys._getframe().f_back
    if looks_for_its_cache(frame):
        return
    path = os.path.realpath(os.fsdecode(arguments[0]))  # type: ignore[arg-type]
    if isinstance(arguments[2], int) and arguments[2] & WRITES:
        offences.append(f"wrote {path} at {place(frame, ours=False)}")
    elif not path.startswith((*INSTALLED, *SOURCES, *SYSTEM)):
        offences.append(f"read {path} at {place(frame, ours=False)}")


def watch_environment() -> None:
    kind = type(os.environ)
    item, names = kind.__getitem__, kind.__iter__

    def asked(self, key):  # type: ignore[no-untyped-def]
        who = place(sys._getframe(1), ours=True)
        if who and key not in THEIRS:
            offences.append(f"environment: {key} at {who}")
        return item(self, key)

    def listed(self):  # type: ignore[no-untyped-def]
        who = place(sys._getframe(1), ours=True)
        if who:
            offences.append(f"environment: all of it at {who}")
        return names(self)

    kind.__getitem__, kind.__iter__ = asked, listed


def watch_threads() -> None:
    start = _thread.start_new_thread

    def started(*arguments: object, **named: object) -> int:
        offences.append(f"thread at {place(sys._getframe().f_back, ours=False)}")
        return start(*arguments, **named)  # type: ignore[arg-type]

    _thread.start_new_thread = threading._start_new_thread = started  # type: ignore[attr-defined]


found = [PACKAGE]


def visit(folder: list[str], prefix: str) -> None:
    for module in pkgutil.iter_modules(folder, prefix):
        found.append(module.name)
        imported = importlib.import_module(module.name)
        if module.ispkg:
            visit(list(imported.__path__), f"{module.name}.")


watch_environment()
watch_threads()
sys.addaudithook(watch)
visit(list(importlib.import_module(PACKAGE).__path__), f"{PACKAGE}.")
offences.extend(f"left the thread {thread.name} running" for thread in threading.enumerate()[1:])
sys.stdout.write(json.dumps({"modules": found, "offences": sorted(set(offences))}))

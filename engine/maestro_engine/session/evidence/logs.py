"""logs owns the session's log: JSON lines in rotating files, scrubbed, on no logger that anybody else shares."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

from maestro_engine.session.trail.scrub import Scrubber

FILE_BYTES = 10_000_000
OLDER_FILES = 4
"""Besides the one being written: five files in all."""


class _JsonLines(logging.Formatter):
    def __init__(self, scrub: Scrubber, now_ms: Callable[[], int]) -> None:
        super().__init__()
        self._scrub, self._now_ms = scrub, now_ms

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {"ts": self._now_ms(), "level": record.levelname.lower(), "event": record.msg}
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return self._scrub.clean(json.dumps(line, ensure_ascii=False, default=str))


class _Handler(RotatingFileHandler):
    """What cannot be logged is no reason to end, nor to fill a terminal: a full disk is the trail's to find out."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Nothing."""


class SessionLog:
    """One log of one run. ``info("feed", state="live")`` writes one line."""

    def __init__(self, path: Path, scrub: Scrubber, now_ms: Callable[[], int]) -> None:
        self._handler = _Handler(path, maxBytes=FILE_BYTES, backupCount=OLDER_FILES, encoding="utf-8")
        self._handler.setFormatter(_JsonLines(scrub, now_ms))
        self._logger = logging.Logger("session")  # of its own: shared with nobody
        self._logger.addHandler(self._handler)

    def info(self, event: str, **fields: object) -> None:
        self._logger.info(event, extra={"fields": fields})

    def failure(self, event: str, error: BaseException, **fields: object) -> None:
        """With the whole trace."""
        self._logger.error(event, exc_info=error, extra={"fields": {**fields, "error": str(error)}})

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._handler.close()

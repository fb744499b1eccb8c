"""joined owns text of files joined from several: headers that come again, left out on the way to the CSV reader."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from typing import Protocol

from maestro_engine.data.readers.column_names import match_columns
from maestro_protocol.errors import DataError

_BLOCK = 1 << 20
_ROWS_KEPT = 1_000
_NOT_A_NUMBER = re.compile(rb"(?m)^[^\d\r\n][^\n]*\n?")
"""A line that does not begin with a digit: what a header or a publisher's line begins like."""


class ByteStream(Protocol):
    """What can be read in pieces."""

    closed: bool

    def read(self, size: int = -1) -> bytes:
        """At most *size* bytes, none at the end."""
        ...

    def close(self) -> None:
        """Let go of the source."""
        ...


class WithoutHeaders:
    """A stream of CSV text without its first *skip* lines and without every later line that is its header again.

    ``cat`` and publishers' joined archives leave a header, and sometimes an address above it, at every seam.
    Raises DataError at a header that puts the columns in other places.
    """

    def __init__(self, stream: ByteStream, delimiter: str, found: Mapping[str, int], skip: int) -> None:
        self._stream = stream
        self._delimiter = delimiter
        self._found = dict(found)
        self._skip = skip
        self._rest = b""
        self._ready = b""
        self._passed = 0
        """Data lines before the current block."""
        self.rows: list[int] = []
        """Data rows before which a header was left out, the first thousand."""
        self.count = 0
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """The next lines; *size* bounds them when it is positive."""
        while not self._ready:
            block = self._stream.read(_BLOCK)
            text = self._rest + block
            if not text:
                return b""
            end = text.rfind(b"\n") + 1 if block else len(text)
            self._rest, self._ready = text[end:], self._filtered(text[:end])
        size = len(self._ready) if size < 0 else size
        given, self._ready = self._ready[:size], self._ready[size:]
        return given

    def close(self) -> None:
        """Let go of the source."""
        self.closed = True
        self._stream.close()

    def _filtered(self, text: bytes) -> bytes:
        while self._skip and text:
            text = text[text.find(b"\n") + 1 or len(text) :]
            self._skip -= 1
        kept: list[bytes] = []
        begin = 0
        for match in _NOT_A_NUMBER.finditer(text):
            header, dropped, moved = self._kind(match[0])
            if moved:
                row = self._passed + text.count(b"\n", begin, match.start()) + 1
                raise DataError(
                    f"row {row}: another header stands there, with its columns in other places; "
                    "join files of one layout only"
                )
            if dropped:
                kept.append(text[begin : match.start()])
                self._passed += kept[-1].count(b"\n")
                begin = match.end()
                if header:
                    self._note()
        kept.append(text[begin:])
        self._passed += kept[-1].count(b"\n")
        return b"".join(kept)

    def _note(self) -> None:
        self.count += 1
        if len(self.rows) < _ROWS_KEPT:
            self.rows.append(self._passed + 1)

    def _kind(self, line: bytes) -> tuple[bool, bool, bool]:
        """Whether *line* is the header again, whether it is no data at all, and whether it is another header."""
        text = line.decode("utf-8-sig", errors="replace").strip()
        if self._delimiter not in text:
            return False, text.startswith(("http://", "https://", "#")), False
        cells = [cell.strip() for cell in next(csv.reader([text], delimiter=self._delimiter), [""])]
        found = match_columns(cells)
        if "close" not in found or "open" not in found:
            return False, False, False
        same = all(found.get(name) == place for name, place in self._found.items() if name in found)
        same = same and "open_time" in found
        return same, same, not same

"""lines owns what is written for people: whatever is in a line stays in that line and commands nothing."""

from __future__ import annotations

import json
import sys

from maestro_protocol.sanitize import escaped, one_line


def say(*lines: str) -> None:
    """Write each of *lines* to standard output, as one line."""
    sys.stdout.write("".join(f"{one_line(line)}\n" for line in lines))


def warn(*lines: str) -> None:
    """Write each of *lines* to standard error, as one line."""
    sys.stderr.write("".join(f"{one_line(line)}\n" for line in lines))


def emit(value: object) -> None:
    """Write *value* as JSON to standard output; what would command a terminal is escaped, as JSON can."""
    emit_json(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def emit_json(text: str) -> None:
    """Write *text*, which is JSON already, to standard output."""
    sys.stdout.write(f"{escaped(text)}\n")

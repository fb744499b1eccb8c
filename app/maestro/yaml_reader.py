"""yaml_reader owns YAML files of people: the core schema of YAML 1.2, bounded in size, depth, digits.

YAML 1.1 reads ``010`` as eight, ``1:30`` as ninety and ``no`` as false; here they are ten and two texts.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Hashable
from pathlib import Path
from typing import Any, cast

import yaml

from maestro_protocol.errors import ConfigError

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_VALUES = 200_000
MAX_DIGITS = 40
"""Digits of a number; what is longer is a text that only looks like one."""

_BASE: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_bytes(path: Path) -> bytes:
    """What is in a file of settings. Raises ConfigError: not there, too large, a device or a pipe (may never end)."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"{path.name}: is not a regular file; write it into one")
            text = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path.name}: cannot be read ({reason})") from None
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{path.name}: larger than {MAX_BYTES:,} bytes; this is not a file of settings")
    return text


def parse(text: bytes, name: str) -> object:
    """Plain data of one YAML document: dict, list, str, int, float, bool, None.

    Raises ConfigError with *name*: no YAML, nested too deeply, a number too long, a key said twice, a tag, aliases
    that stand for too much.
    """
    try:
        _bounded(text)
        loader = _Loader(text.decode("utf-8-sig"))
        try:
            return cast("object", loader.get_single_data())
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{name}: is not YAML ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = "" if mark is None else f", line {mark.line + 1}"
    return f"{getattr(error, 'problem', None) or str(error).splitlines()[0]}{where}"


class _Part:
    """A collection that is being read: its anchor, its values so far with those inside, the levels below it."""

    def __init__(self, anchor: str | None) -> None:
        self.anchor = anchor
        self.values = 1
        self.levels = 0


def _bounded(text: bytes) -> None:
    """Refuse what would take the loader long or deep, aliases written out: before anything is built of it."""
    open_: list[_Part] = [_Part(None)]
    whole: dict[str, _Part] = {}
    for event in yaml.parse(text.decode("utf-8-sig"), Loader=_BASE):
        where = "" if event.start_mark is None else f", line {event.start_mark.line + 1}"
        anchor = getattr(event, "anchor", None)
        if getattr(event, "tag", None) is not None:
            raise yaml.YAMLError(f"a tag{where}; write plain values")
        if isinstance(event, yaml.CollectionStartEvent):
            open_.append(_Part(anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            _grow(open_[-2], open_[-1], whole)
            open_.pop()
        elif isinstance(event, yaml.ScalarEvent):
            _grow(open_[-1], _Part(anchor), whole)
        elif isinstance(event, yaml.AliasEvent):
            if anchor not in whole:
                raise yaml.YAMLError(f"an alias of nothing, or of what it is in{where}")
            _grow(open_[-1], whole[anchor], {})
        if len(open_) - 1 + open_[-1].levels > MAX_DEPTH:
            raise yaml.YAMLError(f"nested over {MAX_DEPTH} levels deep{where}")
        if open_[-1].values > MAX_VALUES:
            raise yaml.YAMLError(f"over {MAX_VALUES:,} values with aliases written out{where}")


def _grow(outer: _Part, inner: _Part, whole: dict[str, _Part]) -> None:
    """Put *inner*, which is whole now, into *outer*."""
    outer.values += inner.values
    outer.levels = max(outer.levels, inner.levels + 1)
    if inner.anchor is not None:
        whole[inner.anchor] = inner


class _Loader(_BASE):
    """Scalars of the core schema; a key that is said twice is an error: which was meant, nobody knows."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 # as PyYAML has it

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key in (str(key.value) for key, _ in node.value):
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key[:80]} is said twice", problem_mark=node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """A key ``<<`` is a key like any other: YAML 1.2 knows no merging."""


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    _refuse_long(text, node)
    if text[:2] in ("0o", "0x"):
        return int(text[2:], 8 if text[1] == "o" else 16)
    return int(text)


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    text = str(loader.construct_scalar(node)).lower()
    _refuse_long(text, node)
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _refuse_long(text: str, node: yaml.ScalarNode) -> None:
    if len(text) > MAX_DIGITS:
        raise yaml.constructor.ConstructorError(
            problem=f"a number of {len(text):,} digits; at most {MAX_DIGITS} are read", problem_mark=node.start_mark
        )


def _boolean(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> bool:
    return str(loader.construct_scalar(node)).lower() == "true"


_CORE = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN",
        list("-+0123456789."),
    ),
)
"""YAML 1.2.2, 10.3.2: tag, what resolves to it, and which characters it begins with."""

for _tag, _pattern, _first in _CORE:
    for _character in _first:
        _Loader.yaml_implicit_resolvers.setdefault(_character, []).append(
            (f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"))
        )
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
_Loader.add_constructor("tag:yaml.org,2002:bool", _boolean)

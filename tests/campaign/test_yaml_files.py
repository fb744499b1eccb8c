"""Files of settings: the scalars of YAML 1.2, and one line for whatever cannot be read or would never end."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from maestro.control.rules import read_yaml
from maestro.wiring.campaigns import CampaignRequest
from maestro.yaml_reader import MAX_BYTES, parse
from maestro_protocol.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("off", "off"),
        ("true", True),
        ("FALSE", False),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("2025-01-01", "2025-01-01"),
        ("~", None),
        ("", None),
        ("'010'", "010"),
        ("<<", "<<"),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_the_core_schema(text: str, value: object) -> None:
    assert parse(f"a: {text}".encode(), "x") == {"a": value}


def test_what_a_tool_wrote_with_aliases_is_read() -> None:
    shared = [1, 2]
    written = yaml.safe_dump({"a": shared, "b": shared})
    assert "*" in written
    assert parse(written.encode(), "x") == {"a": [1, 2], "b": [1, 2]}


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_what_is_written_is_read_again(value: object) -> None:
    assert parse(yaml.safe_dump(value, allow_unicode=True).encode(), "x") == value


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_lies_there_is_data_or_one_line(text: bytes) -> None:
    with suppress(ConfigError):
        parse(text, "x.yaml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested over 32 levels"),
        ("a: " + "{a: " * 5_000, "nested over 32 levels"),
        ("seed: " + "9" * 100_000, "a number of 100,000 digits"),
        ("a: &a [*a]", "an alias of nothing, or of what it is in"),
        ("x: *y", "is not YAML"),
        (
            "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)),
            "over 200,000",
        ),
        ("a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 40)), "nested over 32 levels"),
        ("seed: !!int '5'", "a tag, line 1"),
        ("seed: 1\nseed: 2", "seed is said twice"),
        ("seed: true", "seed: "),
        ("seed: '5'", "seed: "),
        ("seed: 1:30", "seed: "),
        ("blind: yes", "blind: "),
        ("blind: 1", "blind: "),
        ("tests: 1e2", "tests: "),
        ("x" * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_what_cannot_be_meant_is_one_line(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "asked.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_yaml(path, CampaignRequest)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_devices_pipes_and_folders_are_no_files_of_settings(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, tmp_path / "none", Path("a\0b")):
        with pytest.raises(ConfigError, match=r"is not a regular file|cannot be read"):
            read_yaml(path, CampaignRequest)

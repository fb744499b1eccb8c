"""Registries: what is built in, registered and installed is found by name, and what is broken is told in one line."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TypeGuard

import pytest

from maestro_protocol.errors import ConfigError, UnknownKey
from maestro_protocol.registry import Origin, Registry

GROUP = "maestro.notifiers"
Install = Callable[[Path], Path]


def is_text(thing: object) -> TypeGuard[str]:
    return isinstance(thing, str)


def registry(**builtin: str) -> Registry[str]:
    return Registry(GROUP, lambda: builtin or {"file": "a file"}, accepts=is_text)


def distribution(folder: Path, name: str, version: str, points: dict[str, str], **modules: str) -> Path:
    """A distribution as pip leaves it: modules, and a folder that says what it is and what it brings."""
    told = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    told.mkdir(parents=True)
    told.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"[{GROUP}]", *(f"{key} = {value}" for key, value in points.items())]
    told.joinpath("entry_points.txt").write_text("\n".join(lines) + "\n")
    for module, text in modules.items():
        folder.joinpath(f"{module}.py").write_text(text)
    return folder


def test_what_the_product_brings_has_the_products_version_and_is_made_when_it_is_needed() -> None:
    made: list[int] = []

    def builtin() -> dict[str, str]:
        made.append(1)
        return {"file": "a file"}

    known = Registry(GROUP, builtin, accepts=is_text)
    assert made == []
    assert known.get("file") == known.get("file") == "a file"
    assert made == [1]
    assert known.version("file") == metadata.version("maestro")
    assert known.names() == ("file",)
    assert "file" in known
    assert known.from_outside(["file"]) == ()


def test_an_unknown_name_is_told_the_nearest_one() -> None:
    with pytest.raises(UnknownKey, match=r"maestro\.notifiers: unknown key 'flie'; did you mean 'file'\?"):
        registry().get("flie")
    for asked in (registry().version, registry().origin, registry().unregister):
        with pytest.raises(UnknownKey):
            asked("nobody")


def test_what_is_registered_by_hand_is_known_until_it_is_taken_away() -> None:
    known = registry()
    known.register("mine", "first", version="0.2")
    known.register("mine", "second", version="0.3")
    assert known.get("mine") == "second"
    assert known.origin("mine") == Origin("", "0.3")
    assert known.names() == ("file", "mine")
    assert known.from_outside(["mine", "file", "mine"]) == ("maestro.notifiers:mine 0.3",)
    known.unregister("mine")
    assert known.names() == ("file",)


@pytest.mark.parametrize(
    ("name", "thing", "said"),
    [
        ("file", "another", "'file' is taken by maestro"),
        ("Mine", "it", "'Mine' is no name"),
        ("../x", "it", "is no name"),
        ("mine", 7, "'mine' is a int, nothing that maestro.notifiers takes"),
    ],
)
def test_what_cannot_be_registered_is_refused_in_one_line(name: str, thing: str, said: str) -> None:
    known = registry()
    with pytest.raises(ConfigError, match=said) as refused:
        known.register(name, thing)
    assert "\n" not in str(refused.value)
    assert known.names() == ("file",)


def test_an_installed_distribution_is_listed_without_being_imported(tmp_path: Path, installed: Install) -> None:
    text = "raise AssertionError('imported')"
    installed(distribution(tmp_path, "bells", "1.4.2", {"bell": "bells_made_up:RING"}, bells_made_up=text))
    known = registry()
    assert known.names() == ("bell", "file")
    assert known.origin("bell") == Origin("bells", "1.4.2")
    assert known.version("bell") == "1.4.2"
    assert known.from_outside(known.names()) == ("maestro.notifiers:bell bells 1.4.2",)


def test_an_installed_thing_is_loaded_once_and_taken_away_with_its_distribution(
    tmp_path: Path, installed: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "RING = ' '.join(['ding', 'dong'])"
    installed(distribution(tmp_path, "bells", "1.0", {"bell": "bells_loaded:RING"}, bells_loaded=text))
    known = registry()
    assert known.get("bell") == "ding dong"
    assert known.get("bell") is known.get("bell")
    with pytest.raises(ConfigError, match=r"'bell' is taken by bells 1\.0"):
        known.register("bell", "mine")
    monkeypatch.undo()  # the distribution is gone from the path
    known.reload()
    with pytest.raises(UnknownKey):
        known.get("bell")


@pytest.mark.parametrize(
    ("value", "text", "said"),
    [
        ("bells_broken:RING", "import no_such_module_at_all", "ModuleNotFoundError: No module named"),
        ("bells_broken:RING", "OTHER = 1", "AttributeError: "),
        ("bells_broken:RING", "raise RuntimeError('two\\nlines')", "RuntimeError: two"),
        ("bells_broken:RING", "RING = 7", "'bell' is a int, nothing that maestro.notifiers takes"),
    ],
)
def test_a_broken_one_is_one_line_that_names_its_distribution_and_only_when_it_is_asked_for(
    tmp_path: Path, installed: Install, value: str, text: str, said: str
) -> None:
    installed(distribution(tmp_path, "bells", "2.0", {"bell": value}, bells_broken=text))
    known = registry()
    assert known.names() == ("bell", "file")
    assert known.get("file") == "a file"
    with pytest.raises(ConfigError, match=said) as broken:
        known.get("bell")
    assert str(broken.value).startswith("bells 2.0: ")
    assert "\n" not in str(broken.value)
    assert known.problems() == (str(broken.value),)


def test_two_distributions_with_one_name_are_told_apart_by_nobody(tmp_path: Path, installed: Install) -> None:
    text = "RING = 'ring'"
    installed(distribution(tmp_path / "a", "bells", "1.0", {"bell": "bells_twice:RING"}, bells_twice=text))
    installed(distribution(tmp_path / "b", "gongs", "3.0", {"bell": "gongs_twice:RING"}, gongs_twice=text))
    with pytest.raises(ConfigError, match=r"'bell' is brought by bells 1\.0 and gongs 3\.0; uninstall one"):
        registry().get("bell")


def test_the_products_own_name_is_never_taken_from_outside(tmp_path: Path, installed: Install) -> None:
    installed(distribution(tmp_path, "bells", "1.0", {"file": "bells_own:RING"}, bells_own="RING = 'ring'"))
    known = registry()
    assert known.get("file") == "a file"
    assert known.version("file") == metadata.version("maestro")
    assert known.problems() == ("bells 1.0: maestro.notifiers 'file' is the product's own; its own is not used",)

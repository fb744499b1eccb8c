"""Errors: one tree, drawn as it is; each ends the process with its own code and says one line."""

from __future__ import annotations

import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_protocol import errors
from maestro_protocol.errors import BrainError, MaestroError, Refused, UnknownKey, UsageError

CLASSES = {
    name: found
    for name, found in vars(errors).items()
    if inspect.isclass(found) and found.__module__ == errors.__name__
}
DRAWN = re.compile(r"^    (?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+)", re.MULTILINE)


def drawn() -> list[tuple[str, str | None]]:
    """Each name in the docstring's tree with the name it hangs on."""
    branch: list[tuple[int, str]] = []
    tree: list[tuple[str, str | None]] = []
    for found in DRAWN.finditer(errors.__doc__ or ""):
        depth = len(found["indent"])
        while branch and branch[-1][0] >= depth:
            branch.pop()
        tree.append((found["name"], branch[-1][1] if branch else None))
        branch.append((depth, found["name"]))
    return tree


def test_the_tree_is_drawn_as_it_is() -> None:
    defined = {name: found.__base__.__name__ for name, found in CLASSES.items() if found.__base__}
    assert dict(drawn()) == defined | {"MaestroError": None}
    assert len(drawn()) == len(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_exit_codes_follow_the_tree(name: str) -> None:
    code = 2 if issubclass(CLASSES[name], UsageError) else 3 if issubclass(CLASSES[name], Refused) else 1
    assert CLASSES[name].exit_code == code


def test_the_drawing_tells_the_exit_codes() -> None:
    text = errors.__doc__ or ""
    for name in ("MaestroError", "UsageError", "Refused"):
        assert re.search(rf"{name} +exit code {CLASSES[name].exit_code}\b", text)


def test_every_error_is_caught_at_the_root_and_none_is_an_exit() -> None:
    assert all(issubclass(found, MaestroError) for found in CLASSES.values())
    assert not any(issubclass(found, SystemExit | KeyboardInterrupt) for found in CLASSES.values())


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    near = UnknownKey("policies.yaml", "min_epsodes", ["alpha", "min_episodes", "look_every"])
    assert str(near) == "policies.yaml: unknown key 'min_epsodes'; did you mean 'min_episodes'?"
    far = UnknownKey("policies.yaml", "xyzzy", ["look_every", "alpha"])
    assert str(far) == "policies.yaml: unknown key 'xyzzy'; known: alpha, look_every"


@given(key=st.text(max_size=30), known=st.lists(st.from_regex("[a-z_]{1,12}", fullmatch=True), min_size=1))
def test_an_unknown_key_is_one_line_that_names_it_and_a_known_one(key: str, known: list[str]) -> None:
    line = str(UnknownKey("a config", key, known))
    assert repr(key) in line
    assert any(name in line for name in known)
    assert "\n" not in line


def test_a_model_error_says_whether_asking_again_may_help() -> None:
    assert not BrainError("refused").retryable
    later = BrainError("429", retryable=True, retry_after=2.5)
    assert (later.retryable, later.retry_after, later.exit_code) == (True, 2.5, 1)

"""Ids: safe as one step of a path, in a query and in a log; the same campaign says the same ids."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from maestro_protocol import ids

ID: TypeAdapter[str] = TypeAdapter(ids.Id)
REFUSED = [
    "",
    ".",
    "..",
    "../up",
    "a/b",
    "a\\b",
    "/a",
    "a b",
    "a\n",
    "\na",
    ".hidden",
    "-rf",
    "a\x00",
    "A",
    "é",
    "a:b",
    "a*",
    "a;b",
    "a'b",
    '"a"',
    "a" * 97,
]


@pytest.mark.parametrize("text", REFUSED, ids=repr)
def test_what_could_leave_its_folder_or_its_line_is_no_id(text: str) -> None:
    with pytest.raises(ValidationError):
        ID.validate_python(text)


@given(st.text(max_size=12) | st.text("ab./\\ -_:", max_size=8))
@example("a..")
@example("a..b")
def test_an_id_is_one_step_below_its_folder_and_nothing_else(text: str) -> None:
    try:
        ID.validate_python(text)
    except ValidationError:
        return
    for folder in (PurePosixPath("runs"), PureWindowsPath("runs")):
        assert (folder / text).parent == folder
        assert (folder / text).parts == ("runs", text)
    assert text.isascii()
    assert text.isprintable()
    assert not text.startswith(("-", "."))
    assert text == text.lower().strip()


numbers = st.integers(1, 100_000)


@given(segment=numbers, test=numbers, episode=numbers, variation=numbers, patches=st.integers(0, 999), seq=numbers)
def test_every_id_that_is_made_is_one(
    segment: int, test: int, episode: int, variation: int, patches: int, seq: int
) -> None:
    run = ids.test_run(segment, test)
    made = [
        run,
        ids.segment_run(segment, variation, patches),
        ids.test_span(segment, test, test + 49),
        ids.episode_id(run, episode),
        ids.message_id(seq),
    ]
    assert [ID.validate_python(text) for text in made] == made


@given(one=st.tuples(numbers, numbers, st.integers(0, 999)), other=st.tuples(numbers, numbers, st.integers(0, 999)))
def test_different_things_have_different_ids(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    assume(one != other)
    assert ids.segment_run(*one) != ids.segment_run(*other)
    if one[:2] != other[:2]:
        assert ids.test_run(*one[:2]) != ids.test_run(*other[:2])


def test_ids_read_as_the_files_of_a_campaign_are_named() -> None:
    assert ids.segment_run(1) == "seg1"
    assert ids.segment_run(1, variation=2, patches=3) == "seg1-v2-p3"
    assert ids.test_run(1, 51) == "seg1_test051"
    assert ids.test_run(1, 1051) == "seg1_test1051"
    assert ids.test_span(1, 51, 100) == "seg1_test051-100"
    assert ids.episode_id("seg1_test051", 7) == "seg1_test051_ep07"
    assert ids.message_id(42) == "m000042"

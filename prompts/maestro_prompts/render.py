"""render owns how a prompt is made: sandboxed templates, nothing undefined, others' words fenced in as data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

BUILT_IN = Path(__file__).parent / "templates"
MAX_CHARS = 200_000
"""A prompt longer than this is a mistake of its template."""
_DICT = frozenset(dir(dict))


class PromptFault(ValueError):
    """A template is missing, broken, or uses what it is not given. The message names the template and the place."""


class Prompts:
    """The templates, a workspace's *folder* before the built-in ones. Nothing is read before the first rendering."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._environment: Environment | None = None

    def render(self, template: str, context: Mapping[str, object]) -> str:
        """The text of *template* for *context*. Raises :class:`PromptFault`."""
        from jinja2 import TemplateError

        if self._environment is None:
            self._environment = _environment(self._folder)
        try:
            text = self._environment.get_template(template).render(context)
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise PromptFault(f"prompt {template}: {type(error).__name__}: {str(error)[:200]}") from None
        if len(text) > MAX_CHARS:
            raise PromptFault(f"prompt {template}: renders {len(text)} characters; at most {MAX_CHARS} are sent")
        return text.strip() + "\n"


def _environment(folder: Path | None) -> Environment:
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from markupsafe import Markup

    class Sandbox(ImmutableSandboxedEnvironment):
        """Templates of a workspace see the context and nothing behind it."""

        def getattr(self, obj: object, attribute: str) -> object:
            """A key of plain data at once; Jinja looks for an attribute first and pays for not finding it."""
            if type(obj) is dict and attribute in obj and attribute not in _DICT:
                return cast("dict[str, object]", obj)[attribute]
            return super().getattr(obj, attribute)

    def data(value: object, source: str, kind: str) -> Markup:
        return Markup(data_block(value, source, kind))  # noqa: S704 - data_block leaves nothing that could end the block

    def as_json(value: object) -> Markup:
        return Markup(fenced(value))  # noqa: S704 - as above

    environment = Sandbox(
        loader=FileSystemLoader([folder, BUILT_IN] if folder is not None else [BUILT_IN]),
        undefined=StrictUndefined,
        auto_reload=False,  # a prompt does not change within a process, and nobody looks for changes in each question
        autoescape=True,  # what a template forgets to fence can still not open or close a block
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    cast("dict[str, object]", environment.filters).update(data=data, json=as_json, rows=rows)
    return environment


def rows(table: Iterable[Mapping[str, object]], names: str, trusted: str = "") -> Markup:
    """A row of cells for each of *table*, its values under *names*; a mapping among them is as many cells.

    What stands under *trusted* is the last cell, our own words, and not escaped. Tables are most of a prompt: cell by
    cell in the template, each looked up and escaped by itself, they took half the time of writing a question.
    """
    from markupsafe import Markup, escape

    columns = names.split()
    lines: list[str] = []
    for row in table:
        last = f" {row[trusted]} |" if trusted else ""
        lines.append(f"| {escape(' | '.join(_cells(row, columns)))} |{last}")
    return Markup("\n".join(lines))  # noqa: S704 - escaped but for what is trusted


def _cells(row: Mapping[str, object], columns: Sequence[str]) -> Iterator[str]:
    for name in columns:
        value = row[name]
        if isinstance(value, dict):
            yield from map(str, cast("dict[str, object]", value).values())
        else:
            yield str(value)


def fenced(value: object) -> str:
    """*value* as JSON without ``<``, ``>`` and ``&``: no text inside can look like the end of its block."""
    text = json.dumps(value, ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def data_block(value: object, source: str, kind: str) -> str:
    """Somebody else's words, marked as theirs: ``<data source="critic" kind="note">"..."</data>``, JSON inside."""
    return f'<data source="{source}" kind="{kind}">\n{fenced(value)}\n</data>'

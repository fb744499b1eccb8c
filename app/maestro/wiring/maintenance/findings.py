"""findings owns what a look at one part of an installation gives, and how it is mended and told without secrets."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, ParamSpec, TypeVar
from urllib.parse import urlsplit

from maestro.settings import Settings
from maestro_protocol.errors import MaestroError

P = ParamSpec("P")
T = TypeVar("T")
Outcome = Literal["ok", "warning", "failed"]
LONGEST = 400


class Finding(NamedTuple):
    """How one part is. ``fix`` says what --fix would do about it; empty where it can do nothing."""

    outcome: Outcome
    detail: str
    fix: str = ""


@dataclass(frozen=True)
class DoctorCheck:
    """A part to look at and, where that is possible, the way to mend it."""

    name: str
    look: Callable[[], Awaitable[Finding]]
    mend: Callable[[], Awaitable[None]] | None = None


class Checked(NamedTuple):
    """What a person is told of one part."""

    name: str
    outcome: Outcome
    detail: str
    fix: str
    mended: bool


def aside(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Callable[[], Awaitable[T]]:
    """*work*, which blocks, as something to await."""
    return lambda: to_thread(work, *arguments, **named)


def ok(detail: str) -> Finding:
    return Finding("ok", detail)


def warning(detail: str, fix: str = "") -> Finding:
    return Finding("warning", detail, fix)


def failed(detail: str, fix: str = "") -> Finding:
    return Finding("failed", detail, fix)


async def run(checks: Sequence[DoctorCheck], settings: Settings, fix: bool) -> list[Checked]:
    """Look at each part; with *fix* mend what can be mended and look again. One broken part hides no other."""
    secrets = secrets_in(settings)
    told: list[Checked] = []
    for check in checks:
        finding, mended = await _looked(check), False
        if fix and finding.fix and check.mend is not None:
            finding, mended = await _mended(check, check.mend, finding)
        line = " ".join(hidden(finding.detail, secrets).split())[:LONGEST]
        told.append(Checked(check.name, finding.outcome, line, finding.fix, mended))
    return told


async def _looked(check: DoctorCheck) -> Finding:
    try:
        return await check.look()
    except MaestroError as error:
        return failed(str(error))
    except Exception as error:  # noqa: BLE001 - whatever is broken here is what the doctor was asked to tell
        return failed(f"cannot be looked at ({type(error).__name__}: {error})")


async def _mended(check: DoctorCheck, mend: Callable[[], Awaitable[None]], before: Finding) -> tuple[Finding, bool]:
    try:
        await mend()
    except (MaestroError, OSError) as error:
        return Finding("failed", f"{before.detail}; could not be mended ({error})", before.fix), False
    after = await _looked(check)
    return after, not after.fix


def secrets_in(settings: Settings) -> list[str]:
    """Every word that must not be shown: keys, and the passwords in URLs."""
    found: list[str] = []
    for text in settings.secrets():
        found += [text, _password(text) or ""]
    for value in dict(settings).values():
        if isinstance(value, str):  # a proxy's URL may carry a password
            found.append(_password(value) or "")
    return sorted(filter(None, set(found)), key=len, reverse=True)


def _password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:
        return None


def hidden(text: str, secrets: Sequence[str]) -> str:
    """*text* with every secret in it starred out: what a library's error repeats is not ours to choose."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text

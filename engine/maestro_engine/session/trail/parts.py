"""parts owns how a trail is read: the file that is written, and its sealed parts, as one sequence of lines.

``events.jsonl`` is written. A part that was sealed is called ``events-0001.jsonl`` at first; compressed, it is
``events-0001.jsonl.gz``, and once the policy's days are over ``events-0001.thinned.jsonl.gz``. Whoever reads asks for
a part by its number, so that a writer in another process may go on meanwhile.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import msgspec
from msgspec import Struct

from maestro_protocol.errors import DataError

TRIES = 8
"""So often a part is looked for that is given another name just then."""
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)
SEAL, THINNED = b'"event":"TrailSealed"', b'"event":"TrailThinned"'


class Part(NamedTuple):
    """One file of a trail. Sealed parts count from 1; ``live`` is the one being written, the last of all."""

    number: int
    path: Path
    live: bool = False

    @property
    def thinned(self) -> bool:
        return ".thinned." in self.path.name

    @property
    def plain(self) -> bool:
        """Sealed, and not compressed yet."""
        return not self.live and self.path.suffix != ".gz"

    def open(self) -> BinaryIO:
        """Its lines, uncompressed. Raises :class:`OSError`."""
        return cast("BinaryIO", gzip.open(self.path)) if self.path.suffix == ".gz" else self.path.open("rb")


def sealed_path(trail: Path, number: int, kind: str = "") -> Path:
    """How sealed part *number* of *trail* is called; *kind* ``.thinned`` where it is."""
    return trail.with_name(f"{trail.stem}-{number:04d}{kind}{trail.suffix}")


def sealed_files(trail: Path) -> list[Part]:
    """Every file of a sealed part, by number; of one number the fullest first: plain, compressed, thinned."""
    form = re.compile(rf"{re.escape(trail.stem)}-(\d{{4,}})(?:\.thinned)?{re.escape(trail.suffix)}(?:\.gz)?")
    found = trail.parent.iterdir() if trail.parent.is_dir() else ()
    files = [Part(int(match[1]), path) for path in found if (match := form.fullmatch(path.name))]
    return sorted(files, key=lambda part: (part.number, part.thinned, not part.plain))


def sealed_parts(trail: Path) -> dict[int, Part]:
    """The sealed parts of *trail* by number, in order; of a part that is there twice the fullest."""
    parts: dict[int, Part] = {}
    for part in sealed_files(trail):
        parts.setdefault(part.number, part)
    return parts


def exists(trail: Path) -> bool:
    """Whether a session wrote *trail*; between sealing a part and the next line there is no live one."""
    return trail.is_file() or bool(sealed_parts(trail))


def find_part(trail: Path, number: int) -> tuple[Part, BinaryIO] | None:
    """Part *number* of *trail*, and its opened file; None where that is still to be written.

    Raises :class:`DataError` where it is gone though later ones are there, :class:`OSError`.
    """
    for _ in range(TRIES):
        sealed = sealed_parts(trail)
        part = sealed.get(number, Part(number, trail, live=True))
        if part.live and number < max(sealed, default=0):
            raise DataError(f"{trail}: its part {number} is missing")
        try:
            file = part.open()
        except FileNotFoundError:
            if part.live and number in (1, max(sealed, default=0) + 1) and number not in sealed_parts(trail):
                return None
            continue
        if not part.live or number not in sealed_parts(trail):
            return part, file
        file.close()  # what was opened is already the part after it
    raise DataError(f"{trail}: its part {number} cannot be opened: it is renamed again and again")


def trail_lines(trail: Path) -> Iterator[bytes]:
    """Every line of *trail*, over all of its parts, in order. Raises :class:`DataError`."""
    number, live = 1, False
    while not live:
        try:
            found = find_part(trail, number)
            if found is None and number == 1:
                raise FileNotFoundError(2, "No such file or directory")
        except OSError as error:
            raise DataError(f"{trail}: cannot be read ({error.strerror}); has the session run?") from None
        if found is None:
            return
        part, file = found
        with file, reading(part):
            yield from file
        number, live = number + 1, part.live


@contextmanager
def reading(part: Part) -> Generator[None]:
    """Say which part it is that cannot be uncompressed. Raises :class:`DataError`."""
    try:
        yield
    except DAMAGED as error:
        raise DataError(f"{part.path}: is damaged ({error})") from None


def newest_lines(trail: Path, size: int) -> Iterator[bytes]:
    """The lines of about the last *size* bytes of each part, the newest first: for one that is among the last."""
    parts = [*sealed_parts(trail).values(), Part(0, trail, live=True)]
    for part in reversed(parts):
        try:
            with part.open() as file:
                if part.live:
                    file.seek(max(0, part.path.stat().st_size - size))
                lines = file.read().splitlines(keepends=True)
        except (OSError, *DAMAGED):
            continue
        yield from (line for line in reversed(lines) if line.endswith(b"\n"))


class Seal(Struct, frozen=True):
    """What the part after it says of a sealed part, as in ``records.TrailSealed``."""

    part: int
    sha256: str
    first_seq: int
    last_seq: int
    last_ms: int
    counts: dict[str, int]


class Thinning(Struct, frozen=True):
    """What is told of a part before it is thinned, as in ``records.TrailThinned``."""

    part: int
    sha256: str
    dropped: dict[str, int]
    longest_gap_s: float


class TrailChain(NamedTuple):
    """What the parts of a trail say of those before them, by number."""

    seals: dict[int, Seal]
    thinned: dict[int, Thinning]


def chain_of(trail: Path) -> TrailChain:
    """Read from the first lines of every part of *trail*, where they stand. Damage is for others to find."""
    chain = TrailChain({}, {})
    for part in [*sealed_parts(trail).values(), Part(0, trail, live=True)]:
        try:
            with part.open() as file:
                _read_head(file, chain)
        except (OSError, msgspec.DecodeError, *DAMAGED):
            continue
    return chain


def _read_head(file: BinaryIO, chain: TrailChain) -> None:
    for line in file:
        if SEAL in line:
            seal = msgspec.json.decode(line, type=Seal)
            chain.seals[seal.part] = seal
        elif THINNED in line:
            thinning = msgspec.json.decode(line, type=Thinning)
            chain.thinned[thinning.part] = thinning
        else:
            return

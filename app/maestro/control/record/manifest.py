"""manifest owns a campaign's ``files.sha256``: the digest of every file that people read, as it was written.

``sha256sum -c files.sha256`` checks it without Maestro. Trades and scores are not in it: the journal digests them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from maestro_protocol.errors import StoreError

MANIFEST = "files.sha256"
MAX_BYTES = 32 << 20
_LINE = re.compile(r"([0-9a-f]{64})  ([^/\0][^\0\n]*)")


def digest(content: bytes) -> str:
    """SHA-256 of *content*, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def renew(folder: Path, written: Mapping[str, str]) -> None:
    """Note in *folder*'s manifest the digests of files just *written*; what it says of others stays as it is.

    Raises StoreError where it cannot be written.
    """
    told = {**_told(folder), **written}
    text = "".join(f"{told[name]}  {name}\n" for name in sorted(told))
    temporary = folder / f".{MANIFEST}.new"
    try:
        temporary.write_bytes(text.encode())
        temporary.replace(folder / MANIFEST)
    except OSError as error:
        raise StoreError(f"{folder / MANIFEST}: cannot be written ({error.strerror}); free some space") from None


def renew_from(folder: Path, paths: Iterable[Path]) -> None:
    """Note in *folder*'s manifest the files at *paths*, as they lie there now. Raises StoreError."""
    try:
        renew(folder, {path.relative_to(folder).as_posix(): digest(path.read_bytes()) for path in paths})
    except OSError as error:
        raise StoreError(f"{folder}: cannot be read ({error.strerror})") from None


def altered(folder: Path, names: Iterable[str] | None = None) -> Iterator[str]:
    """In a sentence each, the files of *folder* that are not what was written; of *names* alone where any are given.

    Nothing where there is no manifest: campaigns of 0.1.0 have none.
    """
    told = _told(folder)
    chosen = told if names is None else [name for name in names if name in told]
    for name in chosen:
        try:
            if digest((folder / name).read_bytes()) != told[name]:
                yield f"{name}: is not what was written"
        except OSError as error:
            yield f"{name}: cannot be read ({error.strerror})"


def has_one(folder: Path) -> bool:
    """Whether *folder* says what was written."""
    return bool(_told(folder))


def _told(folder: Path) -> dict[str, str]:
    try:
        if (folder / MANIFEST).stat().st_size > MAX_BYTES:
            return {}
        lines = (folder / MANIFEST).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    matches = (_LINE.fullmatch(line) for line in lines)
    return {match[2]: match[1] for match in matches if match and ".." not in Path(match[2]).parts}

"""errors owns the one tree of errors. A user sees ``str(error)``: one line saying what is wrong, where, what to do.

::

    MaestroError                exit code 1
    ├── DataError               a data file is unusable: the file, the place, the reason
    │   └── UnknownVersion      another Maestro wrote it, in words that this one does not know
    ├── StoreError              the journal or store cannot take or give what was asked
    │   ├── JournalMismatch     a replayed or resumed run says something its journal does not
    │   └── LooksOvertaken      somebody else looked at the same sealed bars since the looks were counted
    ├── BusError                a message could not be carried
    │   └── BusClosed           the bus was closed while somebody waited on it
    ├── AgentError              a role could not answer
    │   └── BrainError          its model could not: transport, refusal, truncation, garbage
    ├── UsageError              exit code 2: the request itself is wrong
    │   ├── ConfigError         a configuration does not hold
    │   │   └── UnknownKey      it has a key nobody knows; names the nearest known one
    │   └── ParameterError      a parameter is unknown, of a wrong type or out of its bounds
    │       └── StalePatch      a patch expected another old value than the config has
    └── Refused                 exit code 3: a gate, a limit or a budget said no
        ├── GateRefused
        ├── LimitExceeded
        └── BudgetExceeded
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from decimal import Decimal

NAMED = 24
"""Known names that an error lists where none is near."""


class MaestroError(Exception):
    """Root of the tree; ``exit_code`` is what the process ends with."""

    exit_code = 1


class DataError(MaestroError):
    """A data file cannot be used as it is."""


class UnknownVersion(DataError):
    """A file is whole, but another version of Maestro wrote it, and this one does not know all of its words."""


class StoreError(MaestroError):
    """The store or journal cannot take or give what was asked."""


class JournalMismatch(StoreError):
    """What is being replayed differs from what the journal holds."""


class LooksOvertaken(StoreError):
    """Somebody else opened the same sealed bars after they were counted: count again, nothing was written."""


class BusError(MaestroError):
    """A message could not be carried."""


class BusClosed(BusError):
    """The bus was closed while somebody waited on it."""


class AgentError(MaestroError):
    """A role could not answer."""


class BrainError(AgentError):
    """The model behind a role failed; ``retryable`` says whether asking again may help."""

    def __init__(self, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after  # seconds, as the vendor asked


class UsageError(MaestroError):
    """The request itself is wrong."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration does not hold."""


class UnknownKey(ConfigError):
    """A configuration names something nobody knows."""

    def __init__(self, what: str, key: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names[:NAMED])}{more}"
        super().__init__(f"{what}: unknown key {key!r}; {hint}")


class ParameterError(UsageError):
    """A parameter is unknown, of a wrong type or out of its bounds."""


class StalePatch(ParameterError):
    """A patch expected another old value than the config has (optimistic concurrency)."""


class Refused(MaestroError):
    """A gate, a limit or a budget said no."""

    exit_code = 3


class GateRefused(Refused):
    """A gate was rejected, expired or void."""


class LimitExceeded(Refused):
    """A hard limit stands in the way; nothing and nobody raises it."""


class BudgetExceeded(Refused):
    """The money, tokens, requests or time allowed are used up; ``limit`` names which: ``usd``, ``critic.tokens``.

    ``needed`` is how large that limit would have to be for what was asked; null where any larger one will do.
    """

    def __init__(self, message: str, *, limit: str = "", needed: Decimal | None = None) -> None:
        super().__init__(message)
        self.limit = limit
        self.needed = needed

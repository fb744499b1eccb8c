"""surroundings owns what a session is given of the world: clock, memory, feed, people; a test gives its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from maestro_engine.feeds.port import Feed, FeedClock
from maestro_engine.session.safety.watchdog import WatchdogLimits, rss_bytes
from maestro_engine.session.trail.retention import RetentionPolicy
from maestro_engine.trading.account.margin import MarginTable


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """*clock* drives everything but the watchdog, which counts *monotonic* seconds of the real world."""

    clock: FeedClock
    feed: Callable[[], Feed]
    """Makes the source of prices; called once a session."""
    monotonic: Callable[[], float]
    frozen: Callable[[float], None]
    """Must end the process: the event loop has stood still for so many seconds."""
    begins_ms: int | None = None
    """Where the own time of a simulation or recording begins (UTC milliseconds); None where it is the machine's."""
    rss: Callable[[], int] = rss_bytes
    """Resident memory in bytes."""
    kill_env: Callable[[], bool] = _never
    """Whether the environment says that everything must stop."""
    brackets: Mapping[str, MarginTable] = field(default_factory=dict[str, MarginTable])
    """Maintenance brackets that somebody told, by symbol."""
    secrets: Sequence[str] = ()
    """What must never be written."""
    told: Callable[[bytes], None] | None = None
    """Is handed every line of the trail."""
    retention: RetentionPolicy = field(default_factory=RetentionPolicy)
    """How long its trail is kept whole."""
    watch: WatchdogLimits = field(default_factory=WatchdogLimits)

"""depth owns the update-id chain: which depth updates follow one another, and when the book must be rebuilt.

Rules, from Binance's "How to manage a local order book correctly". Spot: drop updates with ``u`` <= the snapshot's
``lastUpdateId``; the first applied has ``U`` <= lastUpdateId + 1 <= ``u``; then each ``U`` is the last ``u`` + 1.
USD-M: drop ``u`` < lastUpdateId; the first has ``U`` <= lastUpdateId <= ``u``; then each ``pu`` is the last ``u``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from maestro_engine.feeds.binance.wire import DepthWire
from maestro_engine.feeds.sequence import Gap

HELD = 4_096


@dataclass(slots=True)
class DepthChain:
    """The chain of one symbol. Until a snapshot anchors it, updates are held back.

    With ``anchored=False`` (recordings without a snapshot) updates pass from the first one on; a break
    is told and passed over.
    """

    anchored: bool = True
    last_id: int | None = None
    _fresh: bool = False
    _held: deque[DepthWire] | None = None

    def __post_init__(self) -> None:
        if self.anchored:
            self._held = deque(maxlen=HELD)

    @property
    def waiting(self) -> bool:
        return self._held is not None

    def take(self, update: DepthWire) -> tuple[list[DepthWire], Gap | None]:
        """Updates that may be given out now, and the break that has just been found (a snapshot is needed)."""
        if self._held is not None:
            self._held.append(update)
            return [], None
        last = self.last_id
        if last is not None:
            place = _place(update, last, self._fresh)
            if place == "old":
                return [], None
            if place == "break":
                return self._broken(update, last)
        self.last_id, self._fresh = update.last_id, False
        return [update], None

    def anchor(self, snapshot_id: int) -> list[DepthWire] | None:
        """Start from a snapshot: the held updates that follow it, or None when it is older than all of them."""
        out: list[DepthWire] = []
        last, fresh = snapshot_id, True
        for update in sorted(self._held or (), key=lambda update: update.last_id):
            place = _place(update, last, fresh)
            if place == "break":
                return None
            if place == "next":
                last, fresh = update.last_id, False
                out.append(update)
        self.last_id, self._fresh, self._held = last, fresh, None
        return out

    def _broken(self, update: DepthWire, last: int) -> tuple[list[DepthWire], Gap]:
        gap = Gap(max(update.first_id - last - 1, 0), last, update.first_id)
        if not self.anchored:
            self.last_id = update.last_id
            return [update], gap
        self._held = deque([update], maxlen=HELD)
        return [], gap


def _place(update: DepthWire, last: int, fresh: bool) -> Literal["old", "next", "break"]:
    """Where *update* stands behind *last*; *fresh*: that is a snapshot's id, not another update's.

    USD-M ids have holes, so behind a snapshot it is ``pu`` <= lastUpdateId that says nothing lies between
    (the exchange's ``U`` <= lastUpdateId implies it).
    """
    previous = update.previous_id
    if previous is None:
        if update.last_id <= last:
            return "old"
        return "next" if (update.first_id <= last + 1 if fresh else update.first_id == last + 1) else "break"
    if update.last_id < last or (update.last_id == last and not fresh):
        return "old"
    return "next" if (previous <= last if fresh else previous == last) else "break"

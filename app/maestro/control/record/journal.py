"""journal owns what was said so far: rows as they were found, each validated before anybody acts on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from maestro_protocol.envelope import Envelope
from maestro_protocol.messages import Message
from maestro_protocol.ports import Record


class RecordedJournal:
    """A campaign's journal in memory. A row stays text until somebody needs what it says, and is validated then.

    A run that walks its path again says most of it itself: to see that a row holds the same to the byte takes a
    quarter of the time that it takes to read it.
    """

    def __init__(self, records: Sequence[Record] = ()) -> None:
        self._rows: list[Record | Envelope] = list(records)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: int) -> Envelope:
        """Raises :class:`StoreError` where the row is no message."""
        row = self._rows[place]
        if isinstance(row, Record):
            row = self._rows[place] = row.envelope()
        return row

    def extend(self, said: Sequence[Envelope]) -> None:
        self._rows.extend(said)

    def says(self, place: int, body: Message) -> bool:
        """Whether the row at *place* holds *body* to the byte; false too where only reading it could tell."""
        row = self._rows[place]
        return isinstance(row, Record) and row.json.endswith(f',"body":{body.model_dump_json()}}}')

    def of(self, kinds: Sequence[type[Message]], after: int, until: int) -> list[Envelope]:
        """Messages *after* so many and *until* a place, only of *kinds* where any are named; others stay text."""
        names = {kind.__name__ for kind in kinds}
        places = range(after, until)
        return [self[place] for place in places if not names or self._type(place) in names]

    def _type(self, place: int) -> str:
        row = self._rows[place]
        return row.type if isinstance(row, Record) else row.body.type

    def lines(self, after: int) -> Iterator[str]:
        """Each message as JSON, those that were read as they stand in the store, *after* so many."""
        for row in self._rows[after:]:
            yield row.json if isinstance(row, Record) else row.model_dump_json()

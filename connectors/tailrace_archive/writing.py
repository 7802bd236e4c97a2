"""Files under construction: what each of them must do, and what is told of one that is finished."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tailrace.codec.registry import AvroSchema
from tailrace.event import StoredRecord


@dataclass(frozen=True, slots=True)
class Target:
    """What all records of a file have in common. `folder` is within that of the topic."""

    topic: str
    partition: int
    folder: str
    schema_id: int
    schema: AvroSchema = field(compare=False)


class OpenFile(Protocol):
    """A file under construction. Nothing of it is on disk before the first `flush`."""

    @property
    def buffered(self) -> int:
        """Bytes of rows in memory, about."""
        ...

    @property
    def written(self) -> int:
        """Bytes on disk."""
        ...

    def extend(self, records: list[StoredRecord], values: list[bytes], first: int) -> int:
        """Take in `records` from the place `first` on, whose values are beside them.

        Returns the place of the first that is not what its schema says, or how many records there are.
        """
        ...

    def flush(self) -> None:
        """Write what is in memory."""

    def finish(self, first: int, last: int) -> None:
        """Write the rest, and what ends a file; `first` and `last` are its offsets."""

    def discard(self) -> None:
        """Let go of the file as it is; safe after `finish`, and twice."""


class Format(Protocol):
    """Makes files of one format."""

    ending: str

    def open(self, path: Path, target: Target) -> OpenFile:
        """Return a new file; raises `BadRecord` where records of this schema cannot lie in such a file."""
        ...

"""Which partitions are whose, where several tasks read the same topics: settled by numbers, and by nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable
from zlib import crc32

from tailrace.event import StoredRecord
from tailrace.log.backend import Start
from tailrace.source import Source


@dataclass(frozen=True, slots=True)
class Share:
    """The partitions of one of `tasks` tasks, which are numbered from 0."""

    number: int = 0
    tasks: int = 1

    def has(self, topic: str, partition: int) -> bool:
        """Whether a partition is in this share. Those of one topic go round, and topics begin with different tasks."""
        # Do not use Python's `hash` here: each process has another one.
        return (crc32(topic.encode()) + partition) % self.tasks == self.number


ALL = Share()
"""Of the only task."""


@runtime_checkable
class Divisible(Protocol):
    """A log whose topics several tasks can read as one."""

    def share(
        self, topics: Sequence[str], share: Share, *, start: Start = "earliest", task: str = ""
    ) -> Source[StoredRecord]:
        """Return a source like that of `LogBackend.reader`, of the partitions of a share; `task` is one for all."""
        ...

"""Records that are encoded already: blocks of them for a log that takes blocks, single ones for whoever looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from tailrace.core.block import Block
from tailrace.event import Record


class EncodedRecords(Sequence[Record]):
    """The records of one batch, sorted into `blocks` by topic and partition; in order within each of them.

    As a sequence it has the records one by one, which are made at the first look.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks
        self._count = sum([block.count for block in blocks])
        self._records: list[Record] | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...

    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if self._records is None:
            self._records = [
                Record(block.topic, *record, partition=block.partition)
                for block in self.blocks
                for record in block.decoded()
            ]
        return self._records[index]

"""Where the committed part of a partition ends; kept in journals and in `owner.json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class End:
    """The end of the committed records of one partition.

    `next_offset` is the offset that comes next; `segment` the base offset of the segment file that holds the end;
    `size` that file's committed bytes; `last_batch` the byte position of its last batch, -1 where it has none.
    """

    next_offset: int
    segment: int
    size: int
    last_batch: int

    def to_json(self) -> list[int]:
        """Return the end as it is written."""
        return [self.next_offset, self.segment, self.size, self.last_batch]

    @classmethod
    def from_json(cls, numbers: Sequence[int]) -> End:
        """Return the end that `to_json` wrote; raises ValueError or TypeError where it is none."""
        next_offset, segment, size, last_batch = (int(number) for number in numbers)
        if not (0 <= segment <= next_offset and size >= 0 and -1 <= last_batch < max(size, 1)):
            raise ValueError(f"impossible end {list(numbers)}")
        return cls(next_offset, segment, size, last_batch)


MAX_OFFSET = 2**63 - 1

START = End(0, 0, 0, -1)
"""The end of a partition that has nothing yet."""


def later(mine: End, other: End | None) -> End:
    """Return the one that is further; `mine` where both are at the same offset."""
    return other if other is not None and other.next_offset > mine.next_offset else mine

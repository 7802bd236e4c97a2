from collections.abc import Callable, Mapping, Sequence
from typing import final

from tailrace.core.block import Block
from tailrace.core.row import RowPlan
from tailrace.core.source import SourcePlan
from tailrace.event import Event, Record, Table

@final
class TablePlan:
    def __init__(
        self,
        rows: RowPlan,
        source: SourcePlan,
        *,
        key: Sequence[int],
        key_frame: bytes | None,
        value_frame: bytes,
        tombstones: bool,
    ) -> None: ...

@final
class Encoder:
    def __init__(self, partitions: Callable[[str], int]) -> None: ...
    def begin(self, now_ns: int) -> None: ...
    def encode(self, events: Sequence[Event], first: int, plans: Mapping[Table, TablePlan]) -> int: ...
    def append(self, record: Record) -> None: ...
    def take(self) -> list[Block]: ...

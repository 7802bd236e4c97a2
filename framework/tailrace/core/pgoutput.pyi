from collections import deque
from typing import final

from tailrace.core.messages import Source
from tailrace.event import Change, Event, Origin, Table

@final
class Received:
    lsn: int
    data: bytes | None

    def __init__(self, lsn: int, data: bytes | None) -> None: ...

@final
class Plain:
    def __init__(self, table: Table | None) -> None: ...

def drain(
    get_copy_data: Source, received: list[Received], most: int, most_bytes: int
) -> tuple[tuple[int, memoryview] | None, int]: ...
def take_rows(
    backlog: deque[Received],
    relations: dict[int, Plain],
    kind: type[Change],
    origin: Origin,
    events: list[Event],
    most: int,
    most_bytes: int,
) -> tuple[int, int]: ...

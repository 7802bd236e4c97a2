from collections import deque
from collections.abc import Mapping, Sequence
from typing import TypeVar, final

_C = TypeVar("_C")

@final
class Cutter:
    def __init__(self, widths: Sequence[int], key: Sequence[int]) -> None: ...
    def changes(
        self,
        kind: type[_C],
        table: object,
        op: str,
        images: tuple[bytes, bytes, bytes],
        origin: object,
        at: int,
    ) -> list[_C] | None: ...

@final
class Mapped:
    def __init__(self, table: object, cutter: Cutter) -> None: ...

def take_rows(
    backlog: deque[bytes],
    tables: Mapping[int, Mapped],
    kind: type[object],
    origin: object,
    events: list[_C],
    most: int,
    most_bytes: int,
) -> tuple[int, int, int]: ...

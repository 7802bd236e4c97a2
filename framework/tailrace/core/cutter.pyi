from collections import deque
from collections.abc import Sequence
from typing import Any, TypeVar, final

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
    owner: Any
    def __init__(self, table: object, cutter: Cutter, owner: object = None) -> None: ...

def take_rows(
    backlog: deque[bytes],
    maps: tuple[dict[int, Mapped], dict[bytes, Mapped]],
    kind: type[object],
    origin: object,
    events: list[_C],
    most: int,
    most_bytes: int,
) -> tuple[int, int, int]: ...

from collections import deque
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from tailrace.core.cutter import Mapped

_C = TypeVar("_C")

Run: TypeAlias = tuple[bytes, int, int] | tuple[int, int, int]

class Whole:
    @property
    def runs(self) -> list[Run]: ...
    @property
    def size(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def time(self) -> int: ...

def take_transactions(
    front: deque[bytes],
    bodies: dict[bytes, Mapped],
    kind: type[object],
    origin_of: Callable[[int, int, Run, int | None], object],
    events: list[_C],
    most: int,
    most_bytes: int,
    *,
    named: bool,
) -> Whole: ...

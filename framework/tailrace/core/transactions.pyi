from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from tailrace.core.cutter import Mapped
from tailrace.core.told import Told

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
    origin_of: Callable[[int, int, Run, int | None, tuple[int, int] | None], object],
    events: Told,
    most: int,
    most_bytes: int,
    *,
    named: bool,
    decompress: Callable[[bytes, int], bytes | None],
) -> Whole: ...

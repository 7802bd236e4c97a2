from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, final, overload

from tailrace.core.cutter import Mapped
from tailrace.event import Change, Event

_C = TypeVar("_C")

@final
class Told(Sequence[Event]):
    def __init__(self, kind: type[Change]) -> None: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...
    def append(self, event: Event) -> None: ...
    def extend(self, events: Iterable[Event]) -> None: ...

def take_rows(
    backlog: deque[bytes],
    maps: tuple[dict[int, Mapped], dict[bytes, Mapped]],
    origin: object,
    events: Told,
    most: int,
    most_bytes: int,
) -> tuple[int, int, int]: ...
def cut_changes(
    mapped: Mapped, kind: type[_C], op: str, images: tuple[bytes, bytes, bytes], origin: Any, at: int
) -> list[_C] | None: ...

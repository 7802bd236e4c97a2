from collections.abc import Sequence
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

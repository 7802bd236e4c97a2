from collections.abc import Sequence
from typing import Literal, final

from tailrace.core.plan import CellPlan

@final
class RowPlan:
    count: int

    def __init__(
        self, cells: Sequence[CellPlan | None], key: Sequence[int], layout: Literal["tuple", "copy"]
    ) -> None: ...
    def pieces(self, wire: bytes) -> list[bytes] | None: ...

from collections.abc import Sequence
from typing import final

from tailrace.core.plan import CellPlan, Layout

@final
class RowPlan:
    count: int

    def __init__(
        self, cells: Sequence[CellPlan | None], key: Sequence[int], layout: Layout, widths: Sequence[int] = ()
    ) -> None: ...
    def pieces(self, wire: bytes) -> list[bytes] | None: ...

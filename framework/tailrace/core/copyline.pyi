from typing import final

from tailrace.core.plan import LinePlan

@final
class LineWriter:
    def __init__(self, plan: LinePlan) -> None: ...
    def line(self, data: bytes, start: int) -> tuple[str, bytes | None]: ...

from typing import final

from tailrace.core.plan import ReadPlan

@final
class Reader:
    def __init__(self, plan: ReadPlan) -> None: ...
    def read(self, data: bytes, start: int) -> object: ...

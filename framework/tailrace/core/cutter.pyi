from collections.abc import Sequence
from typing import Any, final

@final
class Cutter:
    def __init__(self, widths: Sequence[int], key: Sequence[int]) -> None: ...

@final
class Mapped:
    owner: Any
    def __init__(self, table: object, cutter: Cutter, owner: object = None) -> None: ...

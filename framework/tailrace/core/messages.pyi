from collections.abc import Callable
from typing import TypeAlias

class Tap:
    def __init__(self, pgconn: object, failure: Callable[[], Exception], *, get: int, free: int) -> None: ...

Source: TypeAlias = Tap | Callable[[int], tuple[int, memoryview]]

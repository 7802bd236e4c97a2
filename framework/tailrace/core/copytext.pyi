from collections import deque
from collections.abc import Callable

from tailrace.event import Change, Origin, Table

def drain_lines(
    get_copy_data: Callable[[int], tuple[int, memoryview]], rows: deque[bytes], most: int
) -> tuple[tuple[int, memoryview] | None, int]: ...
def take_lines(rows: deque[bytes], most: int, most_bytes: int) -> tuple[list[bytes], int]: ...
def row_changes(kind: type[Change], table: Table, lines: list[bytes], origin: Origin, at: int) -> list[Change]: ...

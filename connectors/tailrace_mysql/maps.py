"""Which table each number of the binlog stands for, from its table map to the end of the transaction."""

from __future__ import annotations

from tailrace.core.cutter import Cutter, Mapped
from tailrace.errors import Fatal
from tailrace_mysql.captured import Captured
from tailrace_mysql.event import Rows

_NOBODYS = Mapped(None, Cutter((), ()))


class TableMaps:
    """The tables by number.

    `plain` has those whose rows need no judgement, as the core takes them; and what it may put there, by the bodies of
    table maps.
    """

    __slots__ = ("_maps", "plain")

    def __init__(self) -> None:
        self._maps: dict[int, Captured | None] = {}
        self.plain: tuple[dict[int, Mapped], dict[bytes, Mapped]] = {}, {}

    def put(self, table_id: int, body: bytes, captured: Captured | None) -> None:
        """Note what a number stands for; None: a table that is not captured."""
        self._maps.pop(table_id, None)
        by_number, by_body = self.plain
        by_number.pop(table_id, None)
        by_body.pop(body, None)
        if captured is None or captured.snapshot is None:
            by_number[table_id] = by_body[body] = _NOBODYS if captured is None else captured.mapped
        else:
            self._maps[table_id] = captured

    def table_of(self, rows: Rows, place: str) -> Captured | None:
        """Return the table of an event at `place`; raises `Fatal` where none was named."""
        mapped = self.plain[0].get(rows.table_id)
        if mapped is not None:
            owner: Captured | None = mapped.owner
            return owner
        try:
            return self._maps[rows.table_id]
        except KeyError:
            raise Fatal(
                f"binlog {place}: rows of table {rows.table_id} came before its description",
                hint="the binlog is damaged, or of a version that Tailrace does not know",
            ) from None

    def clear(self) -> None:
        """Forget the numbers: the transaction is over."""
        self._maps.clear()
        self.plain[0].clear()

    def reshaped(self) -> None:
        """Forget what table maps mean: a statement may have made them mean something else."""
        self.plain[1].clear()

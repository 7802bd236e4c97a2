"""Which table each number of the binlog stands for, from its table map to the end of the transaction."""

from __future__ import annotations

from tailrace.core.cutter import Cutter, Mapped
from tailrace.errors import Fatal
from tailrace_mysql.captured import Captured
from tailrace_mysql.event import Rows

_NOBODYS = Mapped(None, Cutter((), ()))


class TableMaps:
    """The tables by number. `plain` has those whose rows need no judgement, as the core takes them."""

    __slots__ = ("_maps", "plain")

    def __init__(self) -> None:
        self._maps: dict[int, Captured | None] = {}
        self.plain: dict[int, Mapped] = {}

    def put(self, table_id: int, captured: Captured | None) -> None:
        """Note what a number stands for; None: a table that is not captured."""
        self._maps[table_id] = captured
        self.plain.pop(table_id, None)
        if captured is None:
            self.plain[table_id] = _NOBODYS
        elif captured.snapshot is None:
            self.plain[table_id] = captured.mapped

    def table_of(self, rows: Rows, place: str) -> Captured | None:
        """Return the table of an event at `place`; raises `Fatal` where none was named."""
        try:
            return self._maps[rows.table_id]
        except KeyError:
            raise Fatal(
                f"binlog {place}: rows of table {rows.table_id} came before its description",
                hint="the binlog is damaged, or of a version that Tailrace does not know",
            ) from None

    def clear(self) -> None:
        """Forget all: the transaction is over."""
        self._maps.clear()
        self.plain.clear()

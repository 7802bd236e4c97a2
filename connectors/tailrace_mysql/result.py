"""The server's answer to a query, out of its payloads; rows stay as they came, for whoever wants them raw.

    Answer     Result (while a status says so: Result)*
    Result     OK | error | Column count lenenc · Column* · END · Row* · (END | error)
    OK         u8 0 · affected rows lenenc · last id lenenc · status u16 · warnings u16
    END        u8 254 · warnings u16 · status u16
    Column     catalog, schema, table, original table, name, original name, each lenenc · lenenc 12 ·
               collation u16 · length u32 · type u8 · flags u16 · decimals u8 · 2 octets

Source: MySQL's manual of the protocol, "Text Resultset". It does no I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import Struct

from tailrace_mysql.fault import LostConnection, lost_connection, server_fault
from tailrace_mysql.packet import ERROR, OK, error_of, is_end, lenenc

_MORE_RESULTS = 0x0008
_COLUMN_TAIL = Struct("<HIBHB")
_NAMES = 6


@dataclass(frozen=True, slots=True)
class Column:
    """One column as the server describes it. `collation` is a number of information_schema.COLLATIONS, 63 is binary."""

    name: str
    collation: int
    length: int
    type: int
    flags: int
    decimals: int


@dataclass(slots=True)
class Result:
    """What one statement gave. `rows` are payloads of the text protocol, and may be taken while more of them come."""

    columns: Sequence[Column] = ()
    rows: list[bytes] = field(default_factory=list)
    affected: int = 0
    done: bool = False

    def take_rows(self) -> list[bytes]:
        """Return the rows that have come since the last time."""
        rows, self.rows = self.rows, []
        return rows


class Answer:
    """Reads the payloads that follow a query, as they come."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.done = False
        self._columns_left = 0
        self._columns: list[Column] = []
        self._in_columns = False

    def feed(self, payloads: Sequence[bytes]) -> None:
        """Take payloads; raises what `fault.py` makes of an error, which ends the answer."""
        for payload in payloads:
            if not payload or self.done:
                raise lost_connection("an answer that is over, or an empty packet, goes on")
            if payload[0] == ERROR:
                self.done = True
                raise server_fault(*error_of(payload))
            if not self.results or self.results[-1].done:
                self._begin(payload)
            elif self._in_columns:
                self._column(payload)
            elif is_end(payload):
                self._end(self.results[-1], int.from_bytes(payload[3:5], "little"))
            else:
                self.results[-1].rows.append(payload)

    def _begin(self, payload: bytes) -> None:
        result = Result()
        self.results.append(result)
        if payload[0] == OK:
            result.affected, at = lenenc(payload, 1)
            _, at = lenenc(payload, at)
            self._end(result, int.from_bytes(payload[at : at + 2], "little"))
            return
        self._columns_left, _ = lenenc(payload, 0)
        self._columns = []
        self._in_columns = True

    def _column(self, payload: bytes) -> None:
        if self._columns_left:
            self._columns_left -= 1
            self._columns.append(_column(payload))
            return
        if not is_end(payload):
            raise lost_connection("the list of columns does not end")
        self.results[-1].columns = tuple(self._columns)
        self._in_columns = False

    def _end(self, result: Result, status: int) -> None:
        result.done = True
        self.done = not status & _MORE_RESULTS


def _column(payload: bytes) -> Column:
    at, name = 0, b""
    for field_number in range(_NAMES):
        length, begin = lenenc(payload, at)
        at = begin + length
        if field_number == 4:
            name = payload[begin:at]
    _, at = lenenc(payload, at)
    if at + _COLUMN_TAIL.size > len(payload):
        raise _short()
    return Column(name.decode(errors="replace"), *_COLUMN_TAIL.unpack_from(payload, at))


def _short() -> LostConnection:
    return lost_connection("the description of a column is too short")

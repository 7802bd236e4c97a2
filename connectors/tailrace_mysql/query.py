"""Statements in the binlog: DDL, BEGIN and COMMIT, and the texts that stand beside rows.

    Query        thread u32 · seconds u32 · size of the database's name u8 · error u16 · size of the variables u16 ·
                 variables · database · 0 · text, to the end
    compressed   the same, the text being deflated (`payload.py`)
    variable     kind u8 · value, whose size follows from the kind
    Rows query   length u8, not to be relied on · text, to the end
    Annotate     text, to the end

Variables that we do not know end the reading of variables, not of the event: the kinds stand in rising order, and
those that matter come first. Source: MySQL's manual of the binlog events (`Query_event`); MariaDB Knowledge Base,
"QUERY_EVENT".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from tailrace.errors import BadRecord
from tailrace_mysql.body import Body
from tailrace_mysql.charset import charset_of, decoder
from tailrace_mysql.header import Header
from tailrace_mysql.payload import inflated

_HEAD = Struct("<IIBHH")
_BEGIN = b"BEGIN"
_SQL_MODE, _CHARSETS, _DATABASE_COLLATION, _UTF8MB4_COLLATION = 1, 4, 8, 18
ANSI_QUOTES = 4
"""Bit of the SQL mode: double quotes are put around names."""


class Query(NamedTuple):
    """A statement, as text.

    `database` is the current one. `collation` is that of the connection's character set, `server_collation` and
    `database_collation` the defaults that a CREATE without its own takes, 0 where they are not told.
    """

    header: Header
    thread: int
    database: str
    text: str
    error: int = 0
    sql_mode: int = 0
    collation: int = 0
    server_collation: int = 0
    database_collation: int = 0


@dataclass(frozen=True, slots=True)
class Statement:
    """The statement whose rows follow, where the server was told to write it down."""

    header: Header
    text: str


def _two_texts(body: Body) -> tuple[int, ...]:
    body.take(body.u(1))
    body.take(body.u(1))
    return ()


def _catalog(body: Body) -> tuple[int, ...]:
    body.take(body.u(1) + 1)
    return ()


def _short_text(body: Body) -> tuple[int, ...]:
    body.take(body.u(1))
    return ()


def _names(body: Body) -> tuple[int, ...]:
    count = body.u(1)
    for _ in range(count if count < 254 else 0):  # 254: too many to name
        end = body.data.index(0, body.at)
        body.at = end + 1
    return ()


def _numbers(*octets: int) -> Callable[[Body], tuple[int, ...]]:
    return lambda body: tuple(body.u(size) for size in octets)


_KINDS: Mapping[int, Callable[[Body], tuple[int, ...]]] = {
    0: _numbers(4),
    _SQL_MODE: _numbers(8),
    2: _catalog,
    3: _numbers(2, 2),
    _CHARSETS: _numbers(2, 2, 2),
    5: _short_text,
    6: _short_text,
    7: _numbers(2),
    _DATABASE_COLLATION: _numbers(2),
    9: _numbers(8),
    10: _numbers(4),
    11: _two_texts,
    12: _names,
    13: _numbers(3),
    16: _numbers(1),
    17: _numbers(8),
    _UTF8MB4_COLLATION: _numbers(2),
    19: _numbers(1),
    20: _numbers(1),
    128: _numbers(3),
    129: _numbers(8),
}
"""How each variable is read: flags, SQL mode, catalogue, auto-increment, character sets, time zone and so on."""


def query(header: Header, body: Body) -> Query:
    """Read the body of a statement."""
    return _query(header, body, compressed=False)


def compressed_query(header: Header, body: Body) -> Query:
    """Read the body of a statement that MariaDB compressed."""
    return _query(header, body, compressed=True)


def _query(header: Header, body: Body, *, compressed: bool) -> Query:
    thread, _, name_size, error, size = body.unpack(_HEAD)
    sql_mode, collation, server, of_database = _variables(body.take(size))
    database = body.text(name_size)
    body.u(1)
    octets = inflated(body) if compressed else body.rest()
    text = _text(octets, collation)
    return Query(header, thread, database, text, error, sql_mode, collation, server, of_database)


@lru_cache(maxsize=256)  # each connection has the same before every statement
def _variables(octets: bytes) -> tuple[int, int, int, int]:
    """Return SQL mode and collations: of the connection, the server, the database."""
    found: dict[int, tuple[int, ...]] = {}
    body = Body(octets)
    while body.left and (read := _KINDS.get(kind := body.u(1))):
        found[kind] = read(body)
    collation, _, server = found.get(_CHARSETS, (0, 0, 0))
    return found.get(_SQL_MODE, (0,))[0], collation, server, found.get(_DATABASE_COLLATION, (0,))[0]


def _text(octets: bytes, collation: int) -> str:
    if octets == _BEGIN:  # which each transaction begins with
        return "BEGIN"
    charset = charset_of(collation)
    if charset and charset != "binary":
        try:
            return decoder(charset)(octets)
        except BadRecord:
            pass  # literals with an introducer keep their own octets; keywords and names are what matters
    return octets.decode("utf-8", "replace")


def rows_query(header: Header, body: Body) -> Statement:
    """Read the body of a rows query."""
    body.u(1)
    return Statement(header, body.rest().decode("utf-8", "replace"))


def annotate(header: Header, body: Body) -> Statement:
    """Read the body of MariaDB's annotation."""
    return Statement(header, body.rest().decode("utf-8", "replace"))

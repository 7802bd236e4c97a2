"""What errors of a MySQL or MariaDB destination mean: wait and retry, stop and say what to do, or leave a row out.

Codes: MySQL 9 manual, "Error Message Reference"; MariaDB's list of error codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tailrace.errors import Fatal, Retriable, TailraceError

_GRANT = "grant the user CREATE, ALTER, INSERT, UPDATE, DELETE and SELECT on the database"
_LOGIN = "check user and password in the url, and from which hosts the server lets the user in"
_MENDS = {
    1044: "grant the user rights on the database of the url",
    1045: _LOGIN,
    1049: "create the database; the replica does not",
    1130: _LOGIN,
    1142: _GRANT,
    1153: "raise max_allowed_packet of the server",
    1143: _GRANT,
    1227: "grant the user what is missing",
    1251: "give the user a password for mysql_native_password or caching_sha2_password",
    1698: _LOGIN,
    1820: "the user's password has run out: set a new one",
    1862: "the user's password has run out: set a new one",
    3159: "the server asks for TLS: name its authority with ?ssl-ca= in the url",
}
_FULL = {3, 20, 1021, 1026, 1037, 1038, 1040, 1041, 1114, 1135, 1203, 1206, 1226}
"""Out of disk, memory, threads or connections; 3 and 20 are the operating system's, through the server."""
_NO_SPACE = "No space left on device"
"""In the text of 1030, which passes on what a storage engine says."""
_READ_ONLY = {1290, 1792, 1836}
_LATER = {
    1020,  # the record was changed since it was read: MariaDB's innodb_snapshot_isolation
    1050,  # the table is there: information_schema passes over one that somebody else is altering just then
    1060,  # the column is there, likewise
    1180,
    1205,
    1213,
    1317,
    1412,  # the table was altered since the transaction began to read
    1615,
    1969,
    3024,
    3100,
}
_AWAY = {0, 1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031}
_CLIENT = range(2000, 2100)
"""The client's own: no connection, or a lost one."""
_REFUSED = {1118, 1292, 1690, 3140, 3819, 4025}
"""What a row may be refused for that PyMySQL calls neither DataError nor IntegrityError."""


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise what PyMySQL raises inside as what it means; `doing` names the operation."""
    import pymysql

    try:
        yield
    except pymysql.err.Error as error:
        raise meaning(doing, error) from error


def refuses_row(error: Exception) -> bool:
    """Whether an error is about the values of a row: the row is at fault, and nothing else."""
    import pymysql

    return isinstance(error, (pymysql.err.DataError, pymysql.err.IntegrityError)) or _code(error) in _REFUSED


def meaning(doing: str, error: Exception) -> TailraceError:
    """Return what an error means, by its code."""
    code = _code(error)
    told = " ".join(str(error.args[1] if len(error.args) > 1 else error).split())
    text = f"{doing}: the server says: {told} ({code})"
    if code in _MENDS:
        return Fatal(text, hint=_MENDS[code])
    if code in _FULL or (code == 1030 and _NO_SPACE in told):
        hint = "the server is out of disk, memory or connections; it is tried again until there is room"
        return Retriable(text, hint=hint, patient=True)
    if code in _READ_ONLY:
        return Retriable(text, hint="the server is read-only; the url must lead to the primary", patient=True)
    if code in _LATER:
        return Retriable(text, retry_after=1.0)
    if code in _AWAY or code in _CLIENT:
        return Retriable(text, hint="is the server up, and the address right?", patient=True)
    return Fatal(text)


def _code(error: Exception) -> int:
    """Return the server's or the client's code; 0 where PyMySQL gives none, as of packets that do not fit."""
    code = error.args[0] if error.args else 0
    return code if isinstance(code, int) else 0

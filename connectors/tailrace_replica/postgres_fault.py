"""What errors of a Postgres destination mean: wait and retry, or stop and say what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tailrace.errors import Fatal, Retriable, TailraceError

_NEVER = re.compile(
    r"authentication failed|no pg_hba\.conf entry|does not exist|not permitted to log in|no password supplied|"
    r"certificate|sslmode|SSL is not enabled|does not support SSL|invalid (?:port|connection)|password must",
    re.IGNORECASE,
)
"""libpq gives no SQLSTATE for a connection that fails, so its words must do."""

_MENDS = (
    ("28", "check user and password in the url, and pg_hba.conf"),
    ("3D", "check the database's name in the url; the replica does not create databases"),
    (
        "42501",
        "grant the user what is missing: CREATE on the database or schema, and ownership of tables that it changes",
    ),
    ("25006", "the server is a standby; the url must lead to the primary"),
    ("23", "the table has constraints of its own that the source's rows break: drop them"),
    ("42804", "the table has other column types than the source: drop it, or change its columns, and reset the sink"),
)
_PASSING = {
    "25006": True,
    # A row whose key changes, in the partition of its old key, may meet another task's copy of it under the new one.
    "23505": False,
}
"""Of those, what may be otherwise at the next try, and whether to try without end."""
_PATIENT = ("57P01", "57P02", "57P03", "53", "58")
_RETRIABLE = ("08", "40", "55006", "55P03", "57014", "57P05")
_FULL = "the server is out of connections, memory or disk; it is tried again until there is room"


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise what psycopg raises inside as what it means; `doing` names the operation."""
    try:
        yield
    except psycopg.Error as error:
        raise meaning(doing, error) from error


def meaning(doing: str, error: psycopg.Error) -> TailraceError:
    """Return what an error means, by its SQLSTATE or, of a connection, by its words."""
    state = error.sqlstate or ""
    told = error.diag.message_primary or " ".join(str(error).split())
    text = f"{doing}: postgres says: {told}" + (f" ({state})" if state else "")
    if not state:
        if _NEVER.search(told):
            return Fatal(text, hint="check user, password, database and TLS settings in the url, and pg_hba.conf")
        return Retriable(text, hint="is the server up, and the address right?", patient=True)
    if mend := next((mend for prefix, mend in _MENDS if state.startswith(prefix)), ""):
        passing = _PASSING.get(state)
        return Fatal(text, hint=mend) if passing is None else Retriable(text, hint=mend, patient=passing)
    if state.startswith(_PATIENT):
        return Retriable(text, hint=_FULL if state.startswith("53") else "", retry_after=1.0, patient=True)
    if state.startswith(_RETRIABLE):
        return Retriable(text, retry_after=1.0)
    return Fatal(text)

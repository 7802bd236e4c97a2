"""What a read sees, in the terms of the server: GTIDs and places of the binlog, or a lock where it tells neither."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from tailrace.errors import Fatal
from tailrace_mysql.capture import Capture
from tailrace_mysql.catalog import Catalog
from tailrace_mysql.chunks import ReadableTable, ReadView
from tailrace_mysql.connection import Connection
from tailrace_mysql.fault import PassingServerFault, ServerFault
from tailrace_mysql.gtid import GtidSet
from tailrace_mysql.stream import Stream

log = structlog.get_logger()

_LOCK_SECONDS = 1
_LOCK_TIMED_OUT = {1205, 1969, 3024}


class ServerSight:
    """Joins stream, catalogue and control connection for `reading.py`.

    `exact`: MariaDB. `locks`: MySQL without GTIDs, where nothing says what a read surely sees.
    """

    def __init__(
        self, stream: Stream, control: Connection, catalog: Catalog, capture: Capture, *, exact: bool, gtids: bool
    ) -> None:  # fmt: skip
        self.exact = exact
        self.locks = not exact and not gtids
        self.may_lock = not exact
        self._stream = stream
        self._control = control
        self._catalog = catalog
        self._capture = capture

    def streamed(self) -> object:
        """Return the GTIDs that have been streamed, that of the transaction under way included."""
        return None if self.exact or self.locks else self._stream.streamed

    def covered(self, view: ReadView, streamed: object) -> bool:
        """Whether a read with `view` saw all that had been streamed."""
        if self.exact:
            begin = self._stream.place.rank
            return self._stream.placed and (view.rank > begin or (view.rank == begin and self._stream.settled))
        return GtidSet.parse(view.seen).issuperset(GtidSet.parse(str(streamed)))

    def place(self) -> int | None:
        """Return the rank of the place that the stream is at, None inside a transaction."""
        return self._stream.place.rank if self._stream.settled else None

    @contextmanager
    def locked(self, table: ReadableTable) -> Iterator[bool]:
        """Keep writers from a table for a moment; False: somebody else holds it too long.

        Transactions keep their hold on a table until what they did is visible.
        """
        try:
            self._control.query(f"SET SESSION lock_wait_timeout = {_LOCK_SECONDS}")
            self._control.query(f"LOCK TABLES {table.name} READ")
        except PassingServerFault as fault:
            if fault.number not in _LOCK_TIMED_OUT:
                raise
            yield False
            return
        except ServerFault as fault:
            mend = "set gtid_mode = ON on the server, or GRANT LOCK TABLES ON the database to the connector's user"
            if self.locks:
                raise Fatal(
                    f"snapshot of {table.shape.id}: the table cannot be locked for a moment: {fault.message}", hint=mend
                ) from fault
            self.may_lock = False
            log.warning(
                "the snapshot has to wait until nobody writes to a table for a moment", table=table.shape.id,
                error=fault.message, mend="GRANT LOCK TABLES ON the database to the connector's user",
            )  # fmt: skip
            yield False
            return
        try:
            yield True
        finally:
            self._control.query("UNLOCK TABLES")

    def readable(self, table_id: str) -> ReadableTable | None:
        """Return a table as it is now, None where it is gone."""
        database, _, name = table_id.partition(".")
        declared = self._catalog.declared(database, name)
        return None if declared is None else self._capture.readable(declared)

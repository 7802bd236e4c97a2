"""From events of the binlog to changes: where the stream is, which transaction it is in, what was handed out before.

    transaction of MySQL     GTID · BEGIN · (TABLE MAP · ROWS*)* · XID, COMMIT or ROLLBACK
    compressed               GTID · TRANSACTION PAYLOAD
    statement                GTID · QUERY
    XA branch                GTID · XA START · … · XA END · XA PREPARE, and later GTID · XA COMMIT or XA ROLLBACK
    MariaDB                  the same without BEGIN: its GTID says what follows

Row changes of captured tables are counted, so that a resumed transaction is cut at the same place. No I/O: branches
that are committed are read again by the source, which feeds their events to `branches`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tailrace.core.told import Told
from tailrace.errors import Fatal
from tailrace.event import Change, Event
from tailrace.snapshot.schedule import Snapshot
from tailrace_mysql import event as binlog
from tailrace_mysql.branch import Branches
from tailrace_mysql.capture import Capture
from tailrace_mysql.dump_fault import incident_fault
from tailrace_mysql.fault import RESET
from tailrace_mysql.fragment import Assembly
from tailrace_mysql.header import ARTIFICIAL
from tailrace_mysql.incoming import Incoming
from tailrace_mysql.maps import TableMaps
from tailrace_mysql.origin import Place, mark
from tailrace_mysql.place import BinlogPlace, rank, widened
from tailrace_mysql.position import Branch, StreamPosition
from tailrace_mysql.sentence import Kind, sentence
from tailrace_mysql.shortcut import Shortcut
from tailrace_mysql.telling import RowsUnderWay, Teller, rows_under_way
from tailrace_mysql.transaction import Executed, Transaction


class Stream:
    """Takes events in with `feed`, gives changes out with `take`.

    `executed` are the transactions before `start`; None: there are no GTIDs or, with `gtids`, they are not known before
    the next file begins, which tells. `reached` is told the rank of a place
    before anything that follows it is handed out. The server may begin to read before `floor`, but sends nothing of it.
    """

    def __init__(
        self, start: StreamPosition, executed: Executed | None, capture: Capture, snapshot: Snapshot, place: Place, *,
        gtids: bool = False, floor: BinlogPlace | None = None, reached: Callable[[int], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.file, self.pos, self.placed = start.file, start.pos, False
        """`placed`: whether the server has said where it sends from; before, `place` may be that of another server."""
        self.executed = executed
        self._gtids = gtids
        self.commit_time: int | None = None
        """Of the transaction handed out last, in microseconds since 1970."""
        self.branches = Branches(start.branches)
        self._interrupted = start if start.ordinal is not None else None
        self._capture = capture
        self._floor = floor
        self._snapshot = snapshot
        self._place = place
        self._reached = reached
        self._teller = Teller(snapshot)
        self._assembly = Assembly()
        self._incoming = Incoming()
        self._maps = TableMaps()
        self._shortcut = Shortcut(self._incoming, self._maps, place)
        self._rows: RowsUnderWay | None = None
        self._transaction: Transaction | None = None

    # --- where it is -----------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether there are events that have been fed and not been taken."""
        return bool(self._incoming) or self._rows is not None

    @property
    def between(self) -> bool:
        """Whether no transaction is under way."""
        return self._transaction is None

    @property
    def place(self) -> BinlogPlace:
        """The end of what was handled last; inside a transaction, where that begins."""
        return self._here() if self._transaction is None else self._transaction.start

    @property
    def settled(self) -> bool:
        """Whether what was streamed is whole transactions, also those that were begun before a restart."""
        return self.placed and self._transaction is None and self._interrupted is None

    @property
    def streamed(self) -> str:
        """All GTIDs that have been streamed, that of the transaction under way included."""
        under_way = self._interrupted or self._transaction
        return ",".join(filter(None, (str(self.executed or ""), under_way.gtid if under_way else "")))

    @property
    def state(self) -> tuple[object, ...]:
        """Something that is equal as long as `position` is."""
        transaction = self._transaction
        return (self._here(),) if transaction is None else (transaction.start, transaction.handed_out)

    def position(self) -> StreamPosition:
        """Return where to resume once everything handed out is durable."""
        branches, gtids = self.branches.prepared, str(self.executed or "")
        if (transaction := self._transaction) is not None:
            start, ordinal = transaction.start, transaction.handed_out
            gtid = transaction.gtid if ordinal else ""
            return StreamPosition(start.file, start.pos, gtids, gtid, ordinal or None, branches)
        here = self._here()
        return self._interrupted or StreamPosition(here.file, here.pos, gtids, branches=branches)

    def _here(self) -> BinlogPlace:
        here = BinlogPlace(self.file, self.pos)
        return self._floor if self._floor is not None and here.rank < self._floor.rank else here

    # --- events in, changes out --------------------------------------------------------------------------------------

    def feed(self, events: Sequence[bytes]) -> None:
        """Take events in, in the order of the binlog."""
        self._incoming.feed(events)

    def take(self, most: int, most_bytes: int) -> tuple[Sequence[Event], int]:
        """Return the next events, and about how many bytes they take.

        None although there are some: the snapshot has to emit rows first, or the rows of a branch have to be fed.
        """
        events = Told(Change)
        size = 0
        while len(events) < most and size < most_bytes:
            if self._rows is not None:
                if self._tell_rows(events, most):
                    continue
                break
            awaited = self.branches.awaited is not None
            if not awaited:
                size += self._take_plain(events, most, most_bytes - size)
                if len(events) >= most or size >= most_bytes:
                    break
            if (event := self.branches.next() if awaited else self._incoming.next()) is None:
                break
            size += len(event)
            self._handle(event, events)
        return events, size

    def _take_plain(self, events: Told, most: int, most_bytes: int) -> int:
        """Tell rows that need no judgement, as many as come next; return about how many bytes they take."""
        transaction, room = self._transaction, (most, most_bytes)
        if transaction is None:
            return self._take_whole(events, room) if self._interrupted is None and self._snapshot.done else 0
        if transaction.branch or transaction.ordinal < transaction.skip:
            return 0
        size, end = self._shortcut.rows(transaction, events, room)
        self.pos = widened(self.pos, end) if end else self.pos
        return size

    def _take_whole(self, events: Told, room: tuple[int, int]) -> int:
        here = BinlogPlace(self.file, self.pos)
        whole, self.executed = self._shortcut.transactions(here, self.executed, events, room)
        if whole.size:
            self.pos, self.commit_time = widened(self.pos, whole.end), whole.time
            self._passed(self.place.rank)
        return whole.size

    def _handle(self, data: bytes, events: Told) -> None:  # noqa: C901 - one case for each kind of event
        event = binlog.decode(data, self.file)
        if self.branches.awaited is not None:
            self._on_branch(event)
            return
        start, header = self.pos, event.header
        if header.end_pos and not header.flags & ARTIFICIAL and not self._incoming.packed:
            self.pos = widened(self.pos, header.end_pos)
            start = self.pos - header.size
        match event:
            case binlog.Rows():
                self._on_rows(event)
            case binlog.TableMapped():
                self._map(event)
            case binlog.Gtid() | binlog.MariadbGtid():
                self._begin(event, BinlogPlace(self.file, start))
            case binlog.Query():
                self._on_query(event, BinlogPlace(self.file, start), events)
            case binlog.Xid():
                self._commit()
            case binlog.TransactionPayload():
                self._unpack(event, self._incoming, start)
            case binlog.XaPrepare():
                self._on_prepare(event)
            case binlog.RowsFragment():
                if (rows := self._assembled(event)) is not None:
                    self._on_rows(rows)
            case _:
                self._on_control(event)

    def _unpack(self, event: binlog.TransactionPayload, into: Incoming | Branches, at: int) -> None:
        if self._transaction is not None:
            self._transaction.packed_at = at
        into.unpack(event.events(self.file))

    def _on_control(self, event: binlog.Event) -> None:
        match event:
            case binlog.Rotate():
                self.file, self.pos, self.placed = event.file, event.position, True
            case binlog.PreviousGtids() if self._gtids and self.executed is None:
                self.executed = event.gtids
            case binlog.Heartbeat():
                if self._transaction is None and rank(event.file or self.file, event.position) > self.place.rank:
                    self.file, self.pos = event.file or self.file, event.position
            case binlog.Incident():
                raise incident_fault(event, f"binlog {self.file} at {self.pos}")
            case _:
                return
        if self._transaction is None:
            self._passed(self.place.rank)

    def _passed(self, at: int) -> None:
        """All that comes from here on begins at the rank `at` or later."""
        self._reached(at)
        if not self._snapshot.done:
            self._snapshot.enter(at, at)

    # --- transactions ------------------------------------------------------------------------------------------------

    def _begin(self, event: binlog.Gtid | binlog.MariadbGtid, start: BinlogPlace) -> None:
        if self._transaction is not None:
            raise Fatal(
                f"binlog {start}: a transaction begins inside {self._transaction.gtid or self._transaction.start}",
                hint="the binlog is damaged, or of a version that Tailrace does not know",
            )
        named = self.executed is not None and bool(str(event))
        gtid = str(event) if named else ""
        seconds = event.header.timestamp * 1_000_000
        transaction = Transaction(gtid, start, start.rank, seconds, event.header.server_id, event if named else None)
        if isinstance(event, binlog.MariadbGtid):
            transaction.standalone, transaction.begun = event.standalone, not event.standalone
            transaction.thread = event.thread
            transaction.branch = str(event.branch) if event.prepared else ""
        elif gtid:
            transaction.time = event.originally_committed or seconds
        self._enter(transaction)

    def _enter(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._passed(transaction.rank)
        if (interrupted := self._interrupted) is None:
            return
        if not transaction.has(interrupted):
            raise Fatal(
                f"resume inside transaction {interrupted.gtid or interrupted}: {transaction.gtid or transaction.start} "
                "comes first",
                hint="this server has the transactions in another order: connect to the one that was read before, or "
                "start the snapshot anew with `tailrace offsets reset`; set replica_preserve_commit_order on replicas",
            )
        transaction.skip = interrupted.ordinal or 0
        self._interrupted = None

    def _current(self, at: BinlogPlace) -> Transaction:
        """Return the transaction under way; one without a GTID event begins here."""
        if self._transaction is None:
            self._enter(Transaction("", at, at.rank, 0, 0))
        assert self._transaction is not None
        return self._transaction

    def _commit(self) -> None:
        transaction = self._transaction
        if transaction is None:
            return
        if transaction.ordinal < transaction.skip:
            raise Fatal(
                f"resume inside transaction {transaction.gtid or transaction.start}: {transaction.skip} of its changes "
                f"were handed out, but it has {transaction.ordinal}",
                hint=f"this is not the binlog that was read before. {RESET}",
            )
        if self.executed is not None:
            self.executed = transaction.among(self.executed)
        self.commit_time = transaction.time or self.commit_time
        self._transaction = None
        self._maps.clear()

    def _on_query(self, query: binlog.Query, start: BinlogPlace, events: Told) -> None:  # noqa: C901 - as above
        said = sentence(query.text)
        transaction = self._current(start)
        transaction.thread = transaction.thread or query.thread
        transaction.time = transaction.time or query.header.timestamp * 1_000_000
        match said.kind:
            case Kind.BEGIN:
                transaction.begun = True
            case Kind.XA_START:
                transaction.begun, transaction.branch = True, said.xid
            case Kind.COMMIT | Kind.ROLLBACK:
                self._commit()
            case Kind.ROLLBACK_TO:
                raise Fatal(
                    f"binlog {start}: ROLLBACK TO a savepoint undoes rows that the binlog has, and that were told",
                    hint="a transaction changes tables with transactions and tables without: keep them apart",
                )
            case Kind.SAVEPOINT | Kind.XA_END:
                pass
            case Kind.XA_COMMIT:
                self.branches.commit(said.xid, start)
            case Kind.XA_ROLLBACK:
                self.branches.forget(said.xid)
                self._commit()
            case Kind.ROWS:
                self._capture.refuse_rows(query, start)
            case Kind.OTHER:
                self._on_statement(query, transaction, events)
        if self._transaction is not None and not transaction.begun and self.branches.awaited is None:
            self._commit()

    def _on_statement(self, query: binlog.Query, transaction: Transaction, events: Told) -> None:
        """Follow DDL; it counts as one change where it is a part of a transaction."""
        if transaction.begun:
            transaction.ordinal += 1
            if transaction.ordinal <= transaction.skip:
                return
        origin = transaction.origin_of(self._place)
        self._maps.reshaped()
        followed = self._capture.follow(query, self._snapshot, partial(origin.statement_block, self._place, self.pos))
        for table in followed.reshaped:
            self._teller.reshaped(table)
        for table in followed.dropped:
            self._teller.emptied(table)
        for table in followed.emptied:
            shape = self._capture.table(table)
            if self._teller.emptied(table) and shape is not None:
                origin, at = transaction.origin_of(self._place), mark(query.header.start_pos, 0)
                events.append(Change(shape, "t", None, None, origin=origin, at=at))
        events.extend(followed.events)

    # --- XA ----------------------------------------------------------------------------------------------------------

    def _on_prepare(self, event: binlog.XaPrepare) -> None:
        transaction = self._transaction
        if transaction is None:
            return
        xid = str(event.branch)
        self.branches.prepare(Branch(xid, transaction.gtid, transaction.start.file, transaction.start.pos))
        if event.one_phase:
            self.branches.commit(xid, transaction.start)
        else:
            self._commit()

    def _on_branch(self, event: binlog.Event) -> None:
        """Handle an event that was read again, for a branch that is being committed."""
        if not self.branches.holds(event):
            return
        match event:
            case binlog.TableMapped():
                self._map(event)
            case binlog.Rows():
                self._tell_or_skip(event)
            case binlog.RowsFragment():
                if (rows := self._assembled(event)) is not None:
                    self._tell_or_skip(rows)
            case binlog.TransactionPayload():
                self._unpack(event, self.branches, self.pos)
            case binlog.XaPrepare():
                self.branches.end()
                self._commit()

    # --- rows --------------------------------------------------------------------------------------------------------

    def _map(self, event: binlog.TableMapped) -> None:
        self._maps.put(event.table_id, event.body, self._capture.of_map(event.body, self._snapshot))

    def _on_rows(self, event: binlog.Rows) -> None:
        if self._transaction is None or not self._transaction.branch:
            self._tell_or_skip(event)

    def _assembled(self, piece: binlog.RowsFragment) -> binlog.Rows | None:
        """Return the rows event of which this is the last piece; None: there are more."""
        whole = self._assembly.add(piece)
        return rows if whole and isinstance(rows := binlog.decode(whole, self.file), binlog.Rows) else None

    def _tell_or_skip(self, event: binlog.Rows) -> None:
        """Make the rows of an event ready to be told, but for those that were handed out before."""
        if event.nothing:
            return
        captured = self._maps.table_of(event, f"{self.file} at {self.pos}")
        if captured is None:
            return
        transaction = self._current(BinlogPlace(self.file, self.pos - event.header.size))
        rows = rows_under_way(captured, event, transaction.origin_of(self._place), self.file)
        rows.next = min(max(transaction.skip - transaction.ordinal, 0), rows.left)
        transaction.ordinal += rows.next
        self._rows = rows if rows.left else None

    def _tell_rows(self, events: Told, most: int) -> bool:
        """Tell rows of the event under way; False: the next one has to wait."""
        rows, transaction = self._rows, self._transaction
        assert rows is not None and transaction is not None
        told = self._teller.tell(rows, transaction.origin_of(self._place), events, most)
        transaction.ordinal += told
        self._rows = rows if rows.left else None
        return bool(told) or not rows.left

"""From messages to changes: where the stream is, which transaction it is in, what of it has been handed out before.

No I/O but for the catalogue, behind `Tables`. Positions are `position.py`'s: inside a transaction each change counts,
whether it is captured or not, so that a resumed transaction is cut at the same place under any configuration.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import assert_never

from tailrace.core.pgoutput import Plain, Received, take_rows
from tailrace.errors import Retriable
from tailrace.event import Change, Event, Op
from tailrace.snapshot.gate import Gate
from tailrace.snapshot.order import Key
from tailrace.snapshot.schedule import Snapshot
from tailrace_postgres import pgoutput
from tailrace_postgres.captured import Captured
from tailrace_postgres.origin import Place, TransactionOrigin
from tailrace_postgres.pgoutput import decode
from tailrace_postgres.position import StreamPosition
from tailrace_postgres.row import fill_unchanged, lacks_values
from tailrace_postgres.table import Tables

MOST_AHEAD = 2000  # keys to look up at once; more would make one query slow, fewer more queries


class Stream:
    """Takes messages in with `feed`, gives events out with `take`. `on_message` gets the logical messages."""

    def __init__(
        self, start: StreamPosition, tables: Tables, snapshot: Snapshot, place: Place,
        on_message: Callable[[pgoutput.Message], Sequence[Event]] = lambda _: (),
    ) -> None:  # fmt: skip
        self.position = start
        self.idle_end = start.confirm
        """Up to here the log holds nothing for us, as far as it was handed out; beyond `position.confirm` or equal."""
        self.commit_time: int | None = None
        """Of the transaction handed out last, in microseconds since 2000."""
        self._start = start
        self._tables = tables
        self._in_binary = tables.in_binary
        self._snapshot = snapshot
        self._place = place
        self._on_message = on_message
        self._gate = Gate[Captured](snapshot, lambda captured: self._keys_ahead(captured.oid))
        self._backlog: deque[Received] = deque()
        self._relations: dict[int, Captured | None] = {}
        self._plain: dict[int, Plain] = {}
        self._begin: pgoutput.Begin | None = None
        self._origin: TransactionOrigin | None = None
        self._ordinal = 0
        self._skip: int | None = 0
        self._last_commit: int | None = start.confirm if start.lsn else None
        self._now: Received | None = None

    @property
    def waiting(self) -> int:
        """How many messages have been fed and not been taken."""
        return len(self._backlog)

    @property
    def outdated(self) -> bool:
        """Whether the messages are no longer in the form that the tables have: another has to go on from `position`.

        Nothing is taken from then on.
        """
        return self._in_binary != self._tables.in_binary

    @property
    def between(self) -> bool:
        """Whether no transaction is under way."""
        return self._begin is None

    def feed(self, received: Sequence[Received]) -> None:
        """Take messages in, in the order of the stream."""
        self._backlog.extend(received)

    def take(self, most: int, most_bytes: int) -> tuple[list[Event], int]:
        """Return the next events, and about how many bytes they take.

        None although there are messages: the snapshot has to emit some rows first, or this stream is `outdated`.
        """
        events: list[Event] = []
        size = 0
        backlog = self._backlog
        while backlog and len(events) < most and size < most_bytes:
            taken = self._take_rows(events, most, most_bytes - size)
            if taken:
                size += taken
                continue
            received = backlog[0]
            if received.data is None:
                self._keep_alive(received.lsn)
            elif self._handle(received.data, received.lsn, events):
                size += len(received.data)
            else:
                break
            backlog.popleft()
        return events, size

    def _take_rows(self, events: list[Event], most: int, most_bytes: int) -> int:
        """Take the row changes in front that need no judgement, by the compiled core; return their bytes."""
        if self._begin is None or self._origin is None or self._skip is None or self._ordinal < self._skip:
            return 0
        count, size = take_rows(self._backlog, self._plain, Change, self._origin, events, most, most_bytes)
        if count:
            self._ordinal += count
            self.position = StreamPosition(self._begin.lsn, self._ordinal, self.position.confirm)
        return size

    def advance(self) -> None:
        """Move the position to the end of the log that is known to hold nothing for us."""
        if self._begin is None and self.position.ordinal is None and self.idle_end > self.position.confirm:
            self.position = StreamPosition(self.position.lsn, None, self.idle_end)

    def _keep_alive(self, end: int) -> None:
        if self._begin is not None:
            return
        if self.position.ordinal is not None:
            if end <= self.position.lsn:
                return  # the transaction that we stopped in is still to come
            self.position = StreamPosition(self.position.lsn, None, self.position.confirm)
        self.idle_end = max(self.idle_end, end)
        # Also where the log did not grow: on an idle server nothing else says that the views are behind us.
        self._snapshot.passed(end)

    def _handle(self, data: bytes, lsn: int, events: list[Event]) -> bool:
        """Handle one message; False: it has to wait."""
        message = decode(data, lsn)
        match message:
            case pgoutput.Insert() | pgoutput.Update() | pgoutput.Delete() | pgoutput.Truncate():
                return self._counted(message, lsn, events)
            case pgoutput.Begin():
                self._on_begin(message)
            case pgoutput.Commit():
                self._on_commit(message)
            case pgoutput.Relation():
                return self._on_relation(message)
            case pgoutput.Origin():
                if self._origin is not None:
                    self._origin.replicated_from(message.name, message.lsn)
            case pgoutput.Message():
                self._on_logical_message(message, events)
            case pgoutput.Type():
                pass  # the catalogue says more of types
            case _:
                assert_never(message)
        return True

    def _on_begin(self, begin: pgoutput.Begin) -> None:
        self._begin = begin
        self._ordinal = 0
        start = self._start
        if begin.lsn < start.lsn or (begin.lsn == start.lsn and start.ordinal is None):
            self._skip = None
            return
        self._skip = (start.ordinal or 0) if begin.lsn == start.lsn else 0
        self._origin = TransactionOrigin(
            self._place, xid=begin.xid, time=begin.time, last_commit=self._last_commit
        )  # fmt: skip
        self._snapshot.begin(begin.xid, begin.lsn)

    def _on_commit(self, commit: pgoutput.Commit) -> None:
        if self._skip is not None:
            self.position = StreamPosition(commit.lsn, None, commit.end)
            self.idle_end = max(self.idle_end, commit.end)
            self.commit_time = commit.time
        self._last_commit = commit.end
        self._begin = self._origin = None

    def _on_logical_message(self, message: pgoutput.Message, events: list[Event]) -> None:
        if message.transactional:
            return  # nobody's but the applications' own, and those are not captured
        # `lsn` is the end of the message's record. Not a byte more may be confirmed: a commit record can begin there,
        # and the server skips those that begin before what is confirmed.
        if message.lsn <= self.position.confirm:
            return  # handed out before
        if self.position.ordinal is not None and message.lsn <= self.position.lsn:
            return  # likewise: it came before the transaction that we stopped in
        told = self._on_message(message)
        if told and self._begin is None:
            self.idle_end = max(self.idle_end, message.lsn)
            self.advance()
        events.extend(told)

    def _on_relation(self, relation: pgoutput.Relation) -> bool:
        table = self._tables.of_relation(relation)
        if self.outdated:
            return False
        self._plain.pop(relation.oid, None)
        if table is None:
            self._relations[relation.oid] = None
            return True
        if relation.oid not in self._snapshot.known:
            if self._tables.joined(relation.oid):
                raise Retriable(
                    f"table {table.id} was added to the publication: starting again, to read the rows that it has",
                    retry_after=0.0,
                )
            self._snapshot.know(relation.oid)
        found = (t for t in self._snapshot.tables.values() if t.object_id == relation.oid)
        self._relations[relation.oid] = Captured(relation.oid, table, next(found, None))
        return True

    def _counted(
        self, message: pgoutput.Insert | pgoutput.Update | pgoutput.Delete | pgoutput.Truncate, lsn: int,
        events: list[Event],
    ) -> bool:  # fmt: skip
        """Handle what counts as a change."""
        assert self._begin is not None
        ordinal = self._ordinal + 1
        if self._skip is not None and ordinal > self._skip:
            if not self._tell(message, lsn, events):
                return False
            self.position = StreamPosition(self._begin.lsn, ordinal, self.position.confirm)
        self._ordinal = ordinal
        return True

    def _tell(
        self, message: pgoutput.Insert | pgoutput.Update | pgoutput.Delete | pgoutput.Truncate, lsn: int,
        events: list[Event],
    ) -> bool:  # fmt: skip
        assert self._origin is not None
        if isinstance(message, pgoutput.Truncate):
            for oid in message.relations:
                emptied = self._captured(oid)
                if emptied is not None and self._gate.truncate(emptied):
                    events.append(Change(emptied.table, "t", None, None, origin=self._origin, at=lsn))
            return True
        captured = self._captured(message.relation)
        if captured is None:
            return True
        match message:
            case pgoutput.Insert():
                return self._told(captured, "c", None, message.new, lsn, events)
            case pgoutput.Delete():
                return self._told(captured, "d", message.old, None, lsn, events)
            case pgoutput.Update():
                new = message.new
                if message.old is not None and b"u" in new:
                    new = fill_unchanged(new, message.old)
                return self._told(captured, "u", message.old, new, lsn, events)

    def _told(  # noqa: PLR0917 - called for every row
        self, captured: Captured, op: Op, old: bytes | None, new: bytes | None, lsn: int, events: list[Event]
    ) -> bool:  # fmt: skip
        """Append the change of a row, as far as the snapshot leaves it to the stream; False: not yet."""
        assert self._origin is not None
        table = captured.table
        old_key, new_key = captured.keys(old, new)
        moved = old_key is not None and new_key is not None and old_key != new_key
        tell_old = tell_new = True
        if captured.snapshot is not None:
            halves = self._gate.halves(captured, old_key if moved or new is None else new_key, new_key, moved=moved)
            if halves is None:
                return False
            tell_old, tell_new = halves
            if tell_new and not tell_old and new is not None and lacks_values(new):
                # The row comes from keys whose rows are not told yet, and so were these values never.
                assert new_key is not None
                self._gate.reread(captured, new_key)
                return False
        if not tell_old and not tell_new:
            return True
        if tell_old and tell_new:
            events.append(Change(table, op, old, new, origin=self._origin, at=lsn, moved=moved))
        elif tell_old:
            events.append(Change(table, "d", old, None, origin=self._origin, at=lsn))
        else:
            events.append(Change(table, "c", None, new, origin=self._origin, at=lsn))
        return True

    def _captured(self, oid: int) -> Captured | None:
        try:
            captured = self._relations[oid]
        except KeyError:
            raise pgoutput.MalformedMessage(f"a change of relation {oid} came before its description") from None
        if captured is None or captured.snapshot is None:
            self._plain[oid] = Plain(captured.table if captured else None)
        return captured

    def _keys_ahead(self, oid: int) -> list[Key]:
        """Return the keys of a relation's changes in the backlog, up to where its shape changes."""
        captured = self._relations.get(oid)
        keys: list[Key] = []
        for message in self._changes_ahead(oid) if captured is not None else ():
            wires = (
                (message.new,) if isinstance(message, pgoutput.Insert)
                else (message.old,) if isinstance(message, pgoutput.Delete) else (message.old, message.new)
            )  # fmt: skip
            found = (captured.key(wire) for wire in wires if wire is not None) if captured is not None else ()
            keys.extend(key for key in found if key is not None)
            if len(keys) >= MOST_AHEAD:
                break
        return keys

    def _changes_ahead(self, oid: int) -> Iterator[pgoutput.Insert | pgoutput.Update | pgoutput.Delete]:
        for received in self._backlog:
            if received.data is None or received.data[0] not in b"IUDR":
                continue
            message = decode(received.data, received.lsn)
            if isinstance(message, pgoutput.Relation):
                if message.oid == oid:
                    return
            elif isinstance(message, pgoutput.Insert | pgoutput.Update | pgoutput.Delete) and message.relation == oid:
                yield message

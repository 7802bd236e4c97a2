"""The sink into OpenSearch and Elasticsearch: at least once, and the state is exactly the source's.

Documents carry the offset of their record as an external version, so whatever is sent again changes nothing, and what
comes late goes nowhere. The position is saved (`ledger.py`) when everything before it is there.

* **Columns that were not sent** are read from the index (`_mget`, which sees what was just written) and put into the
  document: a partial update could not carry a version. All that is on the way is waited for first.
* **A row that gets another key** is a delete and a create. Where the create lacks columns, they are in the old
  document: the delete is held back until the create is there, and over a commit what it needs is kept in the ledger.
* **A truncate** looks for all documents, and deletes each with the truncate's own version: later ones stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tailrace.codec.delivery import Delivery
from tailrace.errors import BadRecord, Fatal, Retriable
from tailrace.position import Position
from tailrace_search.bulk import Operation
from tailrace_search.catalog import Catalog, Shelf
from tailrace_search.client import Client
from tailrace_search.document import Document
from tailrace_search.effect import Clear, Put, Reader, Remove
from tailrace_search.ledger import Entry as LedgerEntry
from tailrace_search.ledger import Ledger
from tailrace_search.mapping import META
from tailrace_search.pending import Entry, Pending
from tailrace_search.settings import ClusterConfig
from tailrace_search.shipment import IndexGone, Shipment, document_bytes
from tailrace_search.stored import Stored

_FRAME = 5
"""Octets before a value that say its schema."""


class Writer:
    """What an open sink holds: one life, from `open` to `close`. `serving`: its indexes get their public alias."""

    def __init__(
        self,
        client: Client,
        config: ClusterConfig,
        task: str,
        *,
        reject: Callable[[Delivery, BadRecord], None],
        building: bool = False,
    ) -> None:
        self._client = client
        self._config = config
        self._reject = reject
        self._ledger = Ledger(client, config.index_prefix)
        self.entry: LedgerEntry = self._ledger.take_over(task)
        self.catalog = Catalog(client, config, self.entry.generation, serving=not building)
        self._stored = Stored(client)
        self._shipment = Shipment(client, config.requests, reject=self._rejected, known=self._known)
        self._reader = Reader(without_key=config.without_key, json_as=config.json_as, points_as=config.points_as)
        self._pending = Pending()
        self._moves: dict[str, Document | None] = dict(self.entry.moves)
        self._shelves: dict[tuple[str, bytes, bytes | None], Shelf] = {}

    def take(self, delivery: Delivery) -> None:
        """Read a delivery, and send what is pending where that is much."""
        try:
            effect = self._reader.effect(delivery)
        except BadRecord as error:
            self._reject(delivery, error)
            return
        match effect:
            case Put():
                self._put(self._shelf(delivery), delivery, effect)
            case Remove():
                self._remove(self._shelf(delivery), delivery, effect)
            case Clear():
                self._truncate(delivery)
            case None:
                return
        if self._pending.bytes >= self._config.bulk_bytes or len(self._pending) >= self._config.bulk_documents:
            self._ship(holding=True)

    def commit(self, position: Position) -> None:
        """Wait until all is there, then save the position."""
        if self._pending.waiting:
            # Deletes whose rows are still to come under their new keys: what those may lack is saved before it is gone.
            self._ship(holding=True)
            self._shipment.drain()
            self._read_moves()
            self.entry = self._ledger.save(replace(self.entry, moves=self._moves))
        self._ship(holding=False)
        self._shipment.drain()
        self.entry = self._ledger.save(replace(self.entry, position=position, moves=self._moves))

    def explained(self, gone: IndexGone) -> Fatal | Retriable:
        """Say why there is no index to write to."""
        now = self._ledger.load(self.entry.task)
        if now.generation != self.entry.generation:
            return Retriable(f"write to {gone.writer}: the index was built anew; the task goes on in that")
        return Fatal(
            f"write to {gone.writer}: the index was deleted",
            hint="build it anew from the log: tailrace rebuild",
        )

    def _put(self, shelf: Shelf, delivery: Delivery, put: Put) -> None:
        record = delivery.record
        document = put.document
        document[META] = {"partition": record.partition, "offset": record.offset, "timestamp": record.timestamp_ms}
        entry = Entry(shelf, put.id, record.offset, delivery, document, put.missing)
        if put.moved_from:
            self._arrive(entry, f"{record.topic} {put.moved_from}")
        self._pending.add(entry)

    def _arrive(self, entry: Entry, move: str) -> None:
        """Find what a row lacks that comes under a new key: it is in the document of its old one."""
        waiting = self._pending.arrived(move)
        kept = self._moves.pop(move, None)
        if entry.missing and kept is not None and entry.document is not None:
            entry.document.update({name: value for name, value in kept.items() if name in entry.missing})
            entry.missing -= kept.keys()
        elif entry.missing and waiting is not None:
            entry.source = waiting.id

    def _remove(self, shelf: Shelf, delivery: Delivery, remove: Remove) -> None:
        move = f"{delivery.record.topic} {remove.moved_as}" if remove.moved_as else ""
        if move:
            before = self._pending.find(shelf, remove.id)
            if before is not None and before.document is not None and not before.missing:
                self._moves[move] = before.document
            else:
                self._ship(holding=True)
        self._pending.add(Entry(shelf, remove.id, delivery.record.offset, delivery, None, moved_as=move))

    def _truncate(self, delivery: Delivery) -> None:
        record = delivery.record
        shelf = self.catalog.existing(record.topic)
        if self._config.truncate == "ignore" or shelf is None:
            return
        if self._config.truncate == "refuse":
            error = BadRecord("table was truncated", hint="set truncate: delete or truncate: ignore on the sink")
            self._reject(delivery, error)
            return
        self._ship(holding=False)
        self._shipment.drain()
        if self._stored.has_others(shelf, record.partition):
            raise Fatal(
                f"truncate {shelf.alias}: topic {record.topic} has several partitions, and rows in the others may be "
                "older or newer than the truncate",
                hint="keep the topic in one partition, or set truncate: ignore",
            )
        for page in self._stored.older(shelf, record.offset):
            self._shipment.send([Operation(shelf.writer, each, record.offset, None, delivery) for each in page])
        self._shipment.drain()

    def _shelf(self, delivery: Delivery) -> Shelf:
        """Return the index, asked for once for each pair of schemas."""
        record = delivery.record
        value, key = record.value or b"", record.key
        framed = value[:1] == b"\0" and (key is None or key[:1] == b"\0")
        place = (record.topic, value[:_FRAME], None if key is None else key[:_FRAME])
        if framed and (shelf := self._shelves.get(place)) is not None:
            return shelf
        shelf = self.catalog.shelf(record.topic, delivery.shape, _key_names(delivery))
        if framed:
            self._shelves[place] = shelf
        return shelf

    def _ship(self, *, holding: bool) -> None:
        entries = self._pending.take(holding=holding)
        lacking = [entry for entry in entries if entry.missing]
        if lacking:
            self._shipment.drain()
            known = self._stored.complete(lacking)
            entries = [entry for entry in entries if entry not in known]
        first = [entry for entry in entries if entry.source]
        if first:
            # Before the delete of the document that they were made of: a crash in between would leave it nowhere.
            self._send(first)
            self._shipment.drain()
        self._send([entry for entry in entries if not entry.source])

    def _send(self, entries: Sequence[Entry]) -> None:
        most, size, operations = self._config.bulk_bytes, 0, []
        for entry in entries:
            body = None if entry.document is None else document_bytes(entry.document)
            operations.append(Operation(entry.shelf.writer, entry.id, entry.version, body, entry.delivery))
            size += len(body or b"")
            if size >= most or len(operations) >= self._config.bulk_documents:
                self._shipment.send(operations)
                size, operations = 0, []
        self._shipment.send(operations)

    def _read_moves(self) -> None:
        for move, entry in self._pending.waiting.items():
            if move not in self._moves:
                self._moves[move] = self._stored.document(entry.shelf, entry.id)

    def _rejected(self, operation: Operation, error: BadRecord) -> None:
        assert operation.delivery is not None
        self._reject(operation.delivery, error)

    def _known(self, operations: Sequence[Operation]) -> None:
        """Check that what is there comes from the same log; then there is nothing to do."""
        foreign = self._stored.foreign(operations)
        if foreign is not None:
            raise Fatal(
                f"index {foreign.topic}-{foreign.partition} offset {foreign.offset}: the index holds a document with a "
                "higher offset that is older, or of another partition",
                hint="the topic was made anew, or got more partitions: build the index anew, with tailrace rebuild",
            )


def _key_names(delivery: Delivery) -> list[str] | None:
    """Return the columns of the key; of JSON without a schema, those that it has."""
    if delivery.record.key is None:
        return None
    shape, key = delivery.key_shape, delivery.key
    if shape is not None:
        return [column.name for column in shape.columns]
    return list(key) if isinstance(key, Mapping) else []

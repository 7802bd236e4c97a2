"""Kafka's sink: one task's records and positions, committed together in one transaction.

    open     init_transactions fences whoever wrote as this task before, and settles what it left in doubt;
             the position is read after that, so it is the last one for certain
    write    begin_transaction at the first record, then records with the partition that Java's producer would choose
    commit   the position is the transaction's last record; commit_transaction makes all of it visible, or none

A transaction that fails is never repaired: the writer is closed and opened again, as after a crash.
Sources: KIP-98 (transactions), KIP-618 (offsets of sources in them), KIP-890 (their defence).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, TypeAlias

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from tailrace.codec.encoded import EncodedRecords
from tailrace.errors import BadRecord, Fatal, Retriable
from tailrace.event import Record
from tailrace.log.kafka.client import Clients
from tailrace.log.kafka.fault import Fenced, code_of
from tailrace.log.kafka.offsets import OffsetKey, OffsetsTopic, Writer, offset_of, position_of
from tailrace.log.kafka.topics import Topics
from tailrace.log.size import BATCH_OVERHEAD, size_in_batch
from tailrace.log.store.partitioner import partition_of
from tailrace.position import Position

log = structlog.get_logger()

Encoded: TypeAlias = tuple[bytes | None, bytes | None, int, list[tuple[str, bytes | None]]]
"""Key, value, time and headers, as `Block.decoded` has them."""

COMMIT_SECONDS = 60.0
"""How long a commit may take before the cluster counts as away; less than the worker's watchdog waits."""
ABORT_SECONDS = 5.0
"""How long an orderly end tries to abort; if it cannot, the next `open` does."""


class KafkaWriter:
    """A `Sink[Record]`. After any error it must be opened again, which undoes what was not committed.

    `prefix` is the topic prefix of the source, part of the key of its offsets; without one, the task's name.
    """

    def __init__(self, clients: Clients, topics: Topics, prefix: str = "") -> None:
        self._clients = clients
        self._topics = topics
        self._offsets = OffsetsTopic(clients, topics)
        self._prefix = prefix
        self._session: _Session | None = None
        self._usable = False

    def open(self, task: str) -> Position | None:
        """Become the only writer of `task`, and return the position of the last commit.

        Without `exactly_once` nobody is fenced: that two workers do not run one task is then up to who starts them.
        """
        self.close()
        self._offsets.ensure()
        key = OffsetKey.of(task, self._prefix or task)
        session = _Session(self._clients, self._topics, self._offsets, task, key)
        try:
            position = session.start()
        except BaseException:
            session.close()
            raise
        self._session, self._usable = session, True
        return position

    def write(self, items: Sequence[Record]) -> None:
        """Accept records in order; raises `Retriable` while the cluster takes none."""
        session = self._begin()
        session.write(items)
        self._usable = True

    def commit(self, position: Position) -> None:
        """Make all writes so far and `position` durable together.

        Readers see them at once, or as soon as the brokers have marked each partition: Kafka answers before that.
        """
        session = self._begin()
        session.commit(position)
        self._usable = True

    def close(self) -> None:
        """Release everything without committing."""
        session, self._session = self._session, None
        if session is not None:
            session.close()
        self._usable = False

    def _begin(self) -> _Session:
        """Every call that can fail half-way starts with this, and sets `_usable` again when it did not."""
        if self._session is None:
            raise Fatal("write to kafka with a writer that is not open")
        if not self._usable:
            raise Retriable("write to kafka after a failed write", hint="open it again")
        self._usable = False
        return self._session


class _Session:
    """A task from `open` to `close`."""

    def __init__(self, clients: Clients, topics: Topics, offsets: OffsetsTopic, task: str, key: OffsetKey) -> None:
        self._clients = clients
        self._topics = topics
        self._offsets = offsets
        self._task = task
        self._key = key
        self._writer = Writer.new()
        self._exactly_once = clients.config.exactly_once
        self._id = clients.config.of_group(task)
        self._failed: list[KafkaError] = []
        self._producer = self._new_producer()
        self._in_transaction = False
        self._counts: dict[str, int] = {}
        self._small: dict[str, int] = {}
        """The most that a topic takes in a batch, where that is less than the client would send."""
        self._gathered: Counter[str] = Counter()
        self._position: Position | None = None

    def start(self) -> Position | None:
        """Fence the writer before, settle what it left, leave our name, and look up its last position."""
        if self._exactly_once:
            self._patiently(self._producer.init_transactions, f"open the transactions of {self._id}")
        self._begin_transaction()
        self._producer.produce(*self._offsets.writer_record(self._task, self._writer))
        self._finish()
        self._position = position_of(self._offsets.read(self._key))
        return self._position

    def write(self, items: Sequence[Record]) -> None:
        """Hand records over to the client, which sends them while we go on."""
        if not items:
            return
        self._begin_transaction()
        try:
            if isinstance(items, EncodedRecords):
                self._write_encoded(items)
            else:
                for record in items:
                    self._produce(record, self._partition(record))
            self._producer.poll(0)
        except KafkaException as error:
            raise self._told(error, "write to kafka") from error
        self._raise_failed()

    def commit(self, position: Position) -> None:
        """Add the position to what was written, and commit."""
        if not self._in_transaction and position == self._position:
            return
        self._begin_transaction()
        if not self._exactly_once:
            self._finish()  # the records first: a position before them would lose them in a crash
        try:
            self._producer.produce(*self._offsets.record(self._key, offset_of(position)))
        except KafkaException as error:
            raise self._told(error, "commit to kafka") from error
        self._finish()
        self._position = position

    def close(self) -> None:
        """Abort what is open, as far as that goes quickly, and let the producer go."""
        producer = self._producer
        with suppress(KafkaException):
            producer.purge()
            if self._in_transaction and self._exactly_once:
                producer.abort_transaction(ABORT_SECONDS)
        self._in_transaction = False

    def _new_producer(self) -> Producer:
        return self._clients.producer(self._id if self._exactly_once else None, {"on_delivery": self._delivered})

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None and error.code() not in {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}:
            self._failed.append(error)

    def _write_encoded(self, items: EncodedRecords) -> None:
        """Send what comes in blocks, with the least there is to do for each record."""
        for block in items.blocks:
            self._known(block.topic)
            if block.topic in self._small:
                for key, value, timestamp, headers in block.decoded():
                    self._produce(Record(block.topic, key, value, timestamp, headers), block.partition)
                continue
            rest = iter(block.decoded())
            while (refused := self._send(block.topic, block.partition, rest)) is not None:
                self._wait_for_room(block.topic, refused[0], refused[1])
                rest = chain([refused], rest)
            self._producer.poll(0)

    def _send(self, topic: str, partition: int, records: Iterator[Encoded]) -> Encoded | None:
        """Hand over records until there are none left, or no room: then return the one that was refused."""
        produce: Callable[..., None] = self._producer.produce
        encoded = None
        try:
            for encoded in records:
                key, value, timestamp, headers = encoded
                produce(topic, value, key, partition, None, None, timestamp, headers or None)
        except BufferError:
            return encoded
        return None

    def _produce(self, record: Record, partition: int) -> None:
        headers: Any = list(record.headers) or None
        if record.topic in self._small:
            self._gather(record)
        while True:
            try:
                self._producer.produce(
                    record.topic, record.value, record.key, partition, timestamp=record.timestamp_ms, headers=headers
                )
            except BufferError:
                self._wait_for_room(record.topic, record.key, record.value)
            else:
                return

    def _wait_for_room(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        """Let the client send; raises what went wrong with that, and `BadRecord` where all its room is too little."""
        if not len(self._producer):
            size = len(key or b"") + len(value or b"")
            raise BadRecord(
                f"write to {topic}: a record of {size} bytes is too large for the client",
                hint="raise queue.buffering.max.kbytes under client: of the log, and the topic's max.message.bytes; or "
                "set errors: skip or errors: dead_letter on the connector",
            )
        self._producer.poll(0.1)
        self._raise_failed()

    def _partition(self, record: Record) -> int:
        count = self._known(record.topic)
        number = partition_of(record.key, count) if record.partition is None else record.partition
        if number >= count:
            raise Fatal(f"write to {record.topic}: it has {count} partitions, no partition {number}")
        return number

    def _known(self, topic: str) -> int:
        """Return the partitions of a topic, which is created or checked at the first touch."""
        count = self._counts.get(topic)
        if count is None:
            count = self._counts[topic] = self._topics.ensure(topic)
            limit = self._topics.batch_limit(topic)
            if limit is not None and limit < self._clients.batch_bytes:
                self._small[topic] = limit - BATCH_OVERHEAD
        return count

    def _gather(self, record: Record) -> None:
        """Have all sent before a batch can become too large for its topic: the client has one size for all topics."""
        size = size_in_batch(record.key, record.value, record.headers)
        if self._gathered[record.topic] and self._gathered[record.topic] + size > self._small[record.topic]:
            self._flush()
            self._gathered.clear()
        self._gathered[record.topic] += size

    def _begin_transaction(self) -> None:
        if self._in_transaction:
            return
        if self._exactly_once:
            try:
                self._producer.begin_transaction()
            except KafkaException as error:
                raise self._told(error, "begin a transaction of kafka") from error
        self._in_transaction = True

    def _finish(self) -> None:
        """Have all that was written sent, and commit it."""
        if self._exactly_once:
            self._patiently(self._producer.commit_transaction, "commit to kafka")
        else:
            self._flush()
        self._raise_failed()
        self._in_transaction = False
        self._gathered.clear()

    def _flush(self) -> None:
        if left := self._producer.flush(COMMIT_SECONDS):
            self._raise_failed()
            raise self._told(KafkaError(KafkaError._TIMED_OUT), f"write to kafka, {left} records waiting")

    def _patiently(self, call: Callable[[float], object], operation: str) -> None:
        """Call again what may be called again, for a while."""
        deadline = time.monotonic() + COMMIT_SECONDS
        while True:
            try:
                call(max(deadline - time.monotonic(), 1.0))
            except KafkaException as error:
                if not code_of(error).retriable() or time.monotonic() >= deadline:
                    raise self._told(error, operation) from error
            else:
                return

    def _raise_failed(self) -> None:
        if self._failed:
            raise self._told(self._failed[0], "write to kafka")

    def _told(self, error: KafkaException | KafkaError, operation: str) -> Exception:
        reason = self._failed[0] if self._failed else error
        raised = self._clients.complaints.explain(reason, operation, name=self._id)
        if not isinstance(raised, Fenced):
            return raised
        other = self._offsets.writer_of(self._task)
        if other is None or other.id == self._writer.id:
            return Fenced(
                f"{operation}: the transaction of {self._task} was open for too long, or its broker forgot it",
                hint="raise transaction_timeout if this comes again and again",
            )
        return Fatal(
            f"{operation}: {other} writes as {self._task} now",
            hint=f"let one worker run {self._task}, or give the other installation another log.group",
        )

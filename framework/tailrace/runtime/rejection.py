"""What lies between the log and a destination: records become deliveries; what is refused there has its fate.

A `Rejecting` sink looks for itself, and hands back what it cannot take. For any other, each delivery is decoded here
where the sink's `errors` setting asks for more than to fail, so that what cannot be decoded never reaches it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog

from tailrace.codec.delivery import Delivery, DeliveryDecoder
from tailrace.errors import BadRecord
from tailrace.event import StoredRecord
from tailrace.position import Position
from tailrace.runtime.dead_letter import DeadLetters
from tailrace.runtime.stage import ErrorPolicy
from tailrace.sink import Sink

log = structlog.get_logger()

_LOG_EVERY = 10.0
"""Seconds between log lines: a topic of a million bad records must not write a million lines."""


class Rejections:
    """Carries out a sink's `errors` setting; counts what it lets pass. `letters` are there where they are asked for."""

    def __init__(self, sink: str, policy: ErrorPolicy, letters: DeadLetters | None = None) -> None:
        self.count = 0
        self.letters = letters
        self.at_once = False
        """Whether letters must be durable when `__call__` returns: what follows is the destination's commit."""
        self._sink = sink
        self._policy = policy
        self._logged_at = float("-inf")

    def __call__(self, delivery: Delivery, error: BadRecord) -> None:
        """Care for a delivery that is left out; raises `BadRecord` where the setting is to fail."""
        record = delivery.record
        place = f"{record.topic}-{record.partition} offset {record.offset}"
        if self._policy == "fail":
            hint = f"set errors: skip or errors: dead_letter on sink {self._sink} to go on without such records"
            raise BadRecord(f"{place}: {error.message}", hint=error.hint or hint) from error
        if self.letters is not None:
            self.letters.add(delivery, error)
            if self.at_once:
                self.letters.flush()
        self.count += 1
        if time.monotonic() - self._logged_at >= _LOG_EVERY:
            self._logged_at = time.monotonic()
            log.warning("bad record", policy=self._policy, place=place, count=self.count, error=error.message)


class DeliveryStage:
    """The stage of a sink's task. `decoding`: look into each delivery before the sink gets it."""

    def __init__(self, decoder: DeliveryDecoder, rejections: Rejections, *, decoding: bool) -> None:
        self._decoder = decoder
        self._rejections = rejections
        self._decoding = decoding

    def __call__(self, records: Sequence[StoredRecord]) -> Sequence[Delivery]:
        """Return the deliveries of `records`, in order."""
        decoder = self._decoder
        deliveries = [Delivery(record, decoder) for record in records]
        return [each for each in deliveries if self._readable(each)] if self._decoding else deliveries

    def _readable(self, delivery: Delivery) -> bool:
        try:
            _ = delivery.key, delivery.change
        except BadRecord as error:
            self._rejections(delivery, error)
            return False
        return True


class LetteredSink:
    """A sink whose dead letters are durable before its position is.

    `at_once`: what it rejects while it commits is durable when `reject` returns, since nothing tells when the position
    is going to be. Where `LetteredOffsets` keep the position, they see to it.
    """

    def __init__(self, sink: Sink[Delivery], rejections: Rejections, letters: DeadLetters, *, at_once: bool) -> None:
        self._at_once = at_once
        self._sink = sink
        self._rejections = rejections
        self._letters = letters

    def open(self, task: str) -> Position | None:
        """Open the sink, once nothing is left that it might wait for."""
        self._letters.settle()
        position = self._sink.open(task)
        self._letters.durable(position)
        return position

    def write(self, items: Sequence[Delivery]) -> None:
        """Pass `items` on."""
        self._sink.write(items)

    def commit(self, position: Position) -> None:
        """Letters first: a position that is durable before them would lose them in a crash."""
        self._letters.flush()
        self._rejections.at_once = self._at_once
        try:
            self._sink.commit(position)
        finally:
            self._rejections.at_once = False
        self._letters.durable(position)

    def close(self) -> None:
        """Close both."""
        try:
            self._sink.close()
        finally:
            self._letters.close()

"""Where partitions end, for whoever must not wait: each look tells what was heard, and asks for the next one."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from typing import TypeAlias

from confluent_kafka import OFFSET_INVALID, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import ListOffsetsResultInfo, OffsetSpec

from tailrace.log.kafka.client import PATIENCE, Clients

Place: TypeAlias = tuple[str, int]
"""Topic and partition."""

_ASK_EVERY = 1.0
"""Seconds."""


class DistantEnds:
    """The ends of committed records. The client's own thread does the asking; called by one thread."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._asked: Mapping[Place, Future[ListOffsetsResultInfo]] = {}
        self._asked_at = float("-inf")
        self._heard: dict[Place, int] = {}

    def __call__(self, places: Collection[Place]) -> Mapping[Place, int]:
        """Return the ends of those of `places` that the last answer told of, a second or so ago: none at first."""
        if self._asked and all(future.done() for future in self._asked.values()):
            self._heard = dict(self._answers())
            self._asked = {}
        if places and not self._asked and time.monotonic() - self._asked_at >= _ASK_EVERY:
            self._asked_at = time.monotonic()
            specs = {TopicPartition(*place): OffsetSpec.latest() for place in places}
            asked = self._clients.admin.list_offsets(
                specs, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=PATIENCE
            )
            self._asked = {(place.topic, place.partition): future for place, future in asked.items()}
        return self._heard

    def _answers(self) -> list[tuple[Place, int]]:
        answers = []
        for place, future in self._asked.items():
            try:
                end = future.result().offset
            except KafkaException:
                continue  # away, or gone: then its end is not known
            if end != OFFSET_INVALID:  # it has no leader
                answers.append((place, end))
        return answers

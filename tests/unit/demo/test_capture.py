"""What the demo tells of the records that it reads back."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tailrace.demo.capture import Capture
from tailrace.log.backend import StoredRecord
from tailrace.position import Position
from tailrace.source import Batch


class ListReader:
    """Hands out one list of records per poll."""

    def __init__(self, *batches: Sequence[StoredRecord]) -> None:
        self._batches = list(batches)

    def open(self, resume_from: Position | None) -> None:
        assert resume_from is None

    def poll(self, timeout: float) -> Batch[StoredRecord]:
        return Batch(self._batches.pop(0)) if self._batches else Batch()

    def ack(self, position: Position | None) -> None:
        raise AssertionError

    def close(self) -> None:
        self._batches.clear()


def record(offset: int, key: object, value: object) -> StoredRecord:
    value_bytes = None if value is None else json.dumps(value).encode()
    return StoredRecord("shop.public.orders", 0, offset, 1_000, json.dumps(key).encode(), value_bytes, [])


def capture(*batches: Sequence[StoredRecord]) -> Capture:
    followed = Capture(ListReader(*batches), "shop.public.", lambda data: None if data is None else json.loads(data))
    followed.follow()
    return followed


def test_counts_and_live_rows() -> None:
    one, two = {"id": 1}, {"id": 2}
    followed = capture(
        [record(0, one, {"op": "r", "before": None, "after": {"id": 1}})],
        [
            record(1, two, {"op": "c", "before": None, "after": {"id": 2}}),
            record(2, one, {"op": "d", "before": {"id": 1}, "after": None}),
            record(3, one, None),
        ],
    )
    topic = followed.topics["orders"]
    assert topic.words == {"snapshot": 1, "insert": 1, "delete": 1}
    assert topic.live == {json.dumps(two).encode()}
    assert (topic.next_offset, followed.events) == (4, 3)


def test_an_update_tells_what_changed_and_an_insert_what_there_is() -> None:
    before, after = {"n": None, "s": "a", "t": 1}, {"n": 2, "s": "b", "t": 1}
    followed = capture(
        [
            record(0, {"a": 1, "b": "x"}, {"op": "u", "before": before, "after": after}),
            record(1, {"a": 2}, {"op": "u", "before": None, "after": {"n": "y" * 40}}),
            record(2, {"a": 3}, {"op": "d", "before": {"n": 1}, "after": None}),
        ]
    )
    assert [(event.key, event.word, event.what) for event in followed.last] == [
        ("1,x", "update", "n null → 2  s a → b"),
        ("2", "update", f"n {'y' * 23}…"),
        ("3", "delete", ""),
    ]
    assert {event.at.timestamp() for event in followed.last} == {1.0}


def test_keeps_the_last_events_only() -> None:
    followed = capture(
        [record(n, {"id": n}, {"op": "c", "before": None, "after": {"id": n}}) for n in range(50)],
    )
    assert [event.key for event in followed.last] == [str(n) for n in range(38, 50)]

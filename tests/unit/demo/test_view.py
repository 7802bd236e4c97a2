"""What the demo shows, drawn and in lines."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from io import StringIO

from rich.console import Console

from tailrace.demo.capture import CapturedEvent, CapturedTopic
from tailrace.demo.view import Glance, LiveView, PlainView, size, view_for
from tailrace.runtime.state import TaskState

PAID = CapturedEvent(
    datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC), "orders", "update", "42", "status placed → paid  [not markup]"
)
PLACED = CapturedEvent(datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC), "orders", "insert", "43", "")
TASK = TaskState(name="shop", kind="source", type="postgres", state="RUNNING", phase="streaming", lag_bytes=1536)
TOPIC = CapturedTopic(Counter(insert=3, update=2), {b"1", b"2", b"3"}, next_offset=5, size=2_500_000)


def glance(seconds: float, *events: CapturedEvent, task: TaskState | None = TASK) -> Glance:
    return Glance(seconds, 10, 1, 25, 12.4, task, {"orders": TOPIC}, events)


def test_lines_where_there_is_no_terminal() -> None:
    output = StringIO()
    view = view_for(Console(file=output, width=200))
    assert isinstance(view, PlainView)
    view.show(glance(0.0, task=None))
    view.show(glance(0.3, PAID))
    view.show(glance(0.6, PAID, PLACED))
    view.show(glance(1.4, PAID, PLACED))
    view.show(glance(2.5, PAID, PLACED))
    lines = output.getvalue().splitlines()
    assert lines[0] == "  0.0 s   shop 10 transactions, 1 rolled back   captured 25 events, 12/s   worker starting"
    assert lines[1].endswith("worker RUNNING streaming lag 1.5 kB")
    assert lines[2] == "    03:04:05.678 update   orders 42  status placed → paid  [not markup]"
    assert [line[:7] for line in lines if line[0] != " " or line[2] != " "] == [
        "  0.0 s",
        "  0.3 s",
        "  1.4 s",
        "  2.5 s",
    ]
    assert lines.count("    03:04:06.000 insert   orders 43  ") == 1


def test_a_drawing_in_a_terminal() -> None:
    output = StringIO()
    view = view_for(Console(file=output, force_terminal=True, width=120, height=40, color_system=None))
    assert isinstance(view, LiveView)
    view.show(glance(7.0, PAID, PLACED))
    view.close()
    drawn = output.getvalue()
    for text in ("10 transactions, 1 rolled back", "lag 1.5 kB", "2.5 MB", "status placed → paid  [not markup]"):
        assert text in drawn


def test_sizes() -> None:
    assert [size(0), size(999), size(1_000), size(12_345_678), size(5 * 10**12)] == [
        "0 B", "999 B", "1.0 kB", "12.3 MB", "5000.0 GB",
    ]  # fmt: skip

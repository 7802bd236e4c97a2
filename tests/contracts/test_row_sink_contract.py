"""The contract of sinks that keep rows, held against the simplest sink there could be; and against wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tailrace.codec.delivery import Delivery
from tailrace.position import Position
from tailrace.testing.deliveries import Deliveries
from tailrace.testing.row_sink_contract import ROW_SINK_CHECKS, RowSinkStage


class Dicts:
    """Rows by key, in memory."""

    def __init__(self, rows: dict[str, dict[str, object]]) -> None:
        self.rows = rows

    def open(self, task: str) -> Position | None:
        return None

    def write(self, items: Sequence[Delivery]) -> None:
        for item in items:
            self.take(item)

    def take(self, item: Delivery) -> None:
        change = item.change
        if change is None:
            return
        if change.op == "t":
            self.rows.clear()
        elif change.op == "d":
            self.rows.pop(str(item.key), None)
        elif change.after is not None:
            sent = {name: value for name, value in change.after.items() if name not in change.unavailable}
            self.rows[str(item.key)] = self.rows.get(str(item.key), {}) | sent

    def commit(self, position: Position) -> None:
        pass

    def close(self) -> None:
        pass


class Stage:
    def __init__(self, folder: Path, make: Callable[[dict[str, dict[str, object]]], Dicts]) -> None:
        self.told = Deliveries(folder)
        self._rows: dict[str, dict[str, object]] = {}
        self._make = make

    def sink(self) -> Dicts:
        return self._make(self._rows)

    def rows(self) -> list[dict[str, object]]:
        return list(self._rows.values())


@pytest.mark.parametrize("check", ROW_SINK_CHECKS, ids=lambda check: check.__name__)
def test_rows_in_memory(check: Callable[[RowSinkStage], None], tmp_path: Path) -> None:
    check(Stage(tmp_path, Dicts))


class NoTruncate(Dicts):
    def take(self, item: Delivery) -> None:
        if item.change is None or item.change.op != "t":
            super().take(item)


class NoDelete(Dicts):
    def take(self, item: Delivery) -> None:
        if item.change is None or item.change.op != "d":
            super().take(item)


class Placeholders(Dicts):
    def take(self, item: Delivery) -> None:
        change = item.change
        if change is not None and change.after is not None:
            self.rows[str(item.key)] = dict(change.after)
        else:
            super().take(item)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (NoTruncate, {"empties_truncated_tables"}),
        (NoDelete, {"applies_changes_in_order", "moves_rows_whose_key_changes", "takes_what_it_has_had_before"}),
        (Placeholders, {"leaves_unavailable_values"}),
    ],
)
def test_mistakes_are_found(tmp_path: Path, make: type[Dicts], found: set[str]) -> None:
    failed = set()
    for check in ROW_SINK_CHECKS:
        try:
            check(Stage(tmp_path / check.__name__, make))
        except AssertionError:
            failed.add(check.__name__)
    assert failed == found

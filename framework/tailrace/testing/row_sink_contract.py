"""What every sink must do that keeps a table's rows: after any changes the destination holds what the source holds.

For sinks of `Delivery` items. `ROW_SINK_CHECKS` ask for keys, unavailable values and changing schemas; a sink that
keeps every change (an archive) is held to `SINK_CHECKS` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol, TypeAlias

from tailrace.codec.delivery import Delivery
from tailrace.schema import UNAVAILABLE, Schema
from tailrace.sink import OffsetsBeside, PlainSink, Sink
from tailrace.testing.deliveries import Deliveries
from tailrace.testing.memory import MemoryOffsets

TASK = "contract"
RowSink: TypeAlias = "Sink[Delivery] | PlainSink[Delivery]"


class RowSinkStage(Protocol):
    """The other side of a sink under test, and the deliveries that it gets."""

    told: Deliveries

    def sink(self) -> RowSink:
        """Return a new sink to the same destination, as after a restart of its process; not opened."""
        ...

    def rows(self) -> Sequence[Mapping[str, object]]:
        """Return what a reader sees of `told`'s table: the columns `id`, `name`, `note`; `colour`, once it is there.

        A column that a row does not have counts as null; text is str, numbers are int.
        """
        ...


def applies_changes_in_order(stage: RowSinkStage) -> None:
    """Inserts, updates and deletes, several of one row within a commit and in the next; tombstones do nothing."""
    told = stage.told
    _load(stage, told.read(1, name="one"), told.insert(2, name="two"), told.update(1, name="uno"), told.insert(3))
    _is_as_told(stage)
    _load(stage, told.delete(2), told.insert(2, name="zwei"), told.delete(3), told.update(1, name=None))
    _is_as_told(stage)


def moves_rows_whose_key_changes(stage: RowSinkStage) -> None:
    """A changed key leaves no row behind, also where the row was written in the same commit."""
    told = stage.told
    _load(stage, told.insert(1, name="one"), told.move(1, 10), told.insert(2, name="two"))
    _is_as_told(stage)
    _load(stage, told.move(2, 20), told.move(20, 2), told.update(2, name="again"))
    _is_as_told(stage)


def empties_truncated_tables(stage: RowSinkStage) -> None:
    """A truncate takes what is there, and what came before it in the commit; not what follows."""
    told = stage.told
    _load(stage, told.insert(1, name="one"))
    _load(stage, told.insert(2, name="two"), told.truncate(), told.insert(3, name="three"))
    _is_as_told(stage)
    _load(stage, told.truncate())
    _is_as_told(stage)


def leaves_unavailable_values(stage: RowSinkStage) -> None:
    """A value that was not sent stays as it is, written in an earlier commit or in the same one."""
    told = stage.told
    _load(stage, told.insert(1, name="one", note="kept"))
    _load(stage, told.update(1, name="uno", note=UNAVAILABLE))
    _is_as_told(stage)
    _load(
        stage,
        told.insert(2, name="two", note="kept, too"),
        told.update(2, name="due", note=UNAVAILABLE),
        told.update(1, note="other"),
        told.update(1, name="eins", note=UNAVAILABLE),
    )
    _is_as_told(stage)


def follows_the_schema(stage: RowSinkStage) -> None:
    """A column is added, another dropped, within a commit; rows of both shapes are kept."""
    told = stage.told
    _load(stage, told.insert(1, name="one"))
    told.add_column("colour", Schema("string", optional=True))
    first = told.insert(2, name="two", colour="blue")
    told.drop_column("price")
    _load(stage, first, told.update(1, colour="red"), told.insert(3, name="three"))
    _is_as_told(stage)


def takes_what_it_has_had_before(stage: RowSinkStage) -> None:
    """The same deliveries again, as after a reset of the position, end in the same rows."""
    told = stage.told
    story = [told.insert(1, name="one"), told.insert(2), told.move(2, 3), told.update(1, name="uno"), told.delete(3)]
    _load(stage, *story)
    _load(stage, *story)
    _is_as_told(stage)


def passes_over_what_is_no_change(stage: RowSinkStage) -> None:
    """Heartbeats and the like move the position, and nothing else."""
    told = stage.told
    _load(stage, told.insert(1, name="one"), told.heartbeat(), told.update(1, name="uno"))
    _is_as_told(stage)


ROW_SINK_CHECKS: Sequence[Callable[[RowSinkStage], None]] = (
    applies_changes_in_order,
    moves_rows_whose_key_changes,
    empties_truncated_tables,
    leaves_unavailable_values,
    follows_the_schema,
    takes_what_it_has_had_before,
    passes_over_what_is_no_change,
)


def _load(stage: RowSinkStage, *deliveries: Sequence[Delivery]) -> None:
    """Write and commit, through a sink of its own: every call is a restart."""
    made: Any = stage.sink()
    sink: Sink[Delivery] = made if hasattr(made, "commit") else OffsetsBeside(made, MemoryOffsets())
    with closing(sink):
        sink.open(TASK)
        for each in deliveries:
            sink.write(each)
        sink.commit(stage.told.position)


def _is_as_told(stage: RowSinkStage) -> None:
    expected = [_compared(row) for row in stage.told.rows.values()]
    assert sorted(map(_compared, stage.rows()), key=str) == sorted(expected, key=str)


def _compared(row: Mapping[str, object]) -> list[object]:
    return [row.get(name) for name in ("id", "name", "note", "colour")]

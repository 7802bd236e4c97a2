"""Rows as values to bind, for the destinations that take them so: each column's value through a function of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from tailrace.codec.registry import AvroSchema
from tailrace_replica.kind import Kind
from tailrace_replica.target import Lines, Target

Bind: TypeAlias = Callable[..., object]
"""From a value that is not null to what the destination's driver takes for it."""


class BoundWriter:
    """A `RowWriter`. `binder_of` tells what becomes of the values of a kind of column."""

    def __init__(self, target: Target, binder_of: Callable[[Kind], Bind]) -> None:
        self._binders = [binder_of(column.kind) for column in target.columns]
        self._by_name = {column.name: bind for column, bind in zip(target.columns, self._binders, strict=True)}

    def row(self, values: tuple[object, ...]) -> tuple[object, ...]:
        """Return the values of a whole row."""
        return tuple(
            [value if value is None else bind(value) for bind, value in zip(self._binders, values, strict=True)]
        )

    def lines(self, _: AvroSchema | None, *, new: bool) -> Lines | None:  # noqa: ARG002 - as in `RowWriter`
        """Return None: rows are values here."""
        return None

    def bound(self, names: Sequence[str], values: Mapping[str, object]) -> tuple[object, ...]:
        """Return the values of the named columns."""
        return tuple([None if values[name] is None else self._by_name[name](values[name]) for name in names])

"""What a delivery does to a table's documents: the one reading of changes that both kinds of index share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tailrace.codec.delivery import Delivery, Shape
from tailrace.codec.header import NEW_KEY, OLD_KEY, struct_text
from tailrace.errors import BadRecord
from tailrace.schema import Schema
from tailrace_search.document import Document, DocumentPlan, JsonChoice, PointChoice
from tailrace_search.identity import document_id, position_id

WithoutKey: TypeAlias = Literal["append", "refuse"]


@dataclass(frozen=True, slots=True)
class Put:
    """Write `document` as `id`; `missing` are fields that keep the value they have there.

    `moved_from` is the key, in Connect's text, that the row had before, where it just got another: what is missing is
    there.
    """

    id: str
    document: Document
    missing: frozenset[str] = frozenset()
    moved_from: str = ""


@dataclass(frozen=True, slots=True)
class Remove:
    """Take `id` out. `moved_as` is the key, in Connect's text, of a row that goes on under another key."""

    id: str
    moved_as: str = ""


@dataclass(frozen=True, slots=True)
class Clear:
    """Take all of the table's documents out."""


Effect: TypeAlias = Put | Remove | Clear


class Reader:
    """Reads deliveries; makes a plan for each version of each table once."""

    def __init__(
        self, *, without_key: WithoutKey, json_as: JsonChoice = "flat", points_as: PointChoice = "object"
    ) -> None:
        self._without_key = without_key
        self._json_as: JsonChoice = json_as
        self._points_as: PointChoice = points_as
        self._plans: dict[int | None, DocumentPlan] = {}

    def effect(self, delivery: Delivery) -> Effect | None:
        """Return what is to be done; None for what is no change. Raises `BadRecord` where it cannot be read."""
        change = delivery.change
        if change is None:
            return None
        if change.op == "t":
            return Clear()
        record = delivery.record
        row = change.before if change.after is None else change.after
        if record.key is None:
            return self._appended(delivery, row, change.op, change.unavailable)
        if change.op == "d":
            moved = any(name == NEW_KEY for name, _ in record.headers)
            return Remove(document_id(delivery.key), _key_text(delivery) if moved else "")
        if row is None:
            raise BadRecord(f"change of kind {change.op} has no row")
        document = self._plan(delivery.shape).document(row, change.unavailable)
        moved_from = (dict(record.headers).get(OLD_KEY) or b"") if record.headers else b""
        return Put(document_id(delivery.key), document, change.unavailable, moved_from.decode())

    def _appended(
        self, delivery: Delivery, row: Mapping[str, object] | None, op: str, unavailable: frozenset[str]
    ) -> Put:
        """Make a document of the change by itself, named after its place in the log: its table has no key."""
        record = delivery.record
        if self._without_key == "refuse":
            raise BadRecord(
                "table has no key, so its rows cannot be found again",
                hint="give it a key, leave its topic out, or set without_key: append to index each change by itself",
            )
        document = self._plan(delivery.shape).document(row or {}, unavailable)
        document["__op"] = op
        return Put(position_id(record.partition, record.offset), document)

    def _plan(self, shape: Shape | None) -> DocumentPlan:
        identity = None if shape is None else shape.id
        plan = self._plans.get(identity)
        if plan is None:
            plan = self._plans[identity] = DocumentPlan(shape, json_as=self._json_as, points_as=self._points_as)
        return plan


def _key_text(delivery: Delivery) -> str:
    """Return the key as the record of the row's new key names it, in its header."""
    shape, key = delivery.key_shape, delivery.key
    if shape is None or not isinstance(key, Mapping):
        return ""
    schema = Schema("struct", fields=shape.columns)
    return struct_text(schema, [key.get(field.name) for field in shape.columns])

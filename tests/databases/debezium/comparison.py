"""What differs between the records of Debezium and of Tailrace, field by field, and which differences are meant.

`differences` finds them all; `reason` names the entry of docs/debezium-differences.md that explains one, or None.
Left out because they cannot be equal: the connector's version, the times of processing, and for rows of the snapshot
everything that tells when and where it was taken (`ts_*`, `lsn`, `txId`, `sequence`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias

from databases.debezium.oracle import DebeziumRecord, DebeziumRun
from databases.debezium.pair import TailraceRun, value_schemas
from tailrace.event import Record

Node: TypeAlias = Mapping[str, object]

ABSENT = "(absent)"
_PROCESSING = {"ts_ms", "ts_us", "ts_ns"}
_OF_SNAPSHOT = {"version", "ts_ms", "ts_us", "ts_ns", "txId", "lsn", "sequence"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same. `place`: schema, key, before, after, source, envelope, headers, records."""

    topic: str
    place: str
    name: str
    ours: object
    theirs: object
    snapshot: bool = False
    field: str = ""
    """The Avro field of a column, as Tailrace has it, as text."""


def differences(theirs: DebeziumRun, ours: TailraceRun) -> Iterator[Difference]:
    """Yield everything that differs between two runs over the same database."""
    yield from _schema_differences(value_schemas(theirs), value_schemas(ours))
    topics = {record.topic for record in theirs.records} | {record.topic for record in ours.records}
    for topic in sorted(topics):
        their_events = [_Event.of(record, theirs) for record in theirs.of(topic)]
        our_events = [_Event.of(record, ours) for record in ours.of(topic)]
        fields = _column_fields(ours, topic)
        yield from _record_differences(topic, their_events, our_events, fields)


@dataclass(frozen=True, slots=True)
class _Event:
    key: Mapping[str, object] | None
    value: Mapping[str, object] | None
    headers: Sequence[tuple[str, bytes | None]]

    @classmethod
    def of(cls, record: DebeziumRecord | Record, run: DebeziumRun | TailraceRun) -> _Event:
        key, value = run.decode(record.key), run.decode(record.value)
        assert key is None or isinstance(key, dict)
        assert value is None or isinstance(value, dict)
        return cls(key, value, tuple(record.headers))

    @property
    def snapshot(self) -> bool:
        return self.value is not None and self.value.get("op") == "r"

    @property
    def title(self) -> str:
        return f"{self.value['op'] if self.value else 'tombstone'} {self.key}"

    def row(self, which: str) -> Mapping[str, object]:
        row = self.value[which] if self.value else None
        return row if isinstance(row, Mapping) else {}


def _record_differences(
    topic: str, theirs: Sequence[_Event], ours: Sequence[_Event], fields: Mapping[str, str]
) -> Iterator[Difference]:
    for event in theirs:
        if event.key is None and event.value is None:
            yield Difference(topic, "records", "tombstone", ABSENT, "a tombstone without a key")
    theirs = [event for event in theirs if event.key is not None or event.value is not None]
    pairs = [
        *zip_longest(_in_order([e for e in ours if e.snapshot]), _in_order([e for e in theirs if e.snapshot])),
        *zip_longest([e for e in ours if not e.snapshot], [e for e in theirs if not e.snapshot]),
    ]
    for our, their in pairs:
        if our is None or their is None:
            our_title, their_title = [ABSENT if event is None else event.title for event in (our, their)]
            yield Difference(topic, "records", "record", our_title, their_title)
        else:
            yield from _event_differences(topic, our, their, fields)


def _in_order(events: Sequence[_Event]) -> list[_Event]:
    """Sort rows of a snapshot by their first column: the order of the rows of a table is nobody's promise."""
    return sorted(events, key=lambda event: [repr(value) for value in list(event.row("after").values())[:3]])


def _event_differences(topic: str, ours: _Event, theirs: _Event, fields: Mapping[str, str]) -> Iterator[Difference]:
    snapshot = theirs.snapshot
    for name in _names(ours.key or {}, theirs.key or {}):
        our, their = (ours.key or {}).get(name, ABSENT), (theirs.key or {}).get(name, ABSENT)
        if our != their:
            yield Difference(topic, "key", name, our, their, snapshot)
    for which in ("before", "after"):
        our_row, their_row = ours.row(which), theirs.row(which)
        for name in _names(our_row, their_row):
            our, their = our_row.get(name, ABSENT), their_row.get(name, ABSENT)
            if _text(our) != _text(their):
                yield Difference(topic, which, name, our, their, snapshot, fields.get(name, ""))
    yield from _frame_differences(topic, ours, theirs)
    for name in _names(dict(ours.headers), dict(theirs.headers)):
        our, their = dict(ours.headers).get(name, ABSENT), dict(theirs.headers).get(name, ABSENT)
        if our != their:
            yield Difference(topic, "headers", name, our, their, snapshot)


def _frame_differences(topic: str, ours: _Event, theirs: _Event) -> Iterator[Difference]:
    """Compare the envelope around the rows, and its source block."""
    if ours.value is None or theirs.value is None:
        if ours.value is not theirs.value:
            yield Difference(topic, "records", "record", ours.title, theirs.title)
        return
    for name in _names(ours.value, theirs.value):
        if name in _PROCESSING or name in {"before", "after", "source"}:
            continue
        if ours.value.get(name, ABSENT) != theirs.value.get(name, ABSENT):
            yield Difference(topic, "envelope", name, ours.value.get(name, ABSENT), theirs.value.get(name, ABSENT))
    ignored = _OF_SNAPSHOT if theirs.snapshot else {"version"}
    for name in _names(ours.row("source"), theirs.row("source")):
        our, their = ours.row("source").get(name, ABSENT), theirs.row("source").get(name, ABSENT)
        if name not in ignored and our != their:
            yield Difference(topic, "source", name, our, their, theirs.snapshot)


def _schema_differences(
    theirs: Mapping[str, Sequence[object]], ours: Mapping[str, Sequence[object]]
) -> Iterator[Difference]:
    for subject in sorted(theirs.keys() | ours.keys()):
        topic = subject.removesuffix("-key").removesuffix("-value")
        pairs = zip_longest(ours.get(subject, ()), theirs.get(subject, ()))
        for version, (our, their) in enumerate(pairs, 1):
            if our == their:
                continue
            if not isinstance(our, Mapping) or not isinstance(their, Mapping):
                our_shown, their_shown = [ABSENT if s is None else list(_fields(s)) for s in (our, their)]
                yield Difference(topic, "schemas", f"{subject} {version}", our_shown, their_shown)
                continue
            yield from _node_differences(topic, subject, our, their)


def _node_differences(topic: str, subject: str, ours: Node, theirs: Node) -> Iterator[Difference]:
    our_fields, their_fields = _fields(ours), _fields(theirs)
    if [name for name in our_fields if name in their_fields] != [name for name in their_fields if name in our_fields]:
        yield Difference(topic, "schema", f"{subject} order", list(our_fields), list(their_fields))
    for name in _names(our_fields, their_fields):
        our, their = our_fields.get(name, ABSENT), their_fields.get(name, ABSENT)
        if our != their:
            yield Difference(topic, "schema", name, our, their, field=repr(our))
    if _frame(ours) != _frame(theirs):
        yield Difference(topic, "schema", subject, _frame(ours), _frame(theirs))


def _fields(schema: object) -> Mapping[str, object]:
    """Return the fields of a key, or of the row within an envelope, by name."""
    assert isinstance(schema, Mapping)
    row = schema
    if schema["name"] == "Envelope":
        row = schema["fields"][0]["type"][1]
    return {field["name"]: field for field in row["fields"]}


def _frame(schema: Node) -> Node:
    """Return a schema without the fields of its row."""
    if schema["name"] != "Envelope":
        return {**schema, "fields": []}
    envelope: list[dict[str, object]] = [*schema["fields"]]  # type: ignore[misc]  # a list, as Avro has it
    row = envelope[0]["type"][1]  # type: ignore[index]
    return {**schema, "fields": [{**envelope[0], "type": ["null", {**row, "fields": []}]}, *envelope[1:]]}


def _column_fields(run: TailraceRun, topic: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    if f"{topic}-value" in run.registry.subjects():
        for version in run.registry.versions(f"{topic}-value"):
            found |= {name: repr(field) for name, field in _fields(version.schema).items()}
    return found


def _names(ours: Mapping[str, object], theirs: Mapping[str, object]) -> list[str]:
    return list({**theirs, **ours})


def _text(value: object) -> str:
    """NaN equals itself as text."""
    return repr(value)


_ROWS = {"before", "after"}
_INFINITE_DATES = (2**31 - 1, -(2**31))
_GREGORIAN = -141_427
"""1582-10-15, where Java's older calendar classes change over from the Julian calendar."""
_SPECIAL_NUMERICS = (b"", *({"scale": scale, "value": b""} for scale in (0, 1, -1)))


def _below(value: object, limit: int) -> bool:
    return isinstance(value, int) and value < limit


def _in(*columns: str) -> Callable[[Difference], bool]:
    return lambda d: f"{d.topic.rpartition('.')[2]}.{d.name}" in columns


def _is_date(difference: Difference) -> bool:
    return difference.field.find("'io.debezium.time.Date'") >= 0 and "'array'" not in difference.field


REASONS: Mapping[str, Callable[[Difference], bool]] = {
    "Headers": lambda d: d.place == "headers" and d.name.startswith(("__debezium.context.", "__tailrace.")),
    "Null is null": lambda d: d.ours is None and d.place in _ROWS and "'connect.default'" in d.field,
    "Infinite dates": lambda d: _is_date(d) and d.ours in _INFINITE_DATES,
    "Old dates in the snapshot": lambda d: _is_date(d) and d.snapshot and _below(d.ours, _GREGORIAN),
    "Numerics that are not numbers": lambda d: "ecimal" in d.field and d.ours in _SPECIAL_NUMERICS,
    "Numerics of negative scale": _in("numbers.nneg"),
    "Midnight at the end of the day": lambda d: (d.ours, d.theirs) == ("24:00:00Z", "00:00:00Z"),
    "Columns of type name": lambda d: d.name == "nm" and not d.snapshot and d.theirs in (None, ""),
    "Columns that Debezium leaves out": lambda d: d.theirs == ABSENT and d.place in {"schema", *_ROWS},
    "Arrays": _in("arrays.b5", "arrays.b1", "arrays.v2", "arrays.d", "arrays.ts", "arrays.tz", "arrays.ttz"),
    "Infinite defaults": lambda d: d.place == "schema" and d.name in {"dinf", "tsinf"},
    "Zeros of hstore and point": lambda d: d.place == "before" and d.name in {"hs", "pt"},
    "Keys where the replica identity is another index": lambda d: d.topic.endswith(".identity_index_beside_key"),
    "Keys that can be null": lambda d: d.topic.endswith(".keyless_nullable"),
    "Tombstones without a key": lambda d: d.place == "records" and d.name == "tombstone",
    "Order of the snapshot": lambda d: d.place == "source" and d.name == "snapshot" and d.snapshot,
    "Sequence of the first transaction": lambda d: d.name == "sequence" and str(d.theirs).startswith("[null,"),
}
"""How to tell each of the meant differences; the first that fits counts."""


def reason(difference: Difference) -> str | None:
    """Return the heading in docs/debezium-differences.md that explains `difference`."""
    return next((name for name, explains in REASONS.items() if explains(difference)), None)

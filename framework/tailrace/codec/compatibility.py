"""Whether data written with one Avro schema can be read with another, and if not, at which field and why.

    BACKWARD   the new schema reads what was written with the last one (readers are upgraded first)
    FORWARD    the last schema reads what is written with the new one (writers are upgraded first)
    FULL       both;   …_TRANSITIVE   against all versions, not only the last;   NONE   anything goes

The rules are those of Avro's schema resolution: a field that only the reader has needs a default; int goes into long,
float, double, string into bytes and back; a reader's union must hold every branch of the writer's; records and enums
must have the same unqualified name or an alias, or stand alone. Names are compared as Java's SchemaCompatibility
does it, so that a Confluent registry says the same. Source: Avro specification 1.11, "Schema Resolution".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from tailrace.codec.registry import AvroSchema, Compatibility

_PROMOTED = {
    "int": {"int", "long", "float", "double"},
    "long": {"long", "float", "double"},
    "float": {"float", "double"},
    "string": {"string", "bytes"},
    "bytes": {"bytes", "string"},
}
"""What a reader may declare for each type that a writer has written."""

_NAMED = {"record", "error", "enum", "fixed"}


def problems(schema: AvroSchema, others: Sequence[AvroSchema], level: Compatibility) -> list[str]:
    """Return what is wrong with `schema` beside the versions in `others`, field by field; empty if nothing."""
    kind = level.removesuffix("_TRANSITIVE")
    found: list[str] = []
    for other in others:
        if kind in {"BACKWARD", "FULL"}:
            found += unreadable(reader=schema, writer=other)
        if kind in {"FORWARD", "FULL"}:
            found += [f"for readers of the version before: {reason}" for reason in unreadable(other, schema)]
    return list(dict.fromkeys(found))


def unreadable(reader: AvroSchema, writer: AvroSchema) -> list[str]:
    """Return why data of `writer` cannot be read with `reader`: `path: reason`; empty if it can."""
    comparison = _Comparison(_names(reader), _names(writer))
    return list(dict.fromkeys(comparison.reasons(reader, writer, "")))


@dataclass(slots=True)
class _Comparison:
    """One reader beside one writer, with their names; `seen` ends recursion in records that hold themselves."""

    reader_names: Mapping[str, Mapping[str, object]]
    writer_names: Mapping[str, Mapping[str, object]]
    seen: set[tuple[int, int]] = field(default_factory=set)

    def reasons(self, reader: AvroSchema, writer: AvroSchema, path: str) -> Iterator[str]:
        reader, writer = _resolved(reader, self.reader_names), _resolved(writer, self.writer_names)
        if _is_union(writer):
            for branch in writer:
                yield from self.reasons(reader, cast("AvroSchema", branch), path)
        elif _is_union(reader):
            yield from self._into_union(reader, writer, path)
        else:
            yield from self._one_type(reader, writer, path)

    def _into_union(self, reader: AvroSchema, writer: AvroSchema, path: str) -> Iterator[str]:
        branches = [cast("AvroSchema", branch) for branch in reader]
        attempts = [list(self._attempt(branch, writer, path)) for branch in branches]
        if all(attempts):
            same = [
                attempt
                for attempt, branch in zip(attempts, branches, strict=True)
                if _type(_resolved(branch, self.reader_names)) == _type(writer)
            ]
            yield from same[0] if same else [f"{path or 'schema'}: {_describe(writer)} no longer allowed"]

    def _attempt(self, reader: AvroSchema, writer: AvroSchema, path: str) -> Iterator[str]:
        # A branch that fails must not leave pairs behind as if they had been found readable.
        yield from _Comparison(self.reader_names, self.writer_names, set(self.seen)).reasons(reader, writer, path)

    def _one_type(self, reader: AvroSchema, writer: AvroSchema, path: str) -> Iterator[str]:
        kind, written = _type(reader), _type(writer)
        if kind != written:
            if kind not in _PROMOTED.get(written, ()):
                yield f"{path or 'schema'}: changed from {written} to {kind}"
            return
        pair = (id(reader), id(writer))
        if kind in _NAMED and pair in self.seen:
            return
        self.seen.add(pair)
        match kind:
            case "record" | "error":
                yield from self._record(
                    cast("Mapping[str, object]", reader), cast("Mapping[str, object]", writer), path
                )
            case "array":
                yield from self.reasons(_member(reader, "items"), _member(writer, "items"), f"{path}[]")
            case "map":
                yield from self.reasons(_member(reader, "values"), _member(writer, "values"), f"{path}{{}}")
            case "enum":
                yield from _enum(reader, writer, path)
            case "fixed":
                yield from _fixed(reader, writer, path)
            case _:
                yield from _decimal(reader, writer, path)

    def _record(self, reader: Mapping[str, object], writer: Mapping[str, object], path: str) -> Iterator[str]:
        yield from _name(reader, writer, path)
        written = {str(each["name"]): each for each in _fields(writer)}
        for each in _fields(reader):
            name = str(each["name"])
            inner = f"{path}.{name}" if path else name
            aliases = cast("Sequence[str]", each.get("aliases", ()))
            match_name = next((alias for alias in (name, *aliases) if alias in written), None)
            if match_name is not None:
                yield from self.reasons(_member(each, "type"), _member(written[match_name], "type"), inner)
            elif "default" not in each:
                yield f"{inner}: added without a default"


def _name(reader: Mapping[str, object], writer: Mapping[str, object], path: str) -> Iterator[str]:
    old, new = _unqualified(writer), _unqualified(reader)
    aliases = {str(alias).rpartition(".")[2] for alias in cast("Sequence[str]", reader.get("aliases", ()))}
    if old != new and old not in aliases:
        yield f"{path or 'schema'}: renamed from {old} to {new}"


def _enum(reader: AvroSchema, writer: AvroSchema, path: str) -> Iterator[str]:
    new, old = cast("Mapping[str, object]", reader), cast("Mapping[str, object]", writer)
    yield from _name(new, old, path)
    missing = [symbol for symbol in _symbols(old) if symbol not in _symbols(new)]
    if missing and "default" not in new:
        yield f"{path or 'schema'}: enum symbol {', '.join(missing)} removed"


def _fixed(reader: AvroSchema, writer: AvroSchema, path: str) -> Iterator[str]:
    new, old = cast("Mapping[str, object]", reader), cast("Mapping[str, object]", writer)
    yield from _name(new, old, path)
    if new["size"] != old["size"]:
        yield f"{path or 'schema'}: size changed from {old['size']} to {new['size']}"


def _decimal(reader: AvroSchema, writer: AvroSchema, path: str) -> Iterator[str]:
    """Refuse another scale: Avro's resolution lets it pass, and the same digits then mean another number."""
    new, old = _scale(reader), _scale(writer)
    if new is not None and old is not None and new != old:
        yield f"{path or 'schema'}: decimal scale changed from {old} to {new}"


def _scale(schema: AvroSchema) -> int | None:
    if isinstance(schema, Mapping) and schema.get("logicalType") == "decimal":
        return cast("int", schema.get("scale", 0))
    return None


def _names(schema: AvroSchema) -> dict[str, Mapping[str, object]]:
    names: dict[str, Mapping[str, object]] = {}
    _collect(schema, "", names)
    return names


def _collect(schema: AvroSchema, namespace: str, names: dict[str, Mapping[str, object]]) -> None:
    if isinstance(schema, str):
        return
    if not isinstance(schema, Mapping):
        for branch in schema:
            _collect(cast("AvroSchema", branch), namespace, names)
        return
    if schema.get("type") in _NAMED:
        name = str(schema["name"])
        space = name.rpartition(".")[0] if "." in name else str(schema.get("namespace", namespace))
        full = name if "." in name or not space else f"{space}.{name}"
        names[full] = schema
        names.setdefault(full.rpartition(".")[2], schema)  # a reference within the namespace has no dots
        namespace = space
    for each in _fields(schema):
        _collect(_member(each, "type"), namespace, names)
    for key in ("items", "values"):
        if key in schema:
            _collect(_member(schema, key), namespace, names)
    if isinstance(schema.get("type"), Mapping | list):
        _collect(_member(schema, "type"), namespace, names)


def _resolved(schema: AvroSchema, names: Mapping[str, Mapping[str, object]]) -> AvroSchema:
    """Return the definition behind a reference, and the inner schema of `{"type": {…}}`."""
    while True:
        if isinstance(schema, str) and schema in names:
            return names[schema]
        if not isinstance(schema, Mapping):
            return schema
        inner = schema["type"]
        if isinstance(inner, Mapping | list) or (isinstance(inner, str) and inner in names):
            schema = cast("AvroSchema", inner)
            continue
        return schema


def _is_union(schema: AvroSchema) -> bool:
    return isinstance(schema, Sequence) and not isinstance(schema, str)


def _type(schema: AvroSchema) -> str:
    if isinstance(schema, str):
        return schema
    return str(schema["type"]) if isinstance(schema, Mapping) else "union"


def _describe(schema: AvroSchema) -> str:
    kind = _type(schema)
    return "null is" if kind == "null" else f"type {kind} is"


def _member(schema: object, key: str) -> AvroSchema:
    return cast("AvroSchema", cast("Mapping[str, object]", schema)[key])


def _fields(schema: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    return cast("Sequence[Mapping[str, object]]", schema.get("fields", ()))


def _symbols(schema: Mapping[str, object]) -> Sequence[str]:
    return cast("Sequence[str]", schema["symbols"])


def _unqualified(schema: Mapping[str, object]) -> str:
    return str(schema["name"]).rpartition(".")[2]

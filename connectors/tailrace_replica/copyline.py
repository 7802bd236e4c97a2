"""Which tables the compiled core can write as lines, or tuples, of COPY by itself, and what it has to know for that.

Tuples cost the server a third less to read, but say nothing of what they are: what a column of another type makes of
their octets is garbage. They are for tables that nobody else made.
"""

from __future__ import annotations

from tailrace.codec.avro_reader import read_plan
from tailrace.codec.registry import AvroSchema
from tailrace.core.copyline import LineWriter
from tailrace.core.plan import LineForm, LinePlan, ReadKind, ReadPlan
from tailrace_replica.kind import Kind, KindName
from tailrace_replica.target import Lines, Target

_OCTETS: dict[KindName, int] = {"int16": 2, "int32": 4, "int64": 8}
_FORMS: dict[KindName, tuple[LineForm, ReadKind]] = {
    "int16": ("integer", "integer"),
    "int32": ("integer", "integer"),
    "int64": ("integer", "integer"),
    "float32": ("float", "float"),
    "float64": ("double", "double"),
    "boolean": ("boolean", "boolean"),
    "text": ("text", "text"),
    "json": ("text", "text"),
    "uuid": ("uuid", "text"),
    "timetz": ("plain", "text"),
    "bytes": ("bytes", "bytes"),
    "decimal": ("decimal", "decimal"),
    "date": ("date", "integer"),
    "time": ("time", "integer"),
    "timestamp": ("timestamp", "integer"),
    "timestamptz": ("zoned", "text"),
}


def is_tuple(row: bytes) -> bool:
    """Whether this is a tuple: its number of columns, at most 255 in 16 bits, begins with a zero, and no line does."""
    return row[0] == 0


def line_writer(target: Target, schema: AvroSchema | None, *, binary: bool = False) -> Lines | None:
    """Return what makes lines for `target` of envelopes of `schema`, or tuples; None where that is left to Python."""
    envelope = None if schema is None else read_plan(schema)
    if envelope is None or envelope.kind != "record" or not {"after", "op"} <= set(envelope.names):
        return None
    after = envelope.names.index("after")
    row = envelope.members[after].members[:1]
    if envelope.members[after].kind != "optional" or row[0].names != tuple([each.name for each in target.columns]):
        return None
    forms = [_form(column.kind, plan) for column, plan in zip(target.columns, row[0].members, strict=True)]
    if binary and any(form is not None and form[0] == "plain" for form in forms):
        return None
    known = tuple([form for form in forms if form is not None])
    if len(known) < len(forms):
        return None
    try:
        return LineWriter(LinePlan(envelope, after, envelope.names.index("op"), known, binary)).line
    except ValueError:  # more columns than it takes, or the op before the row
        return None


def _form(kind: Kind, plan: ReadPlan) -> tuple[LineForm, int] | None:
    form, expected = _FORMS.get(kind.name, (None, None))
    inner = plan.members[0] if plan.kind == "optional" else plan
    if form is None or inner.kind != expected:
        return None
    return form, inner.parameter if form == "decimal" else _OCTETS.get(kind.name, kind.scale)

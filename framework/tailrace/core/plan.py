"""What the core has to know of a table: plain values, made once for each version of it by `codec.compiled`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Layout: TypeAlias = Literal["tuple", "copy", "binary_tuple", "binary_copy", "binlog", "text_row"]
"""How a row lies in its bytes: pgoutput's TupleData or a row of COPY, its values as text or in binary; a row of MySQL's
binlog, or of a result set of its text protocol."""

Conversion: TypeAlias = Literal[
    "",
    "boolean",
    "integer",
    "float",
    "double",
    "text",
    "bytea",
    "decimal",
    "variable_decimal",
    "date",
    "time_millis",
    "time_micros",
    "timestamp_millis",
    "timestamp_micros",
    "zoned_timestamp",
    "truncated",
    "constant",
    "oid",
    "uuid",
    "jsonb",
    "unsigned",
    "year",
    "bit",
    "bits",
]
"""How a cell becomes Avro; "" leaves it to Python. "constant": by `placeholder`. See `cell.pyx`, for
text, `binary.pyx`, for Postgres' binary, and `binlog.pyx`, for MySQL: the first has none of the last seven."""


@dataclass(frozen=True, slots=True)
class CellPlan:
    """How the cells of one column are written.

    `parameter` is what `conversion` needs to know: bits, digits, characters or a scale. `branch` is the octet before a
    value of a nullable column, None elsewhere. `null` and `placeholder` are the whole pieces for a null and for a value
    that was not sent. `write` makes the piece of any cell, or raises what is wrong with it. `name` is the field's, as
    JSON.
    """

    conversion: Conversion
    parameter: int
    branch: int | None
    required: bool
    null: bytes
    placeholder: bytes
    write: Callable[[bytes], bytes]
    name: bytes


@dataclass(frozen=True, slots=True)
class At:
    """Stands in a steady source block for `Change.at`: the number or, with `before`, a text around it.

    Without text the number can be a part of `at` alone: the bits of `mask`, once it is shifted right by `shift`.
    """

    before: str | None = None
    after: str = ""
    shift: int = 0
    mask: int = -1

    def filled(self, at: int) -> int | str:
        """Return what stands here for a change with this `at`."""
        return at >> self.shift & self.mask if self.before is None else f"{self.before}{at}{self.after}"


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """How one field of the source block is written, from a Python value.

    `kind` says what the core can write by itself: "string", "long", or "" for nothing. `branch` as above. `write` makes
    the piece of any value, null included, or raises what is wrong with it.
    """

    kind: Literal["", "string", "long"]
    branch: int | None
    write: Callable[[object], bytes]


ReadKind: TypeAlias = Literal[
    "null",
    "boolean",
    "integer",
    "float",
    "double",
    "bytes",
    "text",
    "decimal",
    "variable_decimal",
    "record",
    "array",
    "map",
    "optional",
]
"""What lies in Avro's bytes; see `avro.pyx`."""


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """How Avro binary becomes a value.

    `members` are the plans of a record's fields, named by `names`; of the items of an array or map; of the value that
    is optional. `parameter` is a decimal's scale; 1 where a variable decimal has its value first; and where an
    optional one's union has null. `convert` makes the decimals that the core leaves to Python.
    """

    kind: ReadKind
    members: tuple[ReadPlan, ...] = ()
    names: tuple[str, ...] = ()
    parameter: int = 0
    convert: Callable[..., object] | None = None


ColumnKind: TypeAlias = Literal[
    "null",
    "boolean",
    "integer",
    "real",
    "bytes",
    "text",
    "decimal",
    "variable_decimal",
    "uuid",
    "instant",
    "record",
    "list",
    "map",
    "change",
]
"""What lies in Avro's bytes, and in which of Arrow's columns it goes; see `columnar.pyx`."""


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """How Avro binary becomes a column.

    `null_branch` is the place of null in the union that the value is, -1 where it is none. `nullable` allows nulls in
    the column all the same, and `skipped` leaves the column out. `width` is how many octets each value takes in the
    column, 0 for those that differ. `parameter` is a decimal's most digits; how a variable decimal is written (0: scale
    first; 1: value first; -1-n: the value alone, its scale is n); and, of a change, the place of `after`. `members` are
    the fields of a record, the items of a list, keys and values of a map; those of a change begin with `before`.
    `convert` makes the text of decimals that the core leaves to Python, from scale and octets.
    """

    kind: ColumnKind
    members: tuple[ColumnPlan, ...] = ()
    null_branch: int = -1
    nullable: bool = False
    skipped: bool = False
    width: int = 0
    parameter: int = 0
    convert: Callable[[int, bytes], bytes] | None = None


Taken: TypeAlias = "tuple[int, int, bytes | None, bytes, bytes, list[Taken]]"
"""A column as the core gives it: length, nulls, validity (a bit for each value; None where all are valid), values,
offsets (numbers of 32 bits), and the columns of its members."""


LineForm: TypeAlias = Literal[
    "integer", "boolean", "float", "double", "bytes", "text", "decimal", "date", "time", "timestamp", "zoned", "uuid",
    "plain",
]  # fmt: skip
"""How a column's value stands in COPY; see `linecell.pyx` and `tuplecell.pyx`, which does not have "plain"."""


@dataclass(frozen=True, slots=True)
class LinePlan:
    """How the row after a change becomes a line: the envelope's plan, and at which places `after` and `op` are.

    `forms` has for each column of the row its form, and the scale of a decimal, the units of a second, or the octets of
    an integer. `binary` asks for tuples.
    """

    envelope: ReadPlan
    after: int
    op: int
    forms: tuple[tuple[LineForm, int], ...]
    binary: bool = False

"""Column definitions in DDL: a type with its synonyms, and attributes.

Strict: an attribute that is not in the tables below is an error, for it may change what the column holds.
Source: MySQL manual, chapter 13 (data types), 15.1.20 (CREATE TABLE); MariaDB: CREATE TABLE, Data Types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tailrace_mysql.clause import read_default, skip_check, skip_references
from tailrace_mysql.collation import charset_name, charset_of_collation, longest
from tailrace_mysql.declaration import DeclaredColumn
from tailrace_mysql.statement import Words

CHARACTER_TYPES = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"})
TEXTS = ("tinytext", "text", "mediumtext", "longtext")
BLOBS = ("tinyblob", "blob", "mediumblob", "longblob")
_LARGEST = (0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF)
"""Octets that texts and blobs of the four sizes can hold."""

_BINARY_OF: Mapping[str, str] = {"char": "binary", "varchar": "varbinary", **dict(zip(TEXTS, BLOBS, strict=True))}
"""What a character type is in the character set `binary`."""

_SYNONYMS: Mapping[str, str] = {
    "INTEGER": "int", "INT1": "tinyint", "INT2": "smallint", "INT3": "mediumint", "MIDDLEINT": "mediumint",
    "INT4": "int", "INT8": "bigint", "DEC": "decimal", "NUMERIC": "decimal", "FIXED": "decimal", "FLOAT4": "float",
    "FLOAT8": "double", "REAL": "double", "CHARACTER": "char", "VARCHARACTER": "varchar", "NCHAR": "char",
    "NVARCHAR": "varchar", "GEOMCOLLECTION": "geomcollection", "GEOMETRYCOLLECTION": "geomcollection",
    "NUMBER": "decimal", "CLOB": "longtext", "RAW": "varbinary", "VARCHAR2": "varchar",
}  # fmt: skip
_TYPES = frozenset({
    "tinyint", "smallint", "mediumint", "int", "bigint", "float", "double", "decimal", "bit", "year", "date", "time",
    "datetime", "timestamp", "char", "varchar", "binary", "varbinary", "enum", "set", "json", "vector",
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geomcollection",
    "uuid", "inet4", "inet6", *TEXTS, *BLOBS,
})  # fmt: skip
_NATIONAL = frozenset({"NATIONAL", "NCHAR", "NVARCHAR"})


@dataclass(frozen=True, slots=True)
class Definition:
    """A column as it is written: `column` still lacks what it takes from its table, which `settle` gives it."""

    column: DeclaredColumn
    primary: bool = False
    unique: bool = False
    wants_binary: bool = False
    """BINARY was written after a character type: the collation is its character set's binary one."""
    is_row_end: bool = False


@dataclass(slots=True)
class _Draft:
    words: Words
    traits: dict[str, Any] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)


def read_definition(words: Words, name: str, *, mariadb: bool) -> Definition:
    """Read a type and the attributes behind it, up to FIRST, AFTER, a comma or the end; raises `UnreadDdl`."""
    draft = _Draft(words)
    _read_type(draft, mariadb=mariadb)
    while not (words.ended() or words.sees(",") or words.sees(")") or words.sees("FIRST") or words.sees("AFTER")):
        _read_attribute(draft)
    return Definition(DeclaredColumn(name=name, **draft.traits), **draft.flags)


def settle(definition: Definition, charset: str, collation: str | None) -> DeclaredColumn:
    """Return the column in a table with this default character set."""
    column = definition.column
    if column.type in CHARACTER_TYPES:
        column = _with_charset(column, charset, collation)
        if definition.wants_binary and column.collation is None:
            column = replace(column, collation=f"{column.charset}_bin")
    if column.charset == "binary":
        column = _as_binary(column)
    if column.length is not None and column.type in {"text", "blob"}:
        octets = column.length * longest(column.charset or "binary")
        sizes = TEXTS if column.type == "text" else BLOBS
        fitting = next((size for size, most in zip(sizes, _LARGEST, strict=True) if octets <= most), sizes[-1])
        column = replace(column, type=fitting, length=None)
    if definition.primary and column.nullable:
        column = replace(column, nullable=False)
    return column


def in_charset(column: DeclaredColumn, charset: str, collation: str | None) -> DeclaredColumn:
    """Return the column after CONVERT TO CHARACTER SET: texts grow where their octets might not suffice."""
    if column.type not in CHARACTER_TYPES:
        return column
    grown = column.type
    if grown in TEXTS and longest(charset) > longest(column.charset or "binary"):
        grown = TEXTS[min(TEXTS.index(grown) + 1, len(TEXTS) - 1)]
    changed = replace(column, type=grown, charset=charset, collation=collation)
    return _as_binary(changed) if charset == "binary" else changed


def _as_binary(column: DeclaredColumn) -> DeclaredColumn:
    if column.type not in _BINARY_OF:
        return column
    return replace(column, type=_BINARY_OF[column.type], charset=None, collation=None)


def _with_charset(column: DeclaredColumn, charset: str, collation: str | None) -> DeclaredColumn:
    if column.charset is None and column.collation is None:
        return replace(column, charset=charset, collation=collation)
    if column.charset is None and column.collation is not None:
        return replace(column, charset=charset_of_collation(column.collation) or charset)
    return column


def _read_type(draft: _Draft, *, mariadb: bool) -> None:
    words, traits = draft.words, draft.traits
    word = words.take().upper
    if word in _NATIONAL:
        traits["charset"] = "utf8mb3"
        word = words.take().upper if word == "NATIONAL" else word
    if word in _SPECIAL:
        _SPECIAL[word](draft)
        return
    name = _SYNONYMS.get(word, word.lower())
    if name not in _TYPES:
        raise words.unread("a type before")
    if name in {"char", "binary"} and words.accept_any("VARYING", "LARGE OBJECT"):
        name = "varchar" if name == "char" else "varbinary"
    words.accept("VARYING")
    words.accept("PRECISION")
    traits["type"] = name
    _read_size(draft)
    _mend_type(traits, mariadb=mariadb)


def _read_size(draft: _Draft) -> None:
    """Read what stands in parentheses behind a type: sizes, or the members of an enum or set."""
    words, traits = draft.words, draft.traits
    if not words.accept("("):
        return
    if traits["type"] in {"enum", "set"}:
        traits["members"] = _members(words)
        return
    traits["length"] = words.number()
    if words.accept(","):
        traits["scale"] = words.number()
    words.expect(")")


def _members(words: Words) -> tuple[str, ...]:
    members = []
    while not words.accept(")"):
        if words.next.upper.startswith("_"):
            words.take()
        # The server cuts blanks at the end of members, in both types.
        members.append(words.string().rstrip(" "))
        words.accept(",")
    return tuple(members)


def _mend_type(traits: dict[str, Any], *, mariadb: bool) -> None:
    """Fill in what the server does: sizes not given, floats by their precision, MariaDB's JSON."""
    name, length = traits["type"], traits.get("length")
    if name == "float" and length is not None and "scale" not in traits:
        traits["type"] = "float" if length <= 24 else "double"
        del traits["length"]
    elif name == "decimal":
        traits["length"] = 10 if length is None else length or 10
        traits.setdefault("scale", 0)
    elif name in {"char", "binary", "bit"} and length is None:
        traits["length"] = 1
    elif name == "vector" and length is None:
        traits["length"] = 2048
    elif name in {"time", "datetime", "timestamp"}:
        traits["length"] = length or 0
    elif name == "year":
        traits["length"] = 4
    elif name == "json" and mariadb:
        traits |= {"type": "longtext", "charset": "utf8mb4", "collation": "utf8mb4_bin"}


def _boolean(draft: _Draft) -> None:
    draft.traits |= {"type": "tinyint", "length": 1}


def _serial(draft: _Draft) -> None:
    draft.traits |= {"type": "bigint", "unsigned": True, "nullable": False, "auto_increment": True}
    draft.flags["unique"] = True


def _long(draft: _Draft) -> None:
    if draft.words.accept("VARBINARY"):
        draft.traits["type"] = "mediumblob"
        return
    draft.traits["type"] = "mediumtext"
    if draft.words.accept_any("VARCHAR", "VARCHARACTER"):
        return
    if draft.words.accept_any("CHAR", "CHARACTER"):
        draft.words.accept("VARYING")


_SPECIAL: Mapping[str, Callable[[_Draft], None]] = {
    "BOOL": _boolean, "BOOLEAN": _boolean, "SERIAL": _serial, "LONG": _long,
}  # fmt: skip


def _read_attribute(draft: _Draft) -> None:
    words = draft.words
    words.accept("GENERATED", "ALWAYS")
    for keywords, read in _ATTRIBUTES:
        if words.accept(*keywords):
            read(draft)
            return
    raise words.unread("a column's attribute")


def _sets(**traits: object) -> Callable[[_Draft], None]:
    def read(draft: _Draft) -> None:
        draft.traits |= traits

    return read


def _flags(name: str) -> Callable[[_Draft], None]:
    def read(draft: _Draft) -> None:
        draft.flags[name] = True
        draft.words.accept("KEY")

    return read


def _skips(*, value: bool = False) -> Callable[[_Draft], None]:
    def read(draft: _Draft) -> None:
        equals = draft.words.accept("=")
        if value or equals:
            draft.words.skip_one()

    return read


def _charset(draft: _Draft) -> None:
    draft.words.accept("=")
    word = draft.words.take()
    draft.traits["charset"] = charset_name(word.text)


def _collation(draft: _Draft) -> None:
    draft.words.accept("=")
    draft.traits["collation"] = draft.words.take().text.lower()


def _comment(draft: _Draft) -> None:
    draft.words.accept("=")
    draft.traits["comment"] = draft.words.string()


def _srid(draft: _Draft) -> None:
    draft.words.accept("=")
    draft.traits["srid"] = draft.words.number()


def _generated(draft: _Draft) -> None:
    if draft.words.accept("ROW", "START"):
        draft.traits |= {"generated": "stored", "nullable": False}
        return
    if draft.words.accept("ROW", "END"):
        draft.traits |= {"generated": "stored", "nullable": False}
        draft.flags["is_row_end"] = True
        return
    draft.words.parenthesised()
    kind = draft.words.accept_any("VIRTUAL", "STORED", "PERSISTENT") or "VIRTUAL"
    draft.traits["generated"] = "virtual" if kind == "VIRTUAL" else "stored"


def _references(draft: _Draft) -> None:
    skip_references(draft.words)


def _check(draft: _Draft) -> None:
    skip_check(draft.words)


def _constraint(draft: _Draft) -> None:
    if not draft.words.accept("CHECK"):
        draft.words.name()
        draft.words.expect("CHECK")
    skip_check(draft.words)


def _default(draft: _Draft) -> None:
    default = read_default(draft.words)
    if default is not None:
        draft.traits["default"] = default


def _on_update(draft: _Draft) -> None:
    read_default(draft.words)


def _unique(draft: _Draft) -> None:
    draft.flags["unique"] = True
    draft.words.accept("KEY")


def _binary(draft: _Draft) -> None:
    draft.flags["wants_binary"] = True


def _byte(draft: _Draft) -> None:
    draft.traits["charset"] = "binary"


def _serial_default(draft: _Draft) -> None:
    draft.traits |= {"nullable": False, "auto_increment": True}
    draft.flags["unique"] = True


_ATTRIBUTES: tuple[tuple[tuple[str, ...], Callable[[_Draft], None]], ...] = (
    (("NOT", "NULL"), _sets(nullable=False)),
    (("NULL",), _sets()),
    (("NOT", "SECONDARY"), _sets()),
    (("DEFAULT",), _default),
    (("ON", "UPDATE"), _on_update),
    (("UNSIGNED",), _sets(unsigned=True)),
    (("SIGNED",), _sets()),
    (("ZEROFILL",), _sets(zerofill=True, unsigned=True)),
    (("AUTO_INCREMENT",), _sets(auto_increment=True, nullable=False)),
    (("CHARACTER", "SET"), _charset),
    (("CHAR", "SET"), _charset),
    (("CHARSET",), _charset),
    (("COLLATE",), _collation),
    (("ASCII",), _sets(charset="latin1")),
    (("UNICODE",), _sets(charset="ucs2")),
    (("BYTE",), _byte),
    (("BINARY",), _binary),
    (("COMMENT",), _comment),
    (("PRIMARY",), _flags("primary")),
    (("KEY",), _flags("primary")),
    (("UNIQUE",), _unique),
    (("AS",), _generated),
    (("VISIBLE",), _sets(invisible=False)),
    (("INVISIBLE",), _sets(invisible=True)),
    (("SRID",), _srid),
    (("REF_SYSTEM_ID",), _srid),
    (("REFERENCES",), _references),
    (("CHECK",), _check),
    (("CONSTRAINT",), _constraint),
    (("COLUMN_FORMAT",), _skips(value=True)),
    (("STORAGE",), _skips(value=True)),
    (("ENGINE_ATTRIBUTE",), _skips(value=True)),
    (("SECONDARY_ENGINE_ATTRIBUTE",), _skips(value=True)),
    (("COMPRESSED",), _skips()),
    (("WITH", "SYSTEM", "VERSIONING"), _sets()),
    (("WITHOUT", "SYSTEM", "VERSIONING"), _sets()),
    (("SERIAL", "DEFAULT", "VALUE"), _serial_default),
)

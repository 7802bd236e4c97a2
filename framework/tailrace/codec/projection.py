"""What is told of a table: columns that are left out, and columns in disguise, as `tailrace.columns` sets it.

    mask      a number of asterisks, whatever the text
    hash      hexadecimal digits of the salt and the text, shortened to the column's length
    truncate  the first characters of the text

A projected table is a `Table` like any other. A column in disguise has a `decode` that gives the disguise, so whoever
looks at a row (transforms, encoders, dead letters) sees no other value, and nobody else has to know of it. A null stays
null. A value that was not sent stays unsent; where it would be masked, the mask is its placeholder too.

Only texts are disguised, and a disguise is a plain text: it has no semantic name, but Debezium's parameter `masked` or
`truncateLength`. Keys stay keys: their columns cannot be left out, masked or truncated, and hashed only in full length.
It says which columns those are when a table's shape is first seen, and not when the first row comes.
Source: Debezium's options column.include.list, column.exclude.list, column.mask.with.n.chars,
column.mask.hash.v2.algorithm.with.salt.s and column.truncate.to.n.chars.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TypeAlias

from tailrace.columns import MASK_CHARACTER, ColumnRules, HashRule
from tailrace.errors import Fatal
from tailrace.event import Column, NarrowFormat, Table
from tailrace.schema import Schema, Value

Disguise: TypeAlias = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class _Rule:
    """What is to be done with one column, and the setting that says so."""

    setting: str
    pattern: str

    def __str__(self) -> str:
        return f"columns.{self.setting} {self.pattern}"


class Projection:
    """Projects tables by a connector's `columns` block."""

    def __init__(self, rules: ColumnRules) -> None:
        self._rules = rules

    @property
    def is_whole(self) -> bool:
        """Whether every column is told as it is."""
        return not self._rules.patterns()

    def unmatched(self, columns: Iterable[str]) -> list[str]:
        """Return the globs that match none of `columns` (`schema.table.column`), each with its setting."""
        names = list(columns)
        return [
            f"columns.{setting} {pattern}"
            for setting, pattern in self._rules.patterns()
            if not any(fnmatchcase(name, pattern) for name in names)
        ]

    def keeps(self, table: str, column: str, *, key: bool) -> bool:
        """Whether a column is told, a key's column or another one; raises `Fatal` where a key would be left out."""
        name = f"{table}.{column}"
        out = _first(name, self._rules.exclude)
        if out is not None and key:
            raise Fatal(
                f"columns.exclude {out} would leave {name} out, which belongs to the key",
                hint="let the pattern spare the key's columns, or set columns.hash for it",
            )
        included = key or not self._rules.include or _first(name, self._rules.include) is not None
        return included and out is None

    def table(self, table: Table) -> Table:
        """Return what is told of `table`, itself where that is all; raises `Fatal` where a rule cannot be followed."""
        if self.is_whole:
            return table
        kept = [
            place
            for place, column in enumerate(table.columns)
            if self.keeps(table.id, column.name, key=place in table.key)
        ]
        columns = tuple(
            self._told(table.id, table.columns[place], key=place in table.key) for place in kept
        )  # fmt: skip
        narrow = len(kept) < len(table.columns)
        return replace(
            table,
            columns=columns,
            key=tuple(kept.index(place) for place in table.key),
            format=NarrowFormat(table.format, tuple(kept), len(table.columns)) if narrow else table.format,
        )

    def _told(self, table: str, column: Column, *, key: bool) -> Column:
        """Return a column as it is told."""
        rule = self._rule(f"{table}.{column.name}")
        if rule is None:
            return column
        if column.schema.type != "string":
            kind = column.schema.name or column.schema.type
            raise Fatal(
                f"{rule} cannot disguise {table}.{column.name}: it is no text but {kind}",
                hint="leave the column out with columns.exclude, or let the pattern spare it",
            )
        if key:
            _check_key(rule, self._rules, f"{table}.{column.name}", column)
        if rule.setting == "mask":
            return _masked(column, MASK_CHARACTER * self._rules.mask[rule.pattern])
        if rule.setting == "hash":
            return _hashed(column, self._rules.hash[rule.pattern])
        return _truncated(column, self._rules.truncate[rule.pattern])

    def _rule(self, name: str) -> _Rule | None:
        found = [
            _Rule(setting, pattern)
            for setting, pattern in self._rules.patterns()
            if setting in {"mask", "hash", "truncate"} and fnmatchcase(name, pattern)
        ]
        if len(found) > 1:
            raise Fatal(f"{found[0]} and {found[1]} both match {name}", hint="let one pattern at most match a column")
        return found[0] if found else None


def _first(name: str, patterns: Sequence[str]) -> str | None:
    return next((pattern for pattern in patterns if fnmatchcase(name, pattern)), None)


def _check_key(rule: _Rule, rules: ColumnRules, name: str, column: Column) -> None:
    """Raise `Fatal` where rows with different keys could get the same one."""
    if rule.setting != "hash":
        raise Fatal(
            f"{rule} would give different rows the same key: {name} belongs to it",
            hint="set columns.hash for it, which keeps keys apart",
        )
    digits = len(_digest(rules.hash[rule.pattern])(""))
    if column.length is not None and column.length < digits:
        raise Fatal(
            f"{rule} cannot hash {name}, which belongs to the key: {digits} digits do not fit its {column.length} "
            "characters",
            hint="choose a shorter algorithm, or widen the column",
        )


def _masked(column: Column, mask: str) -> Column:
    # Not even looked at: the core has no need to know what was there.
    told = _disguised(column, lambda _: mask, {"masked": "true"})
    return replace(told, decode=lambda _: mask, placeholder=mask, form="constant")


def _hashed(column: Column, rule: HashRule) -> Column:
    digest = _digest(rule)
    return _disguised(column, lambda text: digest(text)[: column.length], {"masked": "true"})


def _truncated(column: Column, most: int) -> Column:
    if column.length is not None and column.length <= most:
        return column  # as Debezium: nothing to say of it
    told = _disguised(column, lambda text: text[:most], {"truncateLength": str(most)})
    return replace(told, form=f"truncated:{most}") if column.form == "text" else told


def _disguised(column: Column, disguise: Disguise, parameters: dict[str, str]) -> Column:
    decode, default = column.decode, column.schema.default

    def disguising(cell: bytes) -> Value:
        return disguise(str(decode(cell)))

    schema = Schema(
        "string",
        parameters=parameters,
        optional=column.schema.optional,
        default=disguise(default) if isinstance(default, str) else default,
    )
    return replace(column, schema=schema, decode=disguising, form="", disguised=True)


def _digest(rule: HashRule) -> Disguise:
    salted = hashlib.new(rule.algorithm, rule.salt.get_secret_value().encode(), usedforsecurity=False)

    def digest(text: str) -> str:
        # A copy knows the salt already.
        state = salted.copy()
        state.update(text.encode())
        return state.hexdigest()

    return digest

"""Clauses that occur in several places of a DDL statement: names, defaults, references, checks.

What they mean for rows is nothing, defaults apart: the others are stepped over.
"""

from __future__ import annotations

from typing import TypeAlias

from tailrace_mysql.declaration import Default
from tailrace_mysql.statement import Words

Name: TypeAlias = tuple[str | None, str]
"""A database's name, None where it is not written, and a table's."""


def read_qualified(words: Words) -> Name:
    """Read a table's name, and its database's where that stands before it."""
    first = words.name()
    if words.accept("."):
        return first, words.name()
    return None, first


def skip_references(words: Words) -> None:
    """Step over what follows REFERENCES."""
    read_qualified(words)
    if words.sees("("):
        words.parenthesised()
    while words.accept("MATCH") or words.accept("ON", "DELETE") or words.accept("ON", "UPDATE"):
        if not (words.accept("SET") or words.accept("NO")):
            words.take()
        else:
            words.take()  # SET NULL, SET DEFAULT, NO ACTION


def skip_check(words: Words) -> None:
    """Step over what follows CHECK."""
    words.parenthesised()
    words.accept("NOT")
    words.accept("ENFORCED")


def read_default(words: Words) -> Default | None:
    """Read the value that follows DEFAULT; None for null."""
    word = words.next
    if words.accept("NULL"):
        return None
    if word.upper.startswith("_") and words.ahead(1).kind in {"string", "bits"}:
        words.take()
    if words.next.kind == "string":
        return Default("literal", words.string())
    if words.next.kind == "bits":
        letter = words.sql[words.next.start : words.next.start + 2].lower()
        return Default("bits", ("b" if "b" in letter else "x") + words.take().text)
    if found := words.accept_any("TRUE", "FALSE"):
        return Default("literal", "1" if found == "TRUE" else "0")
    if word.upper in {"DATE", "TIME", "TIMESTAMP"} and words.ahead(1).kind == "string":
        words.take()
        return Default("literal", words.string())
    return _number_or_expression(words)


def _number_or_expression(words: Words) -> Default:
    sign = "-" if words.sees("-") else ""
    if sign or words.sees("+"):
        words.take()
    start = words.next.start
    if words.accept("."):  # .5 comes as a mark and a number
        return Default("literal", f"{sign}0.{words.take().text}")
    if words.next.kind == "number":
        return Default("literal", sign + words.take().text)
    if words.sees("("):
        return Default("expression", f"({words.parenthesised()})")
    if words.accept("NEXT", "VALUE", "FOR"):
        read_qualified(words)
        return Default("expression", words.text_since(start))
    words.name()
    while words.accept("."):
        words.name()
    if words.sees("("):
        words.parenthesised()
    return Default("expression", words.text_since(start))

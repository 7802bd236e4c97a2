"""What a statement in the binlog is to the stream: an end of a transaction, a step of an XA branch, something else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a statement does."""

    BEGIN = "a transaction begins"
    COMMIT = "it ends, and its rows stay"
    ROLLBACK = "it ends; what it did to tables without transactions stays, and only that is in the binlog"
    SAVEPOINT = "nothing that concerns rows"
    ROLLBACK_TO = "what came since a savepoint is undone"
    XA_START = "a branch begins"
    XA_END = "a branch has all its rows"
    XA_COMMIT = "a branch is committed"
    XA_ROLLBACK = "a branch is undone"
    ROWS = "rows are changed, and the binlog does not say which"
    OTHER = "anything else: DDL, administration"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A statement; `xid` names the branch, as `X'…',X'…',1`."""

    kind: Kind
    xid: str = ""


_PLAIN = {"BEGIN": Kind.BEGIN, "COMMIT": Kind.COMMIT, "ROLLBACK": Kind.ROLLBACK}
_XA = {
    "START": Kind.XA_START,
    "BEGIN": Kind.XA_START,
    "END": Kind.XA_END,
    "COMMIT": Kind.XA_COMMIT,
    "ROLLBACK": Kind.XA_ROLLBACK,
}
_BRANCH = re.compile(r"XA\s+(\w+)\s+(.*?)(?:\s+ONE\s+PHASE)?\s*", re.IGNORECASE | re.DOTALL)
_FIRST_WORDS = re.compile(r"(?:\s+|/\*(?!!|M!).*?\*/|#[^\n]*\n|--\s[^\n]*\n)*(\w+)(?:\s+(\w+))?", re.DOTALL)
_CHANGES_ROWS = {"INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD"}


def sentence(text: str) -> Sentence:
    """Return what a statement is."""
    plain = _PLAIN.get(text)
    if plain is not None:
        return Sentence(plain)
    words = _FIRST_WORDS.match(text)
    first, second = (words[1].upper(), (words[2] or "").upper()) if words is not None else ("", "")
    if first == "XA":
        branch = _BRANCH.fullmatch(text)
        return Sentence(_XA.get(second, Kind.OTHER), branch[2] if branch else "")
    if first in _PLAIN:
        return Sentence(_plain(first, second, text))
    if first in {"SAVEPOINT", "RELEASE"}:
        return Sentence(Kind.SAVEPOINT)
    return Sentence(Kind.ROWS if first in _CHANGES_ROWS else Kind.OTHER)


def _plain(first: str, second: str, text: str) -> Kind:
    if first == "ROLLBACK" and (second == "TO" or re.match(r"\s*ROLLBACK\s+WORK\s+TO\b", text, re.IGNORECASE)):
        return Kind.ROLLBACK_TO
    return _PLAIN[first]


def changed_table(text: str, database: str) -> tuple[str, str] | None:
    """Return the table that a statement of `ROWS` changes, where that is plain to see."""
    found = _TARGET.match(text)
    if found is None:
        return None
    first, second = (part.strip("`").replace("``", "`") if part else "" for part in found.groups())
    return (first, second) if second else (database, first)


_NAME = r"(`(?:[^`]|``)+`|[\w$]+)"
_TARGET = re.compile(
    r"\s*(?:INSERT|REPLACE|UPDATE|DELETE)\s+(?:(?:LOW_PRIORITY|DELAYED|HIGH_PRIORITY|QUICK|IGNORE)\s+)*"
    rf"(?:INTO\s+|FROM\s+)?{_NAME}(?:\s*\.\s*{_NAME})?(?=[\s(]|$)(?!\s*,)(?!\s+(?:AS\s+)?\w*\s*,)",
    re.IGNORECASE,
)

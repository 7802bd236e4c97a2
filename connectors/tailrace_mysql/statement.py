"""The words of one SQL statement, as MySQL and MariaDB read them: a cursor for `ddl` and what it is made of.

sqlglot's tokenizer cuts the text. Before it, comments are taken out, and executable ones (`/*!50100 … */`,
`/*M!100100 … */`) opened where the server would. It knows no grammar.
Source: MySQL manual 11.1 (literals), 11.2 (names), 11.7 (comments); MariaDB: Comment Syntax.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from sqlglot import Tokenizer, TokenType
from sqlglot.dialects.mysql import MySQL
from sqlglot.errors import TokenError

from tailrace.errors import TailraceError

Kind: TypeAlias = Literal["word", "name", "string", "number", "bits", "mark"]
"""A word is bare, a name is quoted; bits are b'…' and x'…'; marks are all the rest."""

ANSI_QUOTES = 1 << 2
NO_BACKSLASH_ESCAPES = 1 << 20
"""Bits of sql_mode, as the binlog has it beside each statement."""

_KINDS: dict[TokenType, Kind] = {
    TokenType.VAR: "word",
    TokenType.IDENTIFIER: "name",
    TokenType.STRING: "string",
    TokenType.NATIONAL_STRING: "string",
    TokenType.NUMBER: "number",
    TokenType.BIT_STRING: "bits",
    TokenType.HEX_STRING: "bits",
}

_OTHER_MARIADB = range(50700, 100000)
"""Versions in comments that MariaDB takes to be MySQL's alone."""

_ESCAPED = re.compile(
    r"""(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`)
      | (?P<open>/\*(?P<maria>M?)!(?P<version>\d{5,6})?)
      | (?P<comment>/\*.*?\*/|\#[^\n]*|--(?=[\s\x00-\x1f]|$)[^\n]*)
      | (?P<close>\*/)""",
    re.VERBOSE | re.DOTALL,
)
_UNESCAPED = re.compile(
    _ESCAPED.pattern.replace(r"'(?:[^'\\]|\\.)*'|" + r'"(?:[^"\\]|\\.)*"', "'[^']*'|\"[^\"]*\""),
    re.VERBOSE | re.DOTALL,
)


class UnreadDdl(TailraceError):
    """A statement that may change tables, and that cannot be read."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Who reads the statement: `version` is 80042 for 8.0.42, 101106 for 10.11.6; `sql_mode` the session's."""

    mariadb: bool = False
    version: int = 90700
    sql_mode: int = 0


@dataclass(frozen=True, slots=True)
class Word:
    """One word; `upper` is its text in capitals where it is bare, else empty, so that a quoted name is no keyword."""

    kind: Kind
    text: str
    upper: str
    start: int
    end: int


def _tokenizer(*, ansi: bool, escapes: bool) -> type[Tokenizer]:
    """Return a tokenizer that knows no keywords, for what quotes and backslashes mean in a mode."""
    quotes = ["'"] if ansi else ["'", '"']

    class Tokens(MySQL.Tokenizer):
        KEYWORDS: ClassVar = {}
        COMMANDS: ClassVar = set()
        COMMENTS: ClassVar = []
        IDENTIFIERS: ClassVar = ["`", '"'] if ansi else ["`"]
        QUOTES: ClassVar = [*quotes]
        STRING_ESCAPES: ClassVar = [*quotes, "\\"] if escapes else quotes

    return Tokens


_TOKENS = {
    (ansi, escapes): _tokenizer(ansi=ansi, escapes=escapes) for ansi in (False, True) for escapes in (False, True)
}


class Words:
    """The words of a statement, and how far they have been read."""

    def __init__(self, sql: str, dialect: Dialect) -> None:
        self.sql = _without_comments(sql, dialect)
        self._words = _cut(self.sql, dialect)
        self._at = 0

    def ended(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._words)

    @property
    def next(self) -> Word:
        """The next word; an empty mark at the end."""
        return self.ahead(0)

    def ahead(self, count: int) -> Word:
        """Return the word that comes after `count` others."""
        at = self._at + count
        return self._words[at] if at < len(self._words) else Word("mark", "", "", len(self.sql), len(self.sql))

    def take(self) -> Word:
        """Return the next word and step over it."""
        word = self.next
        self._at += 1
        return word

    def sees(self, *texts: str) -> bool:
        """Whether these keywords or marks come next."""
        return all((self.ahead(place).upper or self._mark(place)) == text for place, text in enumerate(texts))

    def accept(self, *texts: str) -> bool:
        """Step over these keywords or marks if they come next; tell whether they did."""
        found = self.sees(*texts)
        if found:
            self._at += len(texts)
        return found

    def accept_any(self, *texts: str) -> str:
        """Step over the one of these keywords that comes next, and return it, or nothing."""
        return next((text for text in texts if self.accept(text)), "")

    def expect(self, *texts: str) -> None:
        """Step over these keywords or marks; raises `UnreadDdl` where something else comes."""
        if not self.accept(*texts):
            raise self.unread(" ".join(texts))

    def name(self) -> str:
        """Take a name, quoted or bare."""
        if self.next.kind not in {"name", "word"}:
            raise self.unread("a name")
        return self.take().text

    def string(self) -> str:
        """Take a string; strings side by side are one."""
        text: list[str] = []
        while self.ahead(0).kind == "string":
            text.append(self.take().text)
        if not text:
            raise self.unread("a string")
        return "".join(text)

    def number(self) -> int:
        """Take a whole number."""
        if self.next.kind != "number" or not self.next.text.isdigit():
            raise self.unread("a number")
        return int(self.take().text)

    def parenthesised(self) -> str:
        """Step over a pair of parentheses with all that is in it; return the text inside."""
        start = self.next.end
        self.expect("(")
        depth = 1
        while depth:
            if self.ended():
                raise self.unread(")")
            word = self.take()
            depth += (word.kind == "mark") * ((word.text == "(") - (word.text == ")"))
        return self.sql[start : self._words[self._at - 1].start].strip()

    def skip_clause(self) -> None:
        """Step over everything up to the next comma or closing parenthesis outside of parentheses."""
        while not self.ended() and not self.sees(",") and not self.sees(")"):
            self.skip_one()

    def skip_one(self) -> None:
        """Step over one word, or a pair of parentheses with what is in it."""
        if self.sees("("):
            self.parenthesised()
        else:
            self.take()

    def text_since(self, start: int) -> str:
        """Return the text from the offset `start` up to where reading stands."""
        return self.sql[start : self._words[self._at - 1].end].strip()

    def unread(self, expected: str) -> UnreadDdl:
        """Return the error that says what was looked for, and where; without the text, which may hold values."""
        where = self.next
        found = where.text if where.kind in {"word", "mark"} else f"a {where.kind}"
        return UnreadDdl(f'read a statement: {expected} expected at character {where.start}, found "{found}"')

    def _mark(self, place: int) -> str:
        word = self.ahead(place)
        return word.text if word.kind == "mark" else ""


def _cut(sql: str, dialect: Dialect) -> list[Word]:
    modes = bool(dialect.sql_mode & ANSI_QUOTES), not dialect.sql_mode & NO_BACKSLASH_ESCAPES
    try:
        tokens = _TOKENS[modes](dialect="mysql").tokenize(sql)
    except TokenError:
        raise UnreadDdl("read a statement: it cannot be cut into words") from None
    words = []
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            continue
        kind = _KINDS.get(token.token_type, "mark")
        upper = token.text.upper() if kind == "word" else ""
        words.append(Word(kind, token.text, upper, token.start, token.end + 1))
    return words


def _without_comments(sql: str, dialect: Dialect) -> str:
    """Return the statement without comments, executable ones opened where this server executes them."""
    pattern = _UNESCAPED if dialect.sql_mode & NO_BACKSLASH_ESCAPES else _ESCAPED
    if not re.search(r"/\*|#|--", sql):
        return sql
    parts: list[str] = []
    at = depth = 0
    while (found := pattern.search(sql, at)) is not None:
        parts.append(sql[at : found.start()])
        at = found.end()
        if found["quoted"] or (found["close"] and not depth):
            parts.append(found[0])
            continue
        parts.append(" ")
        if found["open"] and _executed(found, dialect):
            depth += 1
        elif found["open"]:
            end = sql.find("*/", at)
            at = len(sql) if end < 0 else end + 2
        elif found["close"]:
            depth -= 1
    return "".join(parts) + sql[at:]


def _executed(found: re.Match[str], dialect: Dialect) -> bool:
    if found["maria"] and not dialect.mariadb:
        return False
    version = int(found["version"] or 0)
    foreign = dialect.mariadb and not found["maria"] and version in _OTHER_MARIADB
    return version <= dialect.version and not foreign

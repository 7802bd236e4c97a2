"""Finds what the documents show: fenced blocks of code, and names of files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"`(?!\./)((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|toml|yaml))`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
PLACEHOLDER = re.compile(r"\$\{env:(\w+)\}")

FOLDERS = (".", "framework", "framework/tailrace", "connectors/tailrace_mysql", "connectors/tailrace_postgres", "tests")
"""Where a file that a document names may lie; the document's own folder comes first."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: the language behind the fence, and the text inside."""

    document: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def documents() -> list[Path]:
    """All documents for users, relative to the root."""
    found = [
        ROOT / "README.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("deploy/**/*.md"),
        *ROOT.glob("connectors/**/*.md"),
    ]
    return sorted(path.relative_to(ROOT) for path in found)


def blocks(language: str) -> list[Block]:
    """All blocks in one of the languages, of all documents."""
    return [block for document in documents() for block in _blocks(document) if block.language == language]


def _blocks(document: Path) -> Iterator[Block]:
    text = (ROOT / document).read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        yield Block(document, text[: found.start()].count("\n") + 1, found.group(1), found.group(2))


def commands() -> list[tuple[str, str]]:
    """All command lines in `sh` blocks with where they stand; continued lines are joined, comments cut off."""
    lines = []
    for block in blocks("sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            command = re.sub(r"(^|\s)#.*", "", line).strip()
            if command:
                lines.append((str(block), command))
    return lines


def missing_files(document: Path, text: str) -> list[str]:
    """The names of files and the links in a document that lead nowhere."""
    places = [(ROOT / document).parent, *(ROOT / folder for folder in FOLDERS)]
    names = [name for name in FILE_NAME.findall(text) if "/" in name or name.endswith((".py", ".md"))]
    missing = [name for name in names if not any((place / name).exists() for place in places)]
    return missing + [link for link in LINK.findall(text) if not (places[0] / link).exists()]

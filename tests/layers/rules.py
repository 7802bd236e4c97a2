"""The rules of shape that no linter of ours knows, as functions of one file's text that return what breaks them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

FILE_LINES = 400
FUNCTION_LINES = 40
NESTING = 3

BANNED_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc", "base"}
ROOT_FOLDERS = {"framework", "connectors", "schemas"}

# In two halves, so that this file does not break its own rule.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|NotImplemented" + r"Error)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.$}])/(?:work|root|home)" + r"/\w")
BARE_EXCUSE = re.compile(r"#\s*noqa(?!: [A-Z0-9]+(?:, [A-Z0-9]+)* - \w)")

# What may be inherited from although it is ours: errors, settings, and things without code.
OPEN_BASES = {
    "Protocol", "Exception", "BaseException", "BaseModel", "Enum", "StrEnum", "IntEnum", "TypedDict", "NamedTuple",
}  # fmt: skip

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def too_long(text: str) -> Iterator[str]:
    lines = text.count("\n") + 1
    if lines > FILE_LINES + 1:
        yield f"{lines} lines, at most {FILE_LINES}"


def functions_too_long(text: str) -> Iterator[str]:
    """Lines of code in the body: docstring, comments and blank lines are not to be saved on."""
    all_lines = text.splitlines()
    for function in _functions(text):
        body = all_lines[function.body[0].lineno - 1 : function.end_lineno]
        count = sum(1 for line in body if line.strip() and not line.lstrip().startswith("#"))
        count -= _docstring_lines(function)
        if count > FUNCTION_LINES:
            yield f"{function.name} has {count} lines of code, at most {FUNCTION_LINES}"


def functions_too_deep(text: str) -> Iterator[str]:
    for function in _functions(text):
        depth = max((_depth(statement) for statement in function.body), default=0)
        if depth > NESTING:
            yield f"{function.name} nests {depth} deep, at most {NESTING}"


def unfinished(text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if found := UNFINISHED.search(line):
            yield f"line {number} says {found.group()}"


def machine_paths(text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if found := MACHINE_PATHS.search(line):
            yield f"line {number} names {found.group()}, a path of somebody's machine"


def bare_excuses(text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if BARE_EXCUSE.search(line):
            yield f"line {number} silences the linter without a code and a reason: noqa: CODE - why"


def imports_of_root_folders(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            continue
        for name in names:
            if name.partition(".")[0] in ROOT_FOLDERS:
                yield f"line {node.lineno} imports {name}: a source root, every class would exist twice"


def banned_name(path: Path) -> Iterator[str]:
    for part in (*path.parts[:-1], path.stem):
        if part in BANNED_NAMES:
            yield f"the name {part} says nothing about what is inside"


def concrete_inheritance(texts: dict[str, str]) -> Iterator[str]:
    """Over all files together: which classes of ours inherit from a concrete class of ours."""
    classes = {
        node.name: (path, {_base_name(base) for base in node.bases})
        for path, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
    }

    def is_open(name: str) -> bool:
        return name in OPEN_BASES or (name in classes and any(is_open(base) for base in classes[name][1]))

    for name, (path, bases) in sorted(classes.items()):
        for base in sorted(bases):
            if base in classes and base != name and not is_open(base):
                yield f"{path}: {name} inherits from {base}, a concrete class of ours"


def _functions(text: str) -> Iterator[FunctionNode]:
    return (node for node in ast.walk(ast.parse(text)) if isinstance(node, FunctionNode))


def _docstring_lines(function: FunctionNode) -> int:
    docstring = ast.get_docstring(function, clean=False)
    return sum(1 for line in docstring.splitlines() if line.strip()) if docstring else 0


def _depth(node: ast.stmt) -> int:
    """How many branches and loops lie inside each other; an elif is as deep as its if, a with counts nothing."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return 0
    own = int(isinstance(node, ast.If | ast.For | ast.AsyncFor | ast.While | ast.Try | ast.Match))
    inner = max((_depth(child) for child in _statements(node)), default=0)
    if isinstance(node, ast.If) and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
        body = max((_depth(child) for child in node.body), default=0)
        return max(own + body, _depth(node.orelse[0]))
    return own + inner


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            yield from child.body


def _base_name(base: ast.expr) -> str:
    if isinstance(base, ast.Subscript):
        return _base_name(base.value)
    return base.attr if isinstance(base, ast.Attribute) else base.id if isinstance(base, ast.Name) else ""

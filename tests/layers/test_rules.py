"""The rules themselves: each finds what it is there to find, and lets pass what is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layers import rules

Rule = Callable[[str], Iterator[str]]

LONG = "def f():\n" + "    x = 1\n" * 41
DEEP = """
def f():
    for a in b:
        if a:
            while a:
                if b:
                    pass
"""
ELIFS = """
def f():
    if a:
        pass
    elif b:
        pass
    elif c:
        pass
    elif d:
        pass
"""
NESTED_WITH = """
def f():
    for a in b:
        with a:
            with c:
                if b:
                    pass
"""
CLASSES = """
class Wrong(Exception): ...
class Worse(Wrong): ...
class Shape(Protocol[T]): ...
class Square(Shape[int]): ...
class Writer: ...
class SafeWriter(Writer): ...
"""


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (rules.too_long, "x = 1\n" * 401),
        (rules.functions_too_long, LONG),
        (rules.functions_too_deep, DEEP),
        (rules.unfinished, "# TO" + "DO: later\n"),
        (rules.unfinished, "raise NotImplemented" + "Error\n"),
        (rules.machine_paths, 'p = "/ro' + 'ot/x"\n'),
        (rules.machine_paths, "see /ho" + "me/me/notes\n"),
        (rules.bare_excuses, "x = 1  # no" + "qa\n"),
        (rules.bare_excuses, "x = 1  # no" + "qa: E501\n"),
        (rules.imports_of_root_folders, "import framework.tailrace\n"),
        (rules.imports_of_root_folders, "def f():\n    from connectors.tailrace_postgres import slot\n"),
    ],
)
def test_a_breach_is_found(rule: Rule, text: str) -> None:
    assert len(list(rule(text))) == 1


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (rules.too_long, "x = 1\n" * 400),
        (rules.functions_too_long, 'def f():\n    """Say\n    it."""\n' + "    # so\n\n    x = 1\n" * 40),
        (rules.functions_too_deep, ELIFS),
        (rules.functions_too_deep, NESTED_WITH),
        (rules.unfinished, "# a method todos is fine\n"),
        (rules.machine_paths, 'url = f"{base}/home/x"\n'),
        (rules.bare_excuses, "x = 1  # no" + "qa: E501, W291 - a table\n"),
        (rules.imports_of_root_folders, "from tailrace.schema import Schema\nfrom . import schemas\n"),
    ],
)
def test_what_is_right_passes(rule: Rule, text: str) -> None:
    assert list(rule(text)) == []


def test_names_that_say_nothing() -> None:
    assert list(rules.banned_name(Path("framework/tailrace/log/utils.py")))
    assert list(rules.banned_name(Path("framework/tailrace/common/segment.py")))
    assert not list(rules.banned_name(Path("connectors/tailrace_postgres/types.py")))


def test_inheritance_from_a_concrete_class() -> None:
    found = list(rules.concrete_inheritance({"a.py": CLASSES}))
    assert found == ["a.py: SafeWriter inherits from Writer, a concrete class of ours"]

"""Every file of the project keeps the rules of shape."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layers import rules

ROOT = Path(__file__).parents[2]

TOP_LEVEL = {
    "pyproject.toml", "connectors", "framework", "schemas", "deploy", "tests", "README.md",
    "Makefile", "LICENSE", "CHANGELOG.md", "docs", "benchmarks", "setup.py", "MANIFEST.in",
}  # fmt: skip

BINARY = {".binlog", ".bin", ".avro", ".png", ".zst", ".gz", ".log", ".index", ".timeindex"}


def files() -> list[Path]:
    """All files of the project, relative to its root: those that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return sorted(Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file())


FILES = files()
CODE = [path for path in FILES if path.suffix in {".py", ".pyx", ".pxd"}]
PYTHON = [path for path in CODE if path.suffix == ".py"]
PRODUCT = [path for path in PYTHON if path.parts[0] in {"framework", "connectors", "schemas"}]


def breaches(rule: Callable[[str], Iterator[str]], paths: list[Path]) -> list[str]:
    assert paths, "no file to look at"
    return [f"{path}: {breach}" for path in paths for breach in rule((ROOT / path).read_text(encoding="utf-8"))]


def keep(found: list[str]) -> None:
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("rule", [rules.too_long, rules.unfinished, rules.bare_excuses], ids=lambda rule: rule.__name__)
def test_all_code(rule: Callable[[str], Iterator[str]]) -> None:
    keep(breaches(rule, [path for path in CODE if path.parts[:2] != ("tests", "layers")]))


@pytest.mark.parametrize("rule", [rules.functions_too_long, rules.functions_too_deep], ids=lambda rule: rule.__name__)
def test_all_functions_of_the_product(rule: Callable[[str], Iterator[str]]) -> None:
    keep(breaches(rule, PRODUCT))


def test_no_source_root_is_imported() -> None:
    keep(breaches(rules.imports_of_root_folders, PYTHON))


def test_no_path_of_a_machine_is_named() -> None:
    texts = [path for path in FILES if path.suffix not in BINARY and path.parts[:2] != ("tests", "layers")]
    keep(breaches(rules.machine_paths, texts))


def test_modules_are_named_after_what_they_hold() -> None:
    keep([f"{path}: {breach}" for path in CODE for breach in rules.banned_name(path)])


def test_the_top_level_holds_nothing_new() -> None:
    assert {path.parts[0] for path in FILES if not path.parts[0].startswith(".")} - TOP_LEVEL == set()


def test_nothing_inherits_from_a_concrete_class() -> None:
    texts = {str(path): (ROOT / path).read_text(encoding="utf-8") for path in PRODUCT}
    keep(list(rules.concrete_inheritance(texts)))


def test_only_where_processes_end_is_everything_caught() -> None:
    boundaries = [("framework", "tailrace", "runtime"), ("framework", "tailrace", "server")]
    catching = [path for path in PRODUCT if re.search(r"no" + "qa: BLE001", (ROOT / path).read_text(encoding="utf-8"))]
    assert [path for path in catching if path.parts[:3] not in boundaries] == []


def test_imports_keep_to_the_layers() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    linted = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout + linted.stderr

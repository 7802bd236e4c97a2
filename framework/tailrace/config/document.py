"""Reads a config file: YAML, its top level a mapping, no key twice."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import yaml

from tailrace.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """Plain YAML does not mind a key that comes twice, and takes the last: a connector would vanish unseen."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f'key "{key}" comes twice', key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_document(file: Path) -> dict[str, object]:
    """Return the file's top level; raises `ConfigError` naming line and column where it is not YAML."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read config file {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read config file {file}: not UTF-8 text") from error
    try:
        tree = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" line {mark.line + 1} column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{file}{place}: {error.problem or error.context or 'not YAML'}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise ConfigError(f"{file}: the top level must be keys and values", hint="for example: connectors: {...}")
    return tree

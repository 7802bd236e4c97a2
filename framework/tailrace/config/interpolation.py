"""Placeholders in a config file: `${env:NAME}` and `${file:PATH}`, anywhere inside a string; `$${` stands for `${`.

They are filled in after the YAML was parsed, so a value can never change the structure of the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from tailrace.errors import ConfigError

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^}]*)\}")
_USERINFO = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/@]*$")
"""Text before a placeholder that stands in the user or password part of a URL."""
_PASSWORD_OF_A_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/@:]*:[^/@]*$")
_SOUNDS_SECRET = re.compile(r"(?i)pass|pwd|secret|token|key|cred|auth|salt")
_BREAKS_A_URL = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=%]")


@dataclass
class Interpolation:
    """Fills placeholders in, and remembers which of the values are secret.

    Secret is what comes from a file, what stands as the password of a URL, what is a URL with a password (that part),
    and what a key or a variable calls so. A host or a port from the environment is not: masking it would make
    messages unreadable.

    A value that goes into the user or password of a URL is percent-encoded if it could not stand there as it is, so
    that a password with an `@` works, and one that is encoded already is left alone.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    secrets: set[str] = field(default_factory=set)

    def fill(self, value: object, path: str) -> object:
        """Return `value`, a tree of parsed YAML, with its placeholders filled in; `path` is its place in the file."""
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, dict):
            return {key: self.fill(member, f"{path}.{key}" if path else str(key)) for key, member in value.items()}
        if isinstance(value, list):
            return [self.fill(member, f"{path}[{index}]") for index, member in enumerate(value)]
        return value

    def _text(self, text: str, path: str) -> str:
        parts: list[str] = []
        end = 0
        for match in _PLACEHOLDER.finditer(text):
            parts.append(text[end : match.start()])
            end = match.end()
            if match[1] is None:
                parts.append("${")
                continue
            found = self._look_up(match[1], path)
            before = "".join(parts)
            parts.append(_encoded(found) if "@" in text[end:] and _USERINFO.match(before) else found)
            if (
                match[1].startswith("file:")
                or _PASSWORD_OF_A_URL.match(before)
                or _SOUNDS_SECRET.search(f"{path} {match[1]}")
            ):
                self._keep_secret(found, parts[-1])
            elif (password := _password_in(found)) is not None:
                self._keep_secret(password, unquote(password))
        return "".join(parts) + text[end:]

    def _keep_secret(self, *values: str) -> None:
        self.secrets.update(values)

    def _look_up(self, placeholder: str, path: str) -> str:
        kind, colon, name = placeholder.partition(":")
        sources: dict[str, Callable[[str, str], str]] = {"env": self._variable, "file": self._file}
        if not colon or not name or kind not in sources:
            raise ConfigError(
                f"{path}: unknown placeholder ${{{placeholder}}}",
                hint="write ${env:NAME} or ${file:PATH}, and $${ for a literal ${",
            )
        return sources[kind](name, path)

    def _variable(self, name: str, path: str) -> str:
        if name not in self.environment:
            raise ConfigError(
                f"{path}: environment variable {name} is not set", hint=f"export {name}=... and try again"
            )
        return self.environment[name]

    def _file(self, name: str, path: str) -> str:
        file = self.folder / Path(name).expanduser()
        try:
            return file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise ConfigError(f"{path}: cannot read {file}: {reason}") from error


def _encoded(value: str) -> str:
    return quote(value, safe="") if _BREAKS_A_URL.search(value) else value


def _password_in(value: str) -> str | None:
    """Return the password of `value` if it is a URL that has one, as it is written there."""
    found = re.match(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/@:]*:([^@]*)@", value)
    return found[1] if found else None

"""Keeps secrets out of logs, errors and status: what placeholders brought in, and passwords in URLs."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "***"

_SHORTEST = 4
"""Shorter secrets are not searched for in text: they would mask letters of ordinary words."""
_URL_PASSWORD = re.compile(r"(://[^\s:/@]*:)[^\s@]+(?=@)")
_NO_PASSWORD = r"(?!(?<=\(using )password: (?:YES|NO)\))"
"""How MySQL ends its refusals: whether there was a password."""
_KEY_VALUE_PASSWORD = re.compile(
    rf"(?i)\b{_NO_PASSWORD}(password|passwd|secret|token)(\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s&,;'\"]+)"
)
_SECRET_KEY = re.compile(r"(?i)password|passwd|secret|token|credential|private_key|\bsalt\b")


class Masker:
    """Replaces secrets in text. `secrets` are literal values."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({secret for secret in secrets if len(secret) >= _SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        """Return `text` without secrets."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        text = _URL_PASSWORD.sub(rf"\g<1>{MASK}", text)
        return _KEY_VALUE_PASSWORD.sub(rf"\g<1>\g<2>{MASK}", text)

    def tree(self, value: object, key: str = "") -> object:
        """Return `value`, a tree of parsed YAML or JSON, without secrets; keys that sound secret hide all below."""
        if key and value is not None and _SECRET_KEY.search(key):
            return MASK
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: self.tree(member, str(name)) for name, member in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.tree(member) for member in value]
        return value

"""Ids of documents, out of the keys of rows.

    one column                  => its text                    42, ab, 2024-05-01
    several, or a text that
    could be taken for another  => a JSON array                [7,"de"], [""], ["[x]"]
    more than 512 bytes         => sha256:<hexadecimal>        of the same text

OpenSearch and Elasticsearch refuse ids of more than 512 bytes, and ids without any.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping
from decimal import Decimal

from tailrace.errors import BadRecord

LONGEST_ID = 512
_HASHED = "sha256:"


def document_id(key: object) -> str:
    """Return the id of the row that has `key`, a decoded struct; raises `BadRecord` for a key that is none."""
    if not isinstance(key, Mapping) or not key:
        raise BadRecord("key is no struct", hint="the topic holds something else than changes of a table with a key")
    if len(key) == 1:
        (value,) = key.values()
        text = value if isinstance(value, str) else _text(value)
        if not text or text.startswith(("[", _HASHED)):
            text = _array([text])
    else:
        text = _array([_member(value) for value in key.values()])
    octets = text.encode("utf-8", "surrogatepass")
    return text if len(octets) <= LONGEST_ID else _HASHED + hashlib.sha256(octets).hexdigest()


def position_id(partition: int, offset: int) -> str:
    """Return the id of a row without a key: the place of its record in its topic."""
    return f"{partition}-{offset}"


def _array(members: list[object]) -> str:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


def _member(value: object) -> object:
    return value if value is None or isinstance(value, str | bool | int) else _text(value)


def _text(value: object) -> str:
    match value:
        case None | bool() | int() | float():
            return json.dumps(value)
        case bytes():
            return b64encode(value).decode("ascii")
        case Decimal():
            return f"{value:f}"
        case _:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)

"""What stands for a value that the database did not send: a large one that an update left alone, say.

Debezium's in-band convention, which its readers know: the configured text, in the shape of the column's type. Where a
type has no such shape (numbers, dates …) there is none, and null or the type's zero stands there.
Source: Debezium's option `unavailable.value.placeholder`.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tailrace.errors import ConfigError
from tailrace.schema import Value

Shape: TypeAlias = Literal["none", "text", "bytes", "texts", "byte_strings", "integers", "uuids"]


@dataclass(frozen=True, slots=True)
class Placeholders:
    """The placeholder in every shape that it takes."""

    octets: bytes

    @classmethod
    def configured(cls, value: str) -> Placeholders:
        """Return those of the option's value: a text, or `hex:` and octets; raises `ConfigError`."""
        if not value.startswith("hex:"):
            return cls(value.encode())
        try:
            return cls(bytes.fromhex(value.removeprefix("hex:")))
        except ValueError:
            raise ConfigError(
                "unavailable_value does not hold hexadecimal octets", hint="after hex: write pairs of 0-9 and a-f"
            ) from None

    def of(self, shape: Shape) -> Value:
        """Return the placeholder in one shape; None where there is none."""
        text = self.octets.decode("utf-8", "replace")
        digest = hashlib.md5(self.octets, usedforsecurity=False).digest()
        shapes: dict[Shape, Value] = {
            "none": None,
            "text": text,
            "bytes": self.octets,
            "texts": [text],
            "byte_strings": [self.octets],
            # Java's bytes are signed.
            "integers": [octet - 256 if octet > 127 else octet for octet in self.octets],
            "uuids": [str(uuid.UUID(bytes=digest, version=3))],
        }
        return shapes[shape]

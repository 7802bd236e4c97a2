"""A registry for tests of what is encoded: it gives schemas numbers."""

from __future__ import annotations

import json

from tailrace.codec.registry import AvroSchema, Part, RegisteredSchema, subject_name


class Numbers:
    """A registry that gives every schema a number, and is asked for nothing else."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    def subject(self, topic: str, part: Part, schema: AvroSchema) -> str:
        return subject_name(topic, part, schema)

    def register(self, subject: str, schema: AvroSchema, *, force: bool = False) -> RegisteredSchema:
        number = self._ids.setdefault(json.dumps(schema), len(self._ids) + 1)
        return RegisteredSchema(subject, number, number, schema)

"""What a schema registry is: Confluent's model of subjects, versions, ids and compatibility levels.

The bundled registry and the client of a Confluent registry both have this shape. Source: Confluent Schema Registry's
REST API, `/subjects`, `/schemas/ids`, `/config`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from tailrace.errors import Fatal, TailraceError

AvroSchema: TypeAlias = "Mapping[str, object] | Sequence[object] | str"
"""An Avro schema as parsed JSON."""

Compatibility: TypeAlias = Literal[
    "NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"
]


Part: TypeAlias = Literal["key", "value"]
"""Which half of a record a schema is for."""

SubjectStrategy: TypeAlias = Literal["topic", "record", "topic_record"]
"""How subjects are named; Confluent's TopicName-, RecordName- and TopicRecordNameStrategy."""


def subject_name(topic: str, part: Part, schema: AvroSchema, strategy: SubjectStrategy = "topic") -> str:
    """Return the subject of the keys or values of `topic`; raises `Fatal` for a strategy that needs a record's name.

    Source: Confluent Schema Registry, "Subject name strategy".
    """
    if strategy == "topic":
        return f"{topic}-{part}"
    name = schema.get("name") if isinstance(schema, Mapping) else None
    if not isinstance(schema, Mapping) or not isinstance(name, str):
        raise Fatal(
            f"cannot name the subject of the {part}s of {topic} by their record: they are none",
            hint="set subject_strategy: topic",
        )
    space = schema.get("namespace")
    full = f"{space}.{name}" if isinstance(space, str) and space and "." not in name else name
    return full if strategy == "record" else f"{topic}-{full}"


def canonical_text(schema: AvroSchema) -> str:
    """Return text that is the same for schemas that are the same as JSON, whatever the order of their properties."""
    return json.dumps(schema, sort_keys=True, separators=(",", ":"))


class UnknownSchema(TailraceError):
    """There is no such subject, version or id in the registry."""


class IncompatibleSchema(Fatal):
    """The schema breaks the compatibility level of its subject; `problems` says what, field by field."""

    def __init__(self, subject: str, level: str, problems: Sequence[str], *, hint: str = "") -> None:
        super().__init__(
            f"schema of {subject} breaks its compatibility level {level}: {'; '.join(problems)}",
            hint=hint or f"make the change compatible, or lower the level of {subject}",
        )
        self.subject = subject
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """One version of a subject. `incompatible` says what it breaks, where it was registered all the same."""

    subject: str
    version: int
    id: int
    schema: AvroSchema
    incompatible: str = ""


class Registry(Protocol):
    """Ids are global: the same schema has one id under every subject. Safe to use from several processes."""

    def subject(self, topic: str, part: Part, schema: AvroSchema) -> str:
        """Return the subject for the keys or values of `topic` that have `schema`."""
        ...

    def register(self, subject: str, schema: AvroSchema, *, force: bool = False) -> RegisteredSchema:
        """Return the version of `subject` that equals `schema`, made durable first if it is new.

        Raises `IncompatibleSchema` where it breaks the subject's compatibility level, unless `force` is set: then it
        is registered, and `incompatible` says what it breaks. A registry that others rule cannot be forced: there it
        is raised all the same.
        """
        ...

    def by_id(self, schema_id: int) -> AvroSchema:
        """Return the schema; raises `UnknownSchema`."""
        ...

    def subjects(self) -> Sequence[str]:
        """Return all subjects, sorted."""
        ...

    def versions(self, subject: str) -> Sequence[RegisteredSchema]:
        """Return all versions, oldest first; raises `UnknownSchema` for a subject that there is not."""
        ...

    def check(self, subject: str, schema: AvroSchema) -> Sequence[str]:
        """Return what `schema` would break in `subject` at its compatibility level; empty if nothing."""
        ...

    def compatibility(self, subject: str | None = None) -> Compatibility:
        """Return the level of `subject`, or the global one where it has none of its own."""
        ...

    def set_compatibility(self, level: Compatibility, subject: str | None = None) -> None:
        """Set the level of `subject`, or the global one."""

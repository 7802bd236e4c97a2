"""The client of a Confluent schema registry, or of any that speaks its REST API (Apicurio, Karapace, Tailrace's own).

    POST /subjects/<subject>                    is this schema there already?
    POST /subjects/<subject>/versions           register it
    GET  /schemas/ids/<id>                      what a record was written with
    POST /compatibility/subjects/<s>/versions   what would it break?
    GET, PUT /config[/<subject>]                levels

A schema is looked up before it is registered: who may only read gets by where everything is registered already.
The registry belongs to more than Tailrace, so its compatibility levels are never lowered to have a schema pass:
a refused one raises `IncompatibleSchema`, forced or not. Schemas with references are not read.
Source: Confluent Schema Registry's REST API.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast, get_args
from urllib.parse import quote

import structlog

from tailrace.codec.compatibility import problems
from tailrace.codec.registry import (
    AvroSchema,
    Compatibility,
    IncompatibleSchema,
    Part,
    RegisteredSchema,
    UnknownSchema,
    canonical_text,
    subject_name,
)
from tailrace.codec.registry_http import Answer, RegistryHttp
from tailrace.codec.registry_settings import SchemaRegistryConfig
from tailrace.errors import ConfigError, Fatal

log = structlog.get_logger()

_NO_SUBJECT = 40401


class ConfluentRegistry:
    """Implements `Registry` over HTTP. Building one does no I/O; what was answered once is not asked for again."""

    def __init__(self, config: SchemaRegistryConfig) -> None:
        self._config = config
        self._http = RegistryHttp(config)
        self._registered: dict[tuple[str, str], RegisteredSchema] = {}
        self._versions: dict[tuple[str, int], RegisteredSchema] = {}
        self._schemas: dict[int, AvroSchema] = {}

    def subject(self, topic: str, part: Part, schema: AvroSchema) -> str:
        """Return the subject by the configured strategy."""
        return subject_name(topic, part, schema, self._config.subject_strategy)

    def register(self, subject: str, schema: AvroSchema, *, force: bool = False) -> RegisteredSchema:
        """Return the version of `subject` that equals `schema`, registered first if it is new.

        Raises `IncompatibleSchema` where the registry refuses it, `Fatal` where it is invalid, or not there and
        nothing may be registered, and `Retriable` while the registry is away.
        """
        known = (subject, canonical_text(schema))
        if known not in self._registered:
            answer = self._look_up(subject, schema)
            if answer.is_missing:
                answer = self._add(subject, schema, is_new=answer.code == _NO_SUBJECT, force=force)
            version, schema_id = _whole(answer, "version"), _whole(answer, "id")
            self._registered[known] = RegisteredSchema(subject, version, schema_id, schema)
            self._schemas.setdefault(schema_id, schema)
        return self._registered[known]

    def by_id(self, schema_id: int) -> AvroSchema:
        """Return the schema; raises `UnknownSchema`."""
        if schema_id not in self._schemas:
            answer = self._http.ask("GET", f"/schemas/ids/{schema_id}")
            if answer.is_missing:
                raise UnknownSchema(
                    f"schema registry {self._http.place} has no schema with id {schema_id}",
                    hint="the records may have been written with another registry",
                )
            self._schemas[schema_id] = self._schema(self._fine(answer, f"read schema {schema_id}"))
        return self._schemas[schema_id]

    def subjects(self) -> Sequence[str]:
        """Return all subjects, sorted."""
        answer = self._fine(self._http.ask("GET", "/subjects"), "list subjects")
        return sorted(str(name) for name in cast("Sequence[object]", answer.body))

    def versions(self, subject: str) -> Sequence[RegisteredSchema]:
        """Return all versions, oldest first; raises `UnknownSchema` for a subject that there is not."""
        path = f"/subjects/{quote(subject, safe='')}/versions"
        answer = self._http.ask("GET", path)
        if answer.is_missing:
            raise UnknownSchema(f"schema registry {self._http.place} has no subject {subject}")
        listed = cast("Sequence[int]", self._fine(answer, f"list versions of {subject}").body)
        for version in listed:
            if (subject, version) not in self._versions:
                found = self._fine(self._http.ask("GET", f"{path}/{version}"), f"read version {version} of {subject}")
                entry = RegisteredSchema(subject, version, _whole(found, "id"), self._schema(found))
                self._versions[subject, version] = entry
        return tuple(self._versions[subject, version] for version in listed)

    def check(self, subject: str, schema: AvroSchema) -> Sequence[str]:
        """Return what `schema` would break in `subject` at its level, by the registry's verdict."""
        path = f"/compatibility/subjects/{quote(subject, safe='')}/versions?verbose=true"
        answer = self._http.ask("POST", path, {"schema": json.dumps(schema)})
        if answer.is_missing:
            return ()
        if self._fine(answer, f"check the schema of {subject}").field("is_compatible") is True:
            return ()
        messages = answer.field("messages")
        told = [str(message) for message in messages] if isinstance(messages, Sequence) else []
        return told or self._own_verdict(subject, schema)

    def compatibility(self, subject: str | None = None) -> Compatibility:
        """Return the level of `subject`, or the global one where it has none of its own."""
        answer = self._http.ask("GET", "/config" if subject is None else _config_path(subject))
        if answer.is_missing and subject is not None:
            answer = self._http.ask("GET", "/config")
        level = self._fine(answer, "read the compatibility level").field("compatibilityLevel")
        return cast("Compatibility", level)

    def set_compatibility(self, level: Compatibility, subject: str | None = None) -> None:
        """Set the level of `subject`, or the global one; raises `ConfigError` for a level that there is not."""
        if level not in get_args(Compatibility):
            raise ConfigError(
                f"unknown compatibility level {level}", hint=f"one of {', '.join(get_args(Compatibility))}"
            )
        path = "/config" if subject is None else f"/config/{quote(subject, safe='')}"
        self._fine(self._http.ask("PUT", path, {"compatibility": level}), "set the compatibility level")

    def _look_up(self, subject: str, schema: AvroSchema) -> Answer:
        body = {"schema": json.dumps(schema)}
        answer = self._http.ask("POST", f"/subjects/{quote(subject, safe='')}", body)
        return answer if answer.is_missing else self._fine(answer, f"look up the schema of {subject}")

    def _add(self, subject: str, schema: AvroSchema, *, is_new: bool, force: bool) -> Answer:
        text = json.dumps(schema)
        path = f"/subjects/{quote(subject, safe='')}/versions"
        if not self._config.auto_register:
            log.error("schema not registered", subject=subject, schema=text)
            raise Fatal(
                f"schema registry {self._http.place} does not have this schema of {subject}, and auto_register is off",
                hint=f'POST {{"schema": …}} with the schema in the log line above to {self._http.place}{path}, '
                "and start the task again",
            )
        if is_new and self._config.compatibility is not None:
            self.set_compatibility(self._config.compatibility, subject)
        answer = self._http.ask("POST", path, {"schema": text})
        if answer.status == 409:
            raise self._incompatible(subject, schema, answer, force=force)
        self._fine(answer, f"register the schema of {subject}")
        log.info("schema registered", subject=subject, id=answer.field("id"))
        # Registries of older versions answer with the id alone.
        return answer if answer.field("version") is not None else self._look_up(subject, schema)

    def _incompatible(self, subject: str, schema: AvroSchema, answer: Answer, *, force: bool) -> IncompatibleSchema:
        level = self.compatibility(subject)
        reasons = self._own_verdict(subject, schema, otherwise=answer.message)
        asked = "on_incompatible_schema: register has no power over this registry; " if force else ""
        return IncompatibleSchema(
            subject,
            level,
            reasons,
            hint=f"{asked}make the change compatible, or have the level of {subject} lowered: "
            f'PUT {{"compatibility": "NONE"}} to {self._http.place}/config/{quote(subject, safe="")}',
        )

    def _own_verdict(self, subject: str, schema: AvroSchema, otherwise: str = "") -> Sequence[str]:
        """Return the reasons as we see them: not every registry says more than that it refuses."""
        level = self.compatibility(subject)
        versions = self.versions(subject)
        compared = versions if level.endswith("_TRANSITIVE") else versions[-1:]
        found = problems(schema, [version.schema for version in reversed(compared)], level)
        return found or [otherwise or f"not compatible at level {level}"]

    def _fine(self, answer: Answer, attempted: str) -> Answer:
        if answer.code or answer.status >= 300:
            raise Fatal(
                f"schema registry {self._http.place} refused to {attempted}: {answer.message} ({answer.code})",
                hint="see the registry's log" if not answer.message else "",
            )
        return answer

    def _schema(self, answer: Answer) -> AvroSchema:
        kind, text = answer.field("schemaType") or "AVRO", answer.field("schema")
        if kind != "AVRO" or answer.field("references"):
            raise Fatal(
                f"schema registry {self._http.place} has a schema that is {kind} or refers to others",
                hint="Tailrace reads Avro schemas that stand alone",
            )
        return _parsed(str(text))


def _parsed(text: str) -> AvroSchema:
    """Return the schema in `text`; a primitive type may stand there without quotes, as some clients send it."""
    try:
        schema = json.loads(text)
    except ValueError:
        return text
    return cast("AvroSchema", schema)


def _config_path(subject: str) -> str:
    return f"/config/{quote(subject, safe='')}?defaultToGlobal=true"


def _whole(answer: Answer, name: str) -> int:
    number = answer.field(name)
    if not isinstance(number, int):
        raise Fatal(f"schema registry answered without {name}", hint="is it one of Confluent's API?")
    return number

"""The bundled registry over Confluent's REST API: paths, status and error codes as Schema Registry has them.

    subjects         list, versions, one version, its schema, look-up by POST, register, delete (soft, then permanent)
    schemas          by id, its subjects and versions, types, all
    compatibility    of a schema with one version or with as many as the level says
    config           levels, global and of a subject
    mode             READWRITE, always: others are refused

Differs from Confluent's in this: a schema stays under its id when the version that had it is deleted permanently, and
the number of such a version is not used again; schemas are compared as JSON, the order of properties aside; there are
no references, no contexts, and no types but Avro.
Source: Confluent Schema Registry, REST resources and `Errors`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast, get_args

import fastavro

from tailrace.codec.compatibility import problems
from tailrace.codec.registry import AvroSchema, Compatibility, RegisteredSchema
from tailrace.codec.registry_store import BundledRegistry
from tailrace.server.endpoint import Handler, Question, Refusal

Endpoint: TypeAlias = "tuple[str, str, Handler]"

_MAX_VERSION = 2**31 - 1
_MODE = "READWRITE"
_MODES = ("READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT")


class RegistryApi:
    """Answers for one registry. Its methods are called one at a time."""

    def __init__(self, registry: BundledRegistry) -> None:
        self._registry = registry

    def endpoints(self) -> Iterator[Endpoint]:
        """Yield method, path and handler, in the order in which paths are tried."""
        subject, version = "/subjects/{subject:path}", "/subjects/{subject:path}/versions/{version}"
        yield "GET", "/subjects", self._subjects
        yield "GET", f"{version}/schema", lambda ask: self._version(ask).schema
        yield "GET", f"{version}/referencedby", self._referrers
        yield "GET", version, lambda ask: _told(self._version(ask))
        yield "DELETE", version, self._delete_version
        yield "GET", f"{subject}/versions", lambda ask: [each.version for each in self._versions(ask)]
        yield "POST", f"{subject}/versions", self._register
        yield "POST", subject, self._look_up
        yield "DELETE", subject, self._delete_subject
        yield "GET", "/schemas", self._all_schemas
        yield "GET", "/schemas/types", lambda _: ["AVRO"]
        yield "GET", "/schemas/ids/{id}", lambda ask: {"schema": _dump(self._by_id(ask))}
        yield "GET", "/schemas/ids/{id}/schema", self._by_id
        yield "GET", "/schemas/ids/{id}/subjects", lambda ask: sorted({each.subject for each in self._usages(ask)})
        yield "GET", "/schemas/ids/{id}/versions", self._usages_told
        yield "POST", "/compatibility/subjects/{subject:path}/versions/{version}", self._compatible_with_one
        yield "POST", "/compatibility/subjects/{subject:path}/versions", self._compatible
        yield "GET", "/config", lambda _: {"compatibilityLevel": self._registry.compatibility()}
        yield "PUT", "/config", self._set_level
        yield "DELETE", "/config", self._unset_global_level
        yield "GET", "/config/{subject:path}", self._level
        yield "PUT", "/config/{subject:path}", self._set_level
        yield "DELETE", "/config/{subject:path}", self._unset_level
        yield "GET", "/mode", lambda _: {"mode": _MODE}
        yield "PUT", "/mode", self._set_mode
        yield "GET", "/mode/{subject:path}", self._mode
        yield "PUT", "/mode/{subject:path}", self._set_mode

    def _subjects(self, ask: Question) -> object:
        live, prefix = self._registry.subjects(), ask.query.get("subjectPrefix", "")
        names: Sequence[str] = live
        if ask.flag("deletedOnly"):
            names = [name for name in self._registry.subjects(deleted=True) if name not in live]
        elif ask.flag("deleted"):
            names = self._registry.subjects(deleted=True)
        return [name for name in names if name.startswith(prefix)]

    def _versions(self, ask: Question, *, deleted: bool = False) -> Sequence[RegisteredSchema]:
        subject, deleted = ask.path["subject"], deleted or ask.flag("deleted")
        if subject not in self._registry.subjects(deleted=deleted):
            raise _no_subject(subject)
        return self._registry.versions(subject, deleted=deleted)

    def _version(self, ask: Question, *, deleted: bool = False) -> RegisteredSchema:
        wanted, versions = _number(ask.path["version"]), self._versions(ask, deleted=deleted)
        found = versions[-1:] if wanted is None else [each for each in versions if each.version == wanted]
        if not found:
            raise Refusal(404, 40402, f"Version {wanted} not found.")
        return found[0]

    def _referrers(self, ask: Question) -> object:
        self._version(ask)
        return []

    def _register(self, ask: Question) -> object:
        if ask.body.get("id") not in {None, -1, 0}:
            raise Refusal(422, 42205, f"Subject {ask.path['subject']} is not in import mode")
        return {"id": self._registry.register(ask.path["subject"], _schema(ask.body)).id}

    def _look_up(self, ask: Question) -> object:
        subject, deleted = ask.path["subject"], ask.flag("deleted")
        if subject not in self._registry.subjects(deleted=deleted):
            raise _no_subject(subject)
        found = self._registry.look_up(subject, _schema(ask.body), deleted=deleted)
        if found is None:
            raise Refusal(404, 40403, "Schema not found")
        return _told(found)

    def _delete_version(self, ask: Question) -> object:
        subject, permanent = ask.path["subject"], ask.flag("permanent")
        found = self._version(ask, deleted=True)
        place = f"Subject '{subject}' Version {found.version}"
        is_live = self._is_live(found)
        if permanent and is_live:
            raise Refusal(404, 40407, f"{place} was not deleted first before being permanently deleted")
        if not permanent and not is_live:
            raise Refusal(404, 40406, f"{place} was soft deleted. Set permanent=true to delete permanently")
        self._registry.delete(subject, [found.version], permanent=permanent)
        return found.version

    def _delete_subject(self, ask: Question) -> object:
        subject, permanent = ask.path["subject"], ask.flag("permanent")
        everything = self._versions(ask, deleted=True)
        live = [each for each in everything if self._is_live(each)]
        if permanent and live:
            raise Refusal(404, 40405, f"Subject '{subject}' was not deleted first before being permanently deleted")
        if not permanent and not live:
            raise Refusal(404, 40404, f"Subject '{subject}' was soft deleted. Set permanent=true to delete permanently")
        versions = [each.version for each in (everything if permanent else live)]
        self._registry.delete(subject, versions, permanent=permanent)
        if self._registry.own_compatibility(subject) is not None:
            self._registry.set_compatibility(None, subject)
        return versions

    def _is_live(self, registered: RegisteredSchema) -> bool:
        subject = registered.subject
        return subject in self._registry.subjects() and registered in self._registry.versions(subject)

    def _all_schemas(self, ask: Question) -> object:
        prefix, deleted = ask.query.get("subjectPrefix", ""), ask.flag("deleted")
        listed = [
            self._registry.versions(subject, deleted=deleted)
            for subject in self._registry.subjects(deleted=deleted)
            if subject.startswith(prefix)
        ]
        newest = ask.flag("latestOnly")
        return [_told(each) for versions in listed for each in (versions[-1:] if newest else versions)]

    def _by_id(self, ask: Question) -> AvroSchema:
        text = ask.path["id"]
        if not text.isdecimal():
            raise Refusal(404, 404, "HTTP 404 Not Found")
        return self._registry.by_id(int(text))

    def _usages(self, ask: Question) -> Sequence[RegisteredSchema]:
        self._by_id(ask)
        return self._registry.usages(int(ask.path["id"]), deleted=ask.flag("deleted"))

    def _usages_told(self, ask: Question) -> object:
        return [{"subject": each.subject, "version": each.version} for each in self._usages(ask)]

    def _compatible(self, ask: Question) -> object:
        return _verdict(ask, self._registry.check(ask.path["subject"], _schema(ask.body)))

    def _compatible_with_one(self, ask: Question) -> object:
        subject, schema = ask.path["subject"], _schema(ask.body)
        if _number(ask.path["version"]) is None and subject not in self._registry.subjects():
            return _verdict(ask, ())
        level = self._registry.compatibility(subject)
        return _verdict(ask, problems(schema, [self._version(ask).schema], level))

    def _level(self, ask: Question) -> object:
        subject = ask.path["subject"]
        own = self._registry.own_compatibility(subject)
        if own is None and not ask.flag("defaultToGlobal"):
            raise Refusal(404, 40408, f"Subject '{subject}' does not have subject-level compatibility configured")
        return {"compatibilityLevel": own or self._registry.compatibility()}

    def _set_level(self, ask: Question) -> object:
        level = str(ask.body.get("compatibility", "")).upper()
        if level not in get_args(Compatibility):
            raise Refusal(
                422, 42203, f"Invalid compatibility level. Valid values are {', '.join(get_args(Compatibility))}"
            )
        self._registry.set_compatibility(cast("Compatibility", level), ask.path.get("subject"))
        return {"compatibility": level}

    def _unset_level(self, ask: Question) -> object:
        subject = ask.path["subject"]
        before = self._registry.own_compatibility(subject)
        if before is None:
            raise _no_subject(subject)
        self._registry.set_compatibility(None, subject)
        return {"compatibilityLevel": before}

    def _unset_global_level(self, _: Question) -> object:
        before = self._registry.compatibility()
        self._registry.set_compatibility(None)
        return {"compatibilityLevel": before}

    def _mode(self, ask: Question) -> object:
        if not ask.flag("defaultToGlobal"):
            subject = ask.path["subject"]
            raise Refusal(404, 40409, f"Subject '{subject}' does not have subject-level mode configured")
        return {"mode": _MODE}

    def _set_mode(self, ask: Question) -> object:
        mode = str(ask.body.get("mode", "")).upper()
        if mode not in _MODES:
            raise Refusal(422, 42204, f"Invalid mode. Valid values are {', '.join(_MODES)}")
        if mode != _MODE:
            raise Refusal(422, 42205, f"mode {mode} is not supported: this registry is always {_MODE}")
        return {"mode": _MODE}


def _schema(body: Mapping[str, object]) -> AvroSchema:
    """Return the schema in a request's body, if it is one."""
    kind, text = body.get("schemaType") or "AVRO", body.get("schema")
    if kind != "AVRO":
        raise Refusal(422, 42201, f"Invalid schema type {kind}: this registry keeps Avro schemas")
    if body.get("references"):
        raise Refusal(422, 42201, "Invalid schema: references to other schemas are not supported")
    if not isinstance(text, str) or not text:
        raise Refusal(422, 42201, "Empty schema")
    try:
        schema = json.loads(text)
        fastavro.parse_schema(_without_logical_types(schema))
    except Exception as error:  # fastavro raises whatever it happens upon
        raise Refusal(422, 42201, f"Invalid schema {text[:200]}: {type(error).__name__}: {error}") from error
    return cast("AvroSchema", schema)


def _without_logical_types(schema: Any) -> Any:
    """Return the schema as Avro itself sees it: fastavro refuses some precisions that Confluent's registry takes."""
    if isinstance(schema, Mapping):
        return {name: _without_logical_types(part) for name, part in schema.items() if name != "logicalType"}
    if isinstance(schema, list):
        return [_without_logical_types(part) for part in schema]
    return schema


def _number(version: str) -> int | None:
    """Return the version that a path names; None is the latest."""
    if version in {"latest", "-1"}:
        return None
    if not version.isdecimal() or not 1 <= int(version) <= _MAX_VERSION:
        raise Refusal(
            422,
            42202,
            f"The specified version '{version}' is not a valid version id. "
            'Allowed values are between [1, 2^31-1] and the string "latest"',
        )
    return int(version)


def _told(registered: RegisteredSchema) -> dict[str, object]:
    return {
        "subject": registered.subject,
        "version": registered.version,
        "id": registered.id,
        "schema": _dump(registered.schema),
    }


def _verdict(ask: Question, found: Sequence[str]) -> dict[str, object]:
    verdict: dict[str, object] = {"is_compatible": not found}
    return {**verdict, "messages": list(found)} if ask.flag("verbose") else verdict


def _dump(schema: AvroSchema) -> str:
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)


def _no_subject(subject: str) -> Refusal:
    return Refusal(404, 40401, f"Subject '{subject}' not found.")

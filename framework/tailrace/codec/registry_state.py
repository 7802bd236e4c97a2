"""What the entries of a registry add up to, wherever they are kept.

    {"op":"schema","id":1,"schema":{…}}                                     ids count from 1 without gaps
    {"op":"version","subject":"…","version":1,"id":1,"incompatible":"…"?}
    {"op":"level","subject":"…"|null,"level":"BACKWARD"|null}               subject null: the global level;
                                                                            level null: none of its own any more
    {"op":"delete","subject":"…","version":1,"permanent":true|false}

A deleted version is not listed, compared or found by its schema any more, and its number is not used again. Its
schema stays under its id for ever, also where it was deleted permanently: the log may hold records written with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, cast

from tailrace.codec.registry import AvroSchema, Compatibility, RegisteredSchema, canonical_text

DEFAULT_LEVEL: Compatibility = "BACKWARD"
"""Confluent's default; see docs/decisions/0005-incompatible-schemas.md for what follows when a table breaks it."""

Entry: TypeAlias = "Mapping[str, object]"


@dataclass(slots=True)
class RegistryState:
    """Schemas, subjects and levels. `apply` raises ValueError, LookupError or TypeError for what is no entry."""

    schemas: dict[int, AvroSchema] = field(default_factory=dict)
    levels: dict[str | None, Compatibility] = field(default_factory=dict)
    _ids: dict[str, int] = field(default_factory=dict)
    _versions: dict[str, dict[int, RegisteredSchema]] = field(default_factory=dict)
    _deleted: dict[str, dict[int, bool]] = field(default_factory=dict)
    """Versions that are deleted; true: permanently."""

    def apply(self, entry: Entry) -> None:
        """Take one entry in."""
        match entry["op"]:
            case "schema":
                schema_id, schema = cast("int", entry["id"]), cast("AvroSchema", entry["schema"])
                self.schemas[schema_id] = schema
                self._ids[canonical_text(schema)] = schema_id
            case "version":
                subject, version = str(entry["subject"]), cast("int", entry["version"])
                schema_id, incompatible = cast("int", entry["id"]), str(entry.get("incompatible", ""))
                registered = RegisteredSchema(subject, version, schema_id, self.schemas[schema_id], incompatible)
                self._versions.setdefault(subject, {})[version] = registered
            case "level":
                self._set_level(cast("str | None", entry["subject"]), cast("Compatibility | None", entry["level"]))
            case "delete":
                subject, version = str(entry["subject"]), cast("int", entry["version"])
                known = self._versions[subject][version]
                self._deleted.setdefault(subject, {})[known.version] = bool(entry["permanent"])
            case other:
                raise ValueError(f"unknown entry {other}")

    def _set_level(self, subject: str | None, level: Compatibility | None) -> None:
        if level is None:
            self.levels.pop(subject, None)
        else:
            self.levels[subject] = level

    def subjects(self, *, deleted: bool = False) -> list[str]:
        """Return the subjects that have versions, sorted; `deleted` has those included that had some."""
        return sorted(subject for subject in self._versions if self.versions(subject, deleted=deleted))

    def versions(self, subject: str, *, deleted: bool = False) -> list[RegisteredSchema]:
        """Return the versions of a subject, oldest first; `deleted` has those included that are not gone for good."""
        gone = self._deleted.get(subject, {})
        return [
            entry
            for version, entry in sorted(self._versions.get(subject, {}).items())
            if version not in gone or (deleted and not gone[version])
        ]

    def find(self, subject: str, schema: AvroSchema, *, deleted: bool = False) -> RegisteredSchema | None:
        """Return the newest version of `subject` that equals `schema`."""
        schema_id = self._ids.get(canonical_text(schema))
        found = [entry for entry in self.versions(subject, deleted=deleted) if entry.id == schema_id]
        return found[-1] if found else None

    def level(self, subject: str | None) -> Compatibility:
        """Return the level of `subject`, or the global one where it has none of its own."""
        return self.levels.get(subject) or self.levels.get(None) or DEFAULT_LEVEL

    def compared(self, subject: str) -> list[AvroSchema]:
        """Return the versions that a new one must go with, the newest first: one, or all of them."""
        versions = self.versions(subject)
        compared = versions if self.level(subject).endswith("_TRANSITIVE") else versions[-1:]
        return [version.schema for version in reversed(compared)]

    def addition(self, subject: str, schema: AvroSchema, broken: str) -> list[Entry]:
        """Return the entries that make `schema` the next version of `subject`."""
        entries: list[Entry] = []
        schema_id = self._ids.get(canonical_text(schema))
        if schema_id is None:
            schema_id = max(self.schemas, default=0) + 1
            entries.append({"op": "schema", "id": schema_id, "schema": schema})
        version = max(self._versions.get(subject, {}), default=0) + 1
        entry: dict[str, object] = {"op": "version", "subject": subject, "version": version, "id": schema_id}
        return [*entries, {**entry, "incompatible": broken} if broken else entry]


Decide: TypeAlias = Callable[[RegistryState], Sequence[Entry]]


class Ledger(Protocol):
    """An append-only list of entries that several processes share, and what it adds up to."""

    @property
    def name(self) -> str:
        """What to call it in a message."""
        ...

    @property
    def state(self) -> RegistryState:
        """What has been read so far; another object once what was read turned out not to have lasted."""
        ...

    def refresh(self) -> None:
        """Read what has been added since."""
        ...

    def change(self, decide: Decide) -> None:
        """Append what `decide` makes of the state, which has in it all that anybody wrote before.

        Nobody else writes in between; `decide` may be called again where somebody did, and whatever it raises ends the
        change. On return the entries are durable and in the state, and so is all that `decide` has seen.
        """
        ...

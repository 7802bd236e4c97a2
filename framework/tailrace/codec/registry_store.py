"""The registry that comes with Tailrace: decisions about schemas, on entries that are kept in a file or elsewhere.

Any number of processes use the same one at a time; what makes that safe is where the entries are (`Ledger`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from tailrace.codec.compatibility import problems
from tailrace.codec.registry import (
    AvroSchema,
    Compatibility,
    IncompatibleSchema,
    Part,
    RegisteredSchema,
    UnknownSchema,
    subject_name,
)
from tailrace.codec.registry_file import FileLedger
from tailrace.codec.registry_state import Entry, Ledger, RegistryState
from tailrace.errors import ConfigError


class BundledRegistry:
    """Implements `Registry` on a ledger; a path stands for the files in that directory. Not for several threads."""

    def __init__(self, place: Path | Ledger) -> None:
        self._ledger: Ledger = FileLedger(place) if isinstance(place, Path) else place

    def subject(self, topic: str, part: Part, schema: AvroSchema) -> str:
        """Return `<topic>-key` or `<topic>-value`."""
        return subject_name(topic, part, schema)

    def register(self, subject: str, schema: AvroSchema, *, force: bool = False) -> RegisteredSchema:
        """Return the version of `subject` that equals `schema`, made durable first if it is new.

        Raises `IncompatibleSchema` where it breaks the subject's level, unless `force` is set.
        """

        def decide(state: RegistryState) -> Sequence[Entry]:
            if state.find(subject, schema) is not None:
                return ()
            level = state.level(subject)
            broken = problems(schema, state.compared(subject), level)
            if broken and not force:
                raise IncompatibleSchema(subject, level, broken)
            return state.addition(subject, schema, "; ".join(broken))

        self._ledger.change(decide)
        registered = self._ledger.state.find(subject, schema)
        assert registered is not None
        return registered

    def by_id(self, schema_id: int) -> AvroSchema:
        """Return the schema; raises `UnknownSchema`."""
        if schema_id not in self._ledger.state.schemas:
            self._ledger.refresh()
        try:
            return self._ledger.state.schemas[schema_id]
        except KeyError:
            raise UnknownSchema(
                f"registry {self._ledger.name} has no schema with id {schema_id}",
                hint="the records may come from another log: a log and its registry belong together",
            ) from None

    def subjects(self, *, deleted: bool = False) -> Sequence[str]:
        """Return all subjects, sorted; `deleted` has those included that were deleted, but not permanently."""
        return self._fresh().subjects(deleted=deleted)

    def versions(self, subject: str, *, deleted: bool = False) -> Sequence[RegisteredSchema]:
        """Return all versions, oldest first; raises `UnknownSchema` for a subject that there is not."""
        versions = self._fresh().versions(subject, deleted=deleted)
        if not versions:
            raise UnknownSchema(f"registry {self._ledger.name} has no subject {subject}")
        return tuple(versions)

    def look_up(self, subject: str, schema: AvroSchema, *, deleted: bool = False) -> RegisteredSchema | None:
        """Return the version of `subject` that equals `schema`, if there is one."""
        return self._fresh().find(subject, schema, deleted=deleted)

    def usages(self, schema_id: int, *, deleted: bool = False) -> Sequence[RegisteredSchema]:
        """Return the versions of all subjects that have this schema."""
        state = self._fresh()
        listed = [state.versions(subject, deleted=deleted) for subject in state.subjects(deleted=deleted)]
        return [entry for versions in listed for entry in versions if entry.id == schema_id]

    def check(self, subject: str, schema: AvroSchema) -> Sequence[str]:
        """Return what `schema` would break in `subject` at its level; empty if nothing, or nothing is there yet."""
        state = self._fresh()
        return problems(schema, state.compared(subject), state.level(subject))

    def compatibility(self, subject: str | None = None) -> Compatibility:
        """Return the level of `subject`, or the global one where it has none of its own."""
        return self._fresh().level(subject)

    def own_compatibility(self, subject: str) -> Compatibility | None:
        """Return the level that was set for `subject`, if there is one."""
        return self._fresh().levels.get(subject)

    def set_compatibility(self, level: Compatibility | None, subject: str | None = None) -> None:
        """Set the level of `subject`, or the global one; None takes it away again, and what stands above it holds.

        Raises `ConfigError` for a level that there is not.
        """
        if level is not None and level not in get_args(Compatibility):
            raise ConfigError(
                f"unknown compatibility level {level}", hint=f"one of {', '.join(get_args(Compatibility))}"
            )
        self._ledger.change(lambda _: [{"op": "level", "subject": subject, "level": level}])

    def delete(self, subject: str, versions: Sequence[int], *, permanent: bool = False) -> None:
        """Delete versions of a subject that are there, or, permanently, that have been deleted before.

        The schemas stay under their ids: records may have been written with them.
        """
        entries: list[Entry] = [
            {"op": "delete", "subject": subject, "version": version, "permanent": permanent} for version in versions
        ]
        self._ledger.change(lambda _: entries)

    def _fresh(self) -> RegistryState:
        self._ledger.refresh()
        return self._ledger.state

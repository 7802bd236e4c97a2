"""The registry that comes with Tailrace: one append-only file that any number of processes read and write.

    <path>/registry.jsonl     one JSON object a line, each followed by a newline
    {"op":"schema","id":1,"schema":{…}}                       ids count from 1 without gaps
    {"op":"version","subject":"…","version":1,"id":1,"incompatible":"…"?}
    {"op":"level","subject":"…"|null,"level":"BACKWARD"}      null: the global level

    <path>/registry.lock      held (flock) by whoever appends

A line counts once its newline is there. A crash can leave an unfinished last line: readers stop before it, and the
next writer cuts it off before it appends. Every append is fsynced before it is answered. What one process has read it
keeps; it looks for more when it is asked for something that it does not know, and before every decision to write.
What this does not do: delete subjects or versions.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, get_args

from tailrace.codec.compatibility import problems
from tailrace.codec.registry import (
    AvroSchema,
    Compatibility,
    IncompatibleSchema,
    RegisteredSchema,
    UnknownSchema,
)
from tailrace.errors import ConfigError, Fatal, Retriable

DEFAULT_LEVEL: Compatibility = "BACKWARD"
"""Confluent's default; see docs/decisions/0005-incompatible-schemas.md for what follows when a table breaks it."""

_FILE_MODE = 0o644


@dataclass(slots=True)
class _State:
    """What the lines read so far add up to."""

    read: int = 0
    """Bytes of whole lines."""
    schemas: dict[int, AvroSchema] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    versions: dict[str, list[RegisteredSchema]] = field(default_factory=dict)
    levels: dict[str | None, Compatibility] = field(default_factory=dict)


class BundledRegistry:
    """Implements `Registry` on a directory, which is made by the first registration."""

    def __init__(self, path: Path) -> None:
        self._directory = path
        self._file = path / "registry.jsonl"
        self._state = _State()
        self._synced = 0

    def register(self, subject: str, schema: AvroSchema, *, force: bool = False) -> RegisteredSchema:
        """Return the version of `subject` that equals `schema`, made durable first if it is new.

        Raises `IncompatibleSchema` where it breaks the subject's level, unless `force` is set.
        """
        text = canonical_text(schema)
        with self._locked() as descriptor:
            known = self._known(subject, text)
            if known is not None:
                self._sync(descriptor)  # whoever wrote it may have died before it was durable
                return known
            level = self._level(subject)
            broken = problems(schema, self._compared(subject, level), level)
            if broken and not force:
                raise IncompatibleSchema(subject, level, broken)
            return self._add_version(descriptor, subject, schema, "; ".join(broken))

    def by_id(self, schema_id: int) -> AvroSchema:
        """Return the schema; raises `UnknownSchema`."""
        if schema_id not in self._state.schemas:
            self._refresh()
        try:
            return self._state.schemas[schema_id]
        except KeyError:
            raise UnknownSchema(
                f"registry {self._directory} has no schema with id {schema_id}",
                hint="the records may come from another log: a log and its registry belong together",
            ) from None

    def subjects(self) -> Sequence[str]:
        """Return all subjects, sorted."""
        self._refresh()
        return sorted(self._state.versions)

    def versions(self, subject: str) -> Sequence[RegisteredSchema]:
        """Return all versions, oldest first; raises `UnknownSchema` for a subject that there is not."""
        self._refresh()
        versions = self._state.versions.get(subject)
        if versions is None:
            raise UnknownSchema(f"registry {self._directory} has no subject {subject}")
        return tuple(versions)

    def check(self, subject: str, schema: AvroSchema) -> Sequence[str]:
        """Return what `schema` would break in `subject` at its level; empty if nothing, or nothing is there yet."""
        self._refresh()
        level = self._level(subject)
        return problems(schema, self._compared(subject, level), level)

    def compatibility(self, subject: str | None = None) -> Compatibility:
        """Return the level of `subject`, or the global one where it has none of its own."""
        self._refresh()
        return self._level(subject)

    def set_compatibility(self, level: Compatibility, subject: str | None = None) -> None:
        """Set the level of `subject`, or the global one; raises `ConfigError` for a level that there is not."""
        if level not in get_args(Compatibility):
            raise ConfigError(
                f"unknown compatibility level {level}", hint=f"one of {', '.join(get_args(Compatibility))}"
            )
        with self._locked() as descriptor:
            self._append(descriptor, {"op": "level", "subject": subject, "level": level})

    def _known(self, subject: str, text: str) -> RegisteredSchema | None:
        schema_id = self._state.ids.get(text)
        found = [version for version in self._state.versions.get(subject, ()) if version.id == schema_id]
        return found[-1] if found else None

    def _level(self, subject: str | None) -> Compatibility:
        levels = self._state.levels
        return levels.get(subject) or levels.get(None) or DEFAULT_LEVEL

    def _compared(self, subject: str, level: Compatibility) -> list[AvroSchema]:
        """Return the versions that a new one must go with: the latest, or all of them."""
        versions = self._state.versions.get(subject, [])
        compared = versions if level.endswith("_TRANSITIVE") else versions[-1:]
        return [version.schema for version in reversed(compared)]

    def _add_version(self, descriptor: int, subject: str, schema: AvroSchema, broken: str) -> RegisteredSchema:
        schema_id = self._state.ids.get(canonical_text(schema))
        lines: list[dict[str, object]] = []
        if schema_id is None:
            schema_id = len(self._state.schemas) + 1
            lines.append({"op": "schema", "id": schema_id, "schema": schema})
        version = len(self._state.versions.get(subject, ())) + 1
        line: dict[str, object] = {"op": "version", "subject": subject, "version": version, "id": schema_id}
        if broken:
            line["incompatible"] = broken
        self._append(descriptor, *lines, line)
        return self._state.versions[subject][-1]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Be the only writer, with all that others wrote read and an unfinished last line cut off.

        Raises `Retriable` while the disk is full, `Fatal` where the directory cannot be written.
        """
        with contextlib.ExitStack() as stack:
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
                lock = self._open(stack, "registry.lock")
                fcntl.flock(lock, fcntl.LOCK_EX)
                is_new = not self._file.exists()
                descriptor = self._open(stack, self._file.name)
                if is_new:
                    self._sync_directories()
                self._refresh()
                if os.fstat(descriptor).st_size > self._state.read:
                    os.ftruncate(descriptor, self._state.read)
                yield descriptor
            except OSError as error:
                raise _storage_error(self._directory, error) from error

    def _open(self, stack: contextlib.ExitStack, name: str) -> int:
        descriptor = os.open(self._directory / name, os.O_RDWR | os.O_CREAT, _FILE_MODE)
        stack.callback(os.close, descriptor)
        return descriptor

    def _sync_directories(self) -> None:
        for directory in (self._directory, self._directory.parent):
            descriptor = os.open(directory, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _append(self, descriptor: int, *lines: dict[str, object]) -> None:
        octets = b"".join([json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines])
        start = self._state.read
        written = 0
        try:
            while written < len(octets):
                written += os.pwrite(descriptor, octets[written:], start + written)
            os.fsync(descriptor)
            self._synced = start + written
        except OSError:
            with contextlib.suppress(OSError):  # lines that are not durable must not be read as if they were
                os.ftruncate(descriptor, start)
            raise
        self._refresh()

    def _sync(self, descriptor: int) -> None:
        if self._synced < self._state.read:
            os.fsync(descriptor)
            self._synced = self._state.read

    def _refresh(self) -> None:
        """Read the lines that have been added since."""
        try:
            with self._file.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._state.read:  # a writer took back what it could not sync
                    self._state = _State()
                file.seek(self._state.read)
                added = file.read()
        except FileNotFoundError:
            return
        whole = added[: added.rfind(b"\n") + 1]
        for line in whole.splitlines(keepends=True):
            self._apply(line)
            self._state.read += len(line)

    def _apply(self, line: bytes) -> None:
        try:
            self._apply_entry(json.loads(line))
        except (ValueError, LookupError, TypeError) as error:
            raise Fatal(
                f"registry {self._file} is damaged at byte {self._state.read}",
                hint="restore the file from a backup of the log directory",
            ) from error

    def _apply_entry(self, entry: dict[str, object]) -> None:
        state = self._state
        match entry["op"]:
            case "schema":
                schema_id, schema = cast("int", entry["id"]), cast("AvroSchema", entry["schema"])
                state.schemas[schema_id] = schema
                state.ids[canonical_text(schema)] = schema_id
            case "version":
                subject, schema_id = str(entry["subject"]), cast("int", entry["id"])
                state.versions.setdefault(subject, []).append(
                    RegisteredSchema(
                        subject,
                        cast("int", entry["version"]),
                        schema_id,
                        state.schemas[schema_id],
                        str(entry.get("incompatible", "")),
                    )
                )
            case "level":
                state.levels[cast("str | None", entry["subject"])] = cast("Compatibility", entry["level"])
            case other:
                raise ValueError(f"unknown entry {other}")


def _storage_error(directory: Path, error: OSError) -> Retriable | Fatal:
    message = f"cannot write registry {directory}: {error.strerror}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Retriable(message, hint="make space on the disk; the task goes on by itself", patient=True)
    return Fatal(message, hint="check the disk, and that the worker's user may write there")


def canonical_text(schema: AvroSchema) -> str:
    """Return text that is the same for schemas that are the same as JSON, whatever the order of their properties."""
    return json.dumps(schema, sort_keys=True, separators=(",", ":"))

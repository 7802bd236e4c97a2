"""Offsets as Kafka Connect stores them: in its topic, in the file of a stand-alone worker, or as JSON.

    topic   key ["<connector>",{…partition…}], value the offset, null where it was forgotten; the last record counts
    file    `FileOffsetBackingStore`: a java.util.HashMap<byte[], byte[]> of such keys and values, as Java serializes it
    JSON    {"offsets":[{"partition":{…},"offset":{…}}]} as Connect's REST API gives them (no connector's name); or a
            line for each record, key, tab, value, as `kafka-console-consumer --property print.key=true` prints them

Source: Kafka Connect, `OffsetStorageWriter`, `FileOffsetBackingStore`; Java Object Serialization Specification, 6.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tailrace.errors import ConfigError, Fatal
from tailrace.log.backend import LogBackend
from tailrace.position import Json

_JAVA = b"\xac\xed\x00\x05"  # magic and version of a serialized object


@dataclass(frozen=True, slots=True)
class StoredOffset:
    """One offset; `connector` is empty where the form does not tell."""

    connector: str
    partition: Mapping[str, Json]
    offset: Mapping[str, Json]


def offsets_in_file(file: Path) -> list[StoredOffset]:
    """Return the offsets in a file of either form; raises `ConfigError` where it is none."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    try:
        if content.startswith(_JAVA):
            return _newest(_java_map(content))
        return _from_json(content)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{file} holds no offsets of Kafka Connect: {error}",
            hint="give the file of offset.storage.file.filename, or the answer of GET /connectors/<name>/offsets",
        ) from error


def offsets_in_topic(log: LogBackend, topic: str) -> list[StoredOffset]:
    """Return the offsets in a topic of Connect's; raises `Fatal` where there is no such topic, or it is another."""
    partitions = [each.partition for each in log.partitions() if each.topic == topic]
    if not partitions:
        raise Fatal(
            f"the log has no topic {topic}",
            hint="it is the one that offset.storage.topic of the Connect workers names; the log must be that cluster",
        )
    records = [(each.key, each.value) for number in partitions for each in log.records(topic, number, 0)]
    try:
        return _newest(records)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Fatal(f"topic {topic} holds no offsets of Kafka Connect: {error}") from error


def _newest(records: Iterable[tuple[bytes | None, bytes | None]]) -> list[StoredOffset]:
    found: dict[str, StoredOffset] = {}
    for key, value in records:
        if key is None:
            continue
        connector, partition = json.loads(key)
        name = json.dumps([connector, partition], sort_keys=True)
        offset = None if value is None else json.loads(value)
        if offset is None:
            found.pop(name, None)
        else:
            found[name] = StoredOffset(str(connector), dict(partition), dict(offset))
    return list(found.values())


def _from_json(content: bytes) -> list[StoredOffset]:
    text = content.decode()
    if "\t" in text:
        pairs = (line.split("\t", 1) for line in text.splitlines() if line.strip())
        return _newest((key.encode(), None if value.strip() == "null" else value.encode()) for key, value in pairs)
    listed = json.loads(text)["offsets"]
    return [StoredOffset("", dict(each["partition"]), dict(each["offset"])) for each in listed if each["offset"]]


def _java_map(content: bytes) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Yield the entries of a serialized HashMap of byte arrays, the only thing that Connect writes there."""
    stream = _JavaStream(content, len(_JAVA))
    stream.map_header()
    for _ in range(stream.size):
        yield stream.array(), stream.array()


class _JavaStream:
    """Reads TC_OBJECT HashMap, its block of capacity and size, then arrays of bytes or nulls; refuses all else."""

    NULL, REFERENCE, CLASS, OBJECT, ARRAY, BLOCK, END = 0x70, 0x71, 0x72, 0x73, 0x75, 0x77, 0x78

    def __init__(self, content: bytes, at: int) -> None:
        self._content = content
        self._at = at
        self.size = 0

    def map_header(self) -> None:
        self._expect(self.OBJECT)
        self._class("java.util.HashMap")
        self._take(8)  # load factor and threshold
        self._expect(self.BLOCK)
        block = self._take(self._number(1))
        self.size = int.from_bytes(block[4:8], "big")

    def array(self) -> bytes | None:
        kind = self._number(1)
        if kind == self.NULL:
            return None
        if kind != self.ARRAY:
            raise ValueError(f"no array at byte {self._at - 1}")
        if self._content[self._at] == self.REFERENCE:
            self._take(5)  # the class of the first array, once more
        else:
            self._class("[B")
        return self._take(self._number(4))

    def _class(self, expected: str) -> None:
        self._expect(self.CLASS)
        name = self._take(self._number(2)).decode()
        if name != expected:
            raise ValueError(f"{name} where {expected} should be")
        self._take(8 + 1)  # serialVersionUID, flags
        for _ in range(self._number(2)):
            self._take(1)  # the field's type, a primitive one
            self._take(self._number(2))
        self._expect(self.END)
        self._expect(self.NULL)  # no superclass

    def _expect(self, code: int) -> None:
        found = self._number(1)
        if found != code:
            raise ValueError(f"0x{found:02x} where 0x{code:02x} should be, at byte {self._at - 1}")

    def _number(self, width: int) -> int:
        return int.from_bytes(self._take(width), "big")

    def _take(self, count: int) -> bytes:
        taken = self._content[self._at : self._at + count]
        if len(taken) < count:
            raise ValueError(f"it ends at byte {len(self._content)}")
        self._at += count
        return taken


def choose(offsets: Iterable[StoredOffset], *, prefix: str, connector: str | None) -> StoredOffset:
    """Return the offset of a connector by name, or else of a topic prefix; raises `ConfigError` unless it is one."""
    listed = list(offsets)
    found = [each for each in listed if connector in {None, each.connector} and each.partition.get("server") == prefix]
    if len(found) == 1:
        return found[0]
    known = ", ".join(
        f"{each.connector or '?'} (topic.prefix {cast('str', each.partition.get('server'))})" for each in listed
    )
    wanted = f"topic.prefix {prefix}" + (f" of connector {connector}" if connector else "")
    raise ConfigError(
        f"there are {len(found) or 'no'} offsets with {wanted}",
        hint=f"there are those of: {known or 'nobody'}; topic_prefix must be as it was, --name says whose it is",
    )

"""One Avro container file under construction: the bodies of records as they are, behind their coordinates.

    file    => "Obj" 1, metadata map (avro.schema, avro.codec …), sync marker of 16 octets, block*
    block   => count long, size long, records (compressed), sync marker
    record  => __topic string, __partition int, __offset long, __timestamp long,
               __unavailable union(null, array), __headers union(null, array), then the fields of the value

A record is written as its fields one behind the other, so a body of the writer's schema is the rest of the record as it
is: nothing is decoded. Source: Avro specification 1.11, "Object Container Files".
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from io import BufferedWriter
from pathlib import Path
from typing import cast

import zstandard

from tailrace.codec.registry import AvroSchema
from tailrace.core.columnar import Columns
from tailrace.errors import BadRecord, ConfigError
from tailrace.event import StoredRecord
from tailrace_archive.column import column_of
from tailrace_archive.config import ArchiveConfig
from tailrace_archive.layout import FRAME, unavailable
from tailrace_archive.writing import Target

BLOCK_BYTES = 256 * 1024
"""Of records in a block, about: enough to compress well, and what a reader has in memory at a time."""

_CODEC_NAMES = {"zstd": "zstandard", "none": "null"}
_ZSTD_LEVEL = 3

_STRINGS: AvroSchema = ["null", {"type": "array", "items": "string"}]
_HEADER: AvroSchema = {"type": "record", "name": "Header", "namespace": "tailrace", "fields": [
                       {"name": "name", "type": "string"}, {"name": "value", "type": ["null", "bytes"]}]}  # fmt: skip
_PAIRS: AvroSchema = ["null", {"type": "array", "items": _HEADER}]
_COORDINATES: Sequence[Mapping[str, object]] = (
    {"name": "__topic", "type": "string"},
    {"name": "__partition", "type": "int"},
    {"name": "__offset", "type": "long"},
    {"name": "__timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "__unavailable", "type": _STRINGS, "default": None},
    {"name": "__headers", "type": _PAIRS, "default": None},
)


def long(number: int) -> bytes:
    """Return a zig-zag varint."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def sized(octets: bytes) -> bytes:
    """Return octets, or a text's, behind their length."""
    return long(len(octets)) + octets


def file_schema(schema: AvroSchema) -> AvroSchema:
    """Return the schema of a file of such records; raises `BadRecord` where the value is no record."""
    if not isinstance(schema, Mapping) or schema.get("type") != "record":
        raise BadRecord("an Avro file holds records alone, and the value is none")
    name = str(schema["name"])
    namespace = name.rpartition(".")[0] or str(schema.get("namespace", ""))
    taken = {str(field["name"]) for field in _COORDINATES}
    fields = cast("Sequence[Mapping[str, object]]", schema["fields"])
    if clash := sorted(taken & {str(field["name"]) for field in fields}):
        raise BadRecord(f"the value has a field {clash[0]}, which is the archive's own")
    own = {key: value for key, value in schema.items() if key not in {"name", "namespace", "fields"}}
    kept = {"namespace": namespace} if namespace else {}
    return {**own, **kept, "name": f"{name.rpartition('.')[2]}Archived", "fields": [*_COORDINATES, *fields]}


class AvroFile:
    """A file of one topic's partition and one schema. See `writing.OpenFile`."""

    def __init__(self, path: Path, target: Target, shape: _Shape, codec: str) -> None:
        self._path, self._target, self._shape = path, target, shape
        self._codec = codec
        self._compress = compressor(codec)
        self._before = sized(target.topic.encode()) + long(target.partition)
        self._sync = hashlib.md5(str(path).encode(), usedforsecurity=False).digest()
        self._block, self._count = bytearray(), 0
        self._file: BufferedWriter | None = None
        self.written = 0

    @property
    def buffered(self) -> int:
        """Bytes of rows in memory."""
        return len(self._block)

    def extend(self, records: list[StoredRecord], values: list[bytes], first: int) -> int:
        """Take in records whose values are whole; see `writing.OpenFile`."""
        end = self._shape.whole(values, first)
        for place in range(first, end):
            record = records[place]
            self._block += self._before + long(record.offset) + long(record.timestamp_ms) + _headers(record)
            self._block += memoryview(values[place])[FRAME:]
            self._count += 1
            if len(self._block) >= BLOCK_BYTES:
                self.flush()
        return end

    def flush(self) -> None:
        """Write a block."""
        if not self._count:
            return
        file = self._file or self._begin()
        data = self._compress(bytes(self._block))
        self.written += file.write(long(self._count) + sized(data) + self._sync)
        self._block, self._count = bytearray(), 0

    def _begin(self) -> BufferedWriter:
        self._file = self._path.open("wb")
        told = {
            "avro.schema": json.dumps(self._shape.schema),
            "avro.codec": _CODEC_NAMES.get(self._codec, self._codec),
            "tailrace.schema_id": str(self._target.schema_id),
        }
        pairs = b"".join(sized(name.encode()) + sized(value.encode()) for name, value in told.items())
        self.written += self._file.write(b"Obj\x01" + long(len(told)) + pairs + b"\x00" + self._sync)
        return self._file

    def finish(self, first: int, last: int) -> None:  # noqa: ARG002 - the name tells them
        """Write the last block."""
        self.flush()
        self.discard()

    def discard(self) -> None:
        """Let go of the file as it is."""
        if self._file is not None:
            self._file.close()


class _Shape:
    """The schema of files of one kind of record, and whether values are such records."""

    def __init__(self, schema: AvroSchema) -> None:
        self.schema = file_schema(schema)
        plan = column_of(schema).plan
        # Columns that are left out are stepped over, and so found to be what the schema says.
        self._columns = Columns(replace(plan, members=tuple([replace(each, skipped=True) for each in plan.members])))

    def whole(self, values: list[bytes], first: int) -> int:
        """Return the place, from `first` on, of the first value that is none: it would spoil all of its block."""
        return self._columns.extend(values, FRAME, first)


def _headers(record: StoredRecord) -> bytes:
    if not record.headers:
        return b"\x00\x00"
    names = unavailable(record.headers)
    listed = b"\x00" if names is None else b"\x02" + _array([sized(name.encode()) for name in names])
    pairs = [
        sized(name.encode()) + (b"\x00" if value is None else b"\x02" + sized(value)) for name, value in record.headers
    ]
    return listed + b"\x02" + _array(pairs)


def _array(items: Sequence[bytes]) -> bytes:
    return (long(len(items)) + b"".join(items) if items else b"") + b"\x00"


def compressor(codec: str) -> Callable[[bytes], bytes]:
    """Return what compresses a block; raises `ConfigError` where a library is missing."""
    match codec:
        case "zstd":
            compress: Callable[[bytes], bytes] = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress
        case "deflate":
            compress = _deflate
        case "snappy":
            compress = _snappy()
        case _:
            compress = bytes
    return compress


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def _snappy() -> Callable[[bytes], bytes]:
    """Blocks end with the CRC-32 of what they hold uncompressed."""
    import pyarrow as pa

    if not pa.Codec.is_available("snappy"):
        raise ConfigError("compression snappy: this pyarrow has no snappy", hint="choose another")
    codec = pa.Codec("snappy")
    return lambda data: codec.compress(data, asbytes=True) + zlib.crc32(data).to_bytes(4, "big")


class AvroFormat:
    """Makes Avro files; knows the shape of every schema it has met."""

    ending = "avro"

    def __init__(self, config: ArchiveConfig) -> None:
        self._config = config
        self._shapes: dict[int, _Shape] = {}

    def open(self, path: Path, target: Target) -> AvroFile:
        """Return a new file; raises `BadRecord` where the value is no record."""
        shape = self._shapes.get(target.schema_id)
        if shape is None:
            shape = self._shapes[target.schema_id] = _Shape(target.schema)
        return AvroFile(path, target, shape, self._config.compression)

"""One Parquet file under construction: rows in memory, and row groups on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from tailrace.event import StoredRecord
from tailrace_archive.config import ArchiveConfig
from tailrace_archive.layout import Layout, Rows, layout_of
from tailrace_archive.spark import footer
from tailrace_archive.writing import Target

PAGE_BYTES = 256 * 1024
"""Of data pages. Parquet's own 1 MB makes each open column hold as much."""

DICTIONARY_BYTES = 16 * 1024
"""Of the distinct values of a column; beyond it they are written as they are. Under pyarrow's 1 MB no column of numbers
would reach it within a row group, and for numbers that all differ a dictionary costs time, and room."""

Fit: TypeAlias = Callable[[pa.Table], pa.Table]
"""Makes rows of a layout those of the file."""


class ParquetFile:
    """A file of one topic's partition and one schema. See `writing.OpenFile`."""

    ending = "parquet"

    def __init__(self, path: Path, target: Target, layout: Layout, compression: str, *, fit: Fit | None = None) -> None:
        self._path, self._target, self._layout, self._compression = path, target, layout, compression
        self._fit = fit
        self._rows = Rows(target.topic, target.partition, layout)
        self._writer: pq.ParquetWriter | None = None
        self._sink: pa.NativeFile | None = None

    @property
    def buffered(self) -> int:
        """Bytes of rows in memory."""
        return self._rows.size

    @property
    def written(self) -> int:
        """Bytes on disk."""
        return self._sink.tell() if self._sink is not None and not self._sink.closed else 0

    def extend(self, records: list[StoredRecord], values: list[bytes], first: int) -> int:
        """Take in records; see `Rows.extend`."""
        return self._rows.extend(records, values, first)

    def flush(self) -> None:
        """Write the rows in memory as a row group."""
        if not len(self._rows):
            return
        table = self._rows.take()
        if self._fit is not None:
            table = self._fit(table)
        if self._writer is None:
            self._sink = pa.OSFile(str(self._path), "wb")
            self._writer = pq.ParquetWriter(
                self._sink,
                table.schema,
                compression=self._compression,
                data_page_size=PAGE_BYTES,
                dictionary_pagesize_limit=DICTIONARY_BYTES,
            )
        self._writer.write_table(table, row_group_size=table.num_rows)

    def finish(self, first: int, last: int) -> None:
        """Write the rest, and the footer."""
        self.flush()
        if self._writer is None or self._sink is None:
            return
        target = self._target
        told = {
            "tailrace.topic": target.topic,
            "tailrace.partition": str(target.partition),
            "tailrace.first_offset": str(first),
            "tailrace.last_offset": str(last),
            "tailrace.schema_id": str(target.schema_id),
            "tailrace.avro.schema": json.dumps(target.schema),
        }
        if self._fit is None:  # a table of Iceberg has its types elsewhere
            told |= footer(self._layout.schema)
        self._writer.add_key_value_metadata(told)
        self._writer.close()
        self._sink.close()

    def discard(self) -> None:
        """Let go of the file as it is."""
        if self._sink is not None and not self._sink.closed:
            self._sink.close()


class ParquetFormat:
    """Makes Parquet files; knows the layout of every schema it has met."""

    ending = "parquet"

    def __init__(self, config: ArchiveConfig) -> None:
        self._config = config
        self._layouts: dict[int, Layout] = {}

    def open(self, path: Path, target: Target) -> ParquetFile:
        """Return a new file; raises `BadRecord` where records of this schema have no columns."""
        layout = self._layouts.get(target.schema_id)
        if layout is None:
            layout = self._layouts[target.schema_id] = layout_of(target.schema, self._config.layout)
        return ParquetFile(path, target, layout, self._config.compression)

"""Rows of a table's file, a piece at a time.

Pyiceberg's own scan has all rows of a file in memory together, and makes a list or a map of records that is null an
empty one. So files are read without it, where their columns are called what the table's are: of any other, one with
columns that an engine has renamed since, say, or with delete files, it knows how it is to be read.
Source: Iceberg table specification, "Column Projection".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.schema import Schema, index_by_id, index_name_by_id
from pyiceberg.table import FileScanTask, Table

from tailrace_archive.iceberg.catalogue import table_faults
from tailrace_archive.iceberg.shape import file_schema, fitted

PIECE_BYTES = 8 * 1024 * 1024
"""Of rows that are in memory together, about, as they are before they are compressed."""


def rows_of(table: Table, task: FileScanTask, schema: Schema) -> Iterator[pa.Table]:
    """Return the rows of a file; `schema` has the columns that are wanted."""
    columns = file_schema(schema)
    with table_faults(f"read {task.file.file_path}"):
        with table.io.new_input(task.file.file_path).open() as source, pq.ParquetFile(source) as file:
            if not task.delete_files and alike(file.schema_arrow, table.schema()):
                for piece in _pieces(file, columns.names):
                    yield fitted(piece, columns)
                return
        whole = FileScanTask(task.file, task.delete_files)
        for batch in ArrowScan(table.metadata, table.io, schema, AlwaysTrue()).to_record_batches([whole]):
            yield fitted(pa.Table.from_batches([batch]), columns)


def _pieces(file: pq.ParquetFile, names: list[str]) -> Iterator[pa.Table]:
    found = [name for name in names if name in file.schema_arrow.names]
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        count = max(group.num_rows * PIECE_BYTES // max(group.total_byte_size, 1), 1)
        for batch in file.iter_batches(min(count, group.num_rows), [number], found, use_threads=False):
            yield pa.Table.from_batches([batch])


def alike(file: pa.Schema, table: Schema) -> bool:
    """Return whether columns of a file and of its table are called the same where they are the same."""
    if any(field.initial_default is not None for field in index_by_id(table).values()):
        return False
    names = index_name_by_id(table)
    for path, number in _identified([file.field(place) for place in range(len(file))], ""):
        # A column that the table has no longer may have had any name but that of another.
        if number is None or names.get(number, path) != path or (number not in names and path in names.values()):
            return False
    return True


def _identified(fields: list[pa.Field], before: str) -> Iterator[tuple[str, int | None]]:
    """Return the paths of fields, those within them included, and their ids."""
    for field in fields:
        told = (field.metadata or {}).get(b"PARQUET:field_id")
        yield f"{before}{field.name}", None if told is None else int(told)
        yield from _identified(_members(field.type), f"{before}{field.name}.")


def _members(type_: pa.DataType) -> list[pa.Field]:
    if pa.types.is_struct(type_):
        struct = cast("pa.StructType", type_)
        return [struct.field(place) for place in range(struct.num_fields)]
    if pa.types.is_list(type_):
        return [cast("pa.ListType[pa.DataType]", type_).value_field.with_name("element")]
    if pa.types.is_map(type_):
        of = cast("pa.MapType", type_)
        return [of.key_field.with_name("key"), of.item_field.with_name("value")]
    return []

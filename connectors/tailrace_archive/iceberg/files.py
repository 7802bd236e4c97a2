"""Files of Iceberg tables: written on the local disk as the archive's are, and brought to the table when finished."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from uuid import uuid4

from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from tailrace_archive.iceberg.catalogue import table_faults
from tailrace_archive.iceberg.shape import file_schema, fitted
from tailrace_archive.layout import Layout
from tailrace_archive.parquet import Fit, ParquetFile
from tailrace_archive.writing import Target


class TableFormat:
    """Makes files whose columns are those of the tables that they are for; told beforehand which those are."""

    ending = "parquet"

    def __init__(self, compression: str) -> None:
        self._compression = compression
        self._known: dict[tuple[str, int], tuple[Layout, Fit | None]] = {}

    def learn(self, topic: str, schema_id: int, layout: Layout, table: Table | None) -> None:
        """Take the columns for values of a schema: those of `table` or, without one, the layout's own."""
        fit = partial(fitted, schema=file_schema(table.schema())) if table is not None else None
        self._known[topic, schema_id] = layout, fit

    def open(self, path: Path, target: Target) -> ParquetFile:
        """Return a new file."""
        layout, fit = self._known[target.topic, target.schema_id]
        return ParquetFile(path, target, layout, self._compression, fit=fit)


def bring(table: Table, file: Path, name: str) -> DataFile:
    """Bring a finished file to where the table's are; it is none of them before a commit says so."""
    place = table.location_provider().new_data_location(f"{name}-{uuid4().hex}.parquet")
    with table_faults(f"write {place}"):
        with file.open("rb") as source, table.io.new_output(place).create(overwrite=True) as sink:
            shutil.copyfileobj(source, sink, 1024 * 1024)
        return parquet_file_to_data_file(table.io, table.metadata, place)

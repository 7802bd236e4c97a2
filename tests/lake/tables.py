"""Iceberg tables as readers see them: by pyiceberg's own scan."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import NoSuchTableError


def scanned(folder: Path, table: str, *, rows: str = "") -> pa.Table:
    """The rows of a table in a sink's folder, those alone that fulfil `rows`; none where there is no table."""
    uri = f"sqlite:///{folder}/catalog.db"
    if not (folder / "catalog.db").exists():
        return pa.table({})
    with closing(load_catalog("default", type="sql", uri=uri, warehouse=f"file://{folder}")) as catalog:
        try:
            loaded = catalog.load_table(table)
        except NoSuchTableError:
            return pa.table({})
        return loaded.scan(row_filter=rows).to_arrow() if rows else loaded.scan().to_arrow()


def stored(folder: Path, table: str) -> pa.Table:
    """The rows as they lie in the files: pyiceberg's scan makes what is null an empty list, where it has records."""
    with closing(load_catalog("default", type="sql", uri=f"sqlite:///{folder}/catalog.db")) as catalog:
        files = [task.file.file_path.removeprefix("file://") for task in catalog.load_table(table).scan().plan_files()]
    return pa.concat_tables([pq.ParquetFile(file).read() for file in files])


def rename(folder: Path, table: str, column: str, name: str) -> None:
    """Call a column otherwise, as other engines do."""
    uri = f"sqlite:///{folder}/catalog.db"
    with (
        closing(load_catalog("default", type="sql", uri=uri)) as catalog,
        catalog.load_table(table).update_schema() as update,
    ):
        update.rename_column(column, name)


def set_aside(folder: Path, table: str, name: str) -> None:
    """Give a table another name."""
    with closing(load_catalog("default", type="sql", uri=f"sqlite:///{folder}/catalog.db")) as catalog:
        catalog.rename_table(table, name)


def table_rows(folder: Path, table: str, by: str) -> list[dict[str, Any]]:
    """The rows of a table, in the order of a column."""
    return sorted(scanned(folder, table).to_pylist(), key=lambda row: row[by])

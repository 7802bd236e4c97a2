"""An archive as readers see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq

Row = dict[str, Any]


def published(folder: Path) -> list[Path]:
    """All files that a reader finds: names with an underscore or dot in front are nobody's business."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(
        path for path in files if not any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)
    )


def rows_of(path: Path) -> list[Row]:
    """The rows of one file, by pyarrow or fastavro."""
    if path.suffix == ".avro":
        with path.open("rb") as file:
            return [dict(row) for row in fastavro.reader(file)]  # type: ignore[arg-type]
    return pq.ParquetFile(path).read().to_pylist()  # type: ignore[no-any-return]


def rows(folder: Path) -> list[Row]:
    """All rows, in the order of their offsets."""
    found = [row for path in published(folder) for row in rows_of(path)]
    return sorted(found, key=lambda row: (row["__topic"], row["__partition"], row["__offset"]))


def offsets(folder: Path) -> list[int]:
    return [row["__offset"] for row in rows(folder)]

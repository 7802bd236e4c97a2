"""The settings of the sink `iceberg`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from tailrace_archive.config import FilesConfig


class IcebergConfig(FilesConfig):
    """`type: iceberg`."""

    path: Path | None = Field(
        None, description="folder of the tables and, unless `catalog` says another, of a catalogue in SQLite"
    )
    catalog: dict[str, str] = Field(
        {}, description="the catalogue, as pyiceberg's load_catalog takes it: type, uri, warehouse, s3.endpoint …"
    )
    catalog_name: str = Field("default", min_length=1, description="name of the catalogue, which readers say, too")
    mode: Literal["changelog", "state"] = Field(
        "changelog", description="every change as a row, or the rows as they are now"
    )
    namespace: str = Field(
        "", pattern=r"^[A-Za-z0-9_]*$", description="of all tables; the topic's name without its last part if not set"
    )
    partition_by: Literal["hour", "day", "none"] = Field(
        "hour", description="of a changelog, by the time of its records; a state is not partitioned"
    )
    without_key: Literal["append", "refuse"] = Field(
        "append", description="state of tables without a key: inserts are appended, or nothing is taken"
    )
    compression: Literal["zstd", "snappy", "gzip", "lz4", "none"] = Field("zstd", description="of the files")

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.path is None and not self.catalog:
            raise ValueError("neither path nor catalog is set: set path: to a folder, or catalog: as pyiceberg has it")
        return self

    def properties(self) -> dict[str, str]:
        """Return what pyiceberg is to know of the catalogue."""
        if self.path is None:
            return dict(self.catalog)
        folder = self.path.absolute()
        return {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}", **self.catalog}

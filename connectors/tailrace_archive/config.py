"""The settings of the archive sink."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, PositiveFloat, field_validator, model_validator

from tailrace.sink import SinkConfig

_COMPRESSIONS = {
    "parquet": ("zstd", "snappy", "gzip", "lz4", "none"),
    "avro": ("zstd", "deflate", "snappy", "none"),
}


class FilesConfig(SinkConfig):
    """What sinks have in common that write files and publish them now and then."""

    commits_when_dry: ClassVar[bool] = False

    layout: Literal["envelope", "flat"] = Field(
        "envelope", description="the whole envelope, or the row's columns beside each other (parquet only)"
    )
    roll_bytes: int = Field(128 * 1024 * 1024, gt=0, description="size at which a file is finished")
    roll_rows: int = Field(5_000_000, gt=0, description="rows at which a file is finished")
    commit_interval: PositiveFloat = Field(
        300.0, description="seconds between publications: what is not full by then is published as it is"
    )
    commit_bytes: int = Field(
        4 * 1024 * 1024 * 1024, gt=0, description="bytes from the log after which all is published before its time"
    )
    open_files: int = Field(200, gt=0, description="most files that are written at a time")
    buffer_bytes: int = Field(32 * 1024 * 1024, gt=0, description="most bytes of rows in memory, of all files together")
    spool: Path | None = Field(
        None, description="local folder for unfinished files of a remote store; one for temporary files if not set"
    )


class ArchiveConfig(FilesConfig):
    """`type: archive`."""

    path: Path | str = Field(description="folder, or url of one: s3://bucket/prefix, webhdfs://host:9870/path …")
    options: dict[str, object] = Field(
        {}, description="of the store, as its fsspec driver names them: endpoint, region, credentials"
    )
    format: Literal["parquet", "avro"] = Field("parquet", description="what the files are")
    compression: str = Field("zstd", description="parquet: zstd, snappy, gzip, lz4; avro: zstd, deflate, snappy; none")
    partition_by: Literal["hour", "day", "partition"] = Field(
        "hour", description="folders of a topic: dt=…/hour=…, dt=… alone, or partition=…"
    )
    time_field: str = Field(
        "", description="field of the envelope that says when, as after.created_at; the record's time if not set"
    )
    time_zone: str = Field("UTC", description="of the folders' days and hours")

    @field_validator("path", mode="before")
    @classmethod
    def _local(cls, path: object) -> object:
        """Tell folders from urls: folders are taken from that of the config file."""
        if not isinstance(path, str) or not path:
            return path or None
        return Path(path.removeprefix("file://")) if "://" not in path.removeprefix("file://") else path

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, OSError, ValueError):
            raise ValueError(f"there is no time zone {name}") from None
        return name

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.format == "avro" and self.layout == "flat":
            raise ValueError("layout flat is none that avro files have: set layout: envelope, or format: parquet")
        known = _COMPRESSIONS[self.format]
        if self.compression not in known:
            raise ValueError(
                f"compression {self.compression} is none that {self.format} files have: {', '.join(known)}"
            )
        return self

"""The settings of a replica."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from tailrace.sink import SinkConfig

FILES = ("sqlite", "duckdb")
"""Schemes whose rest is the path of a file: `sqlite:PATH`, or `sqlite:///PATH`."""


class ReplicaConfig(SinkConfig):
    """One destination, told by the scheme of its url."""

    url: SecretStr = Field(
        description="postgresql://user:password@host/database, mysql:// or mariadb:// likewise, "
        "sqlite:PATH or duckdb:PATH for a file, from the folder of the config file"
    )
    table: str = Field(
        "",
        description="name of a topic's table, out of {prefix}, {schema} and {table}; "
        "{schema}.{table} if not set, {table} in SQLite and MySQL",
    )
    without_key: Literal["append", "refuse"] = Field(
        "append", description="what to do with a table that has no key: add what is inserted, or refuse its changes"
    )
    dropped_columns: Literal["keep", "drop"] = Field(
        "keep",
        description="what becomes of a column that the source no longer has: it stays, null in new rows, or goes",
    )
    connect_timeout: int = Field(10, gt=0, description="seconds to wait for a connection")

    @field_validator("url")
    @classmethod
    def _from_folder(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        """Take a file's path from the config file's folder, as paths of settings are that are nothing else."""
        folder: Path | None = (info.context or {}).get("folder")
        scheme, _, rest = url.get_secret_value().partition(":")
        path = rest.removeprefix("//")
        if folder is None or scheme not in FILES or not path:
            return url
        return SecretStr(f"{scheme}:{folder / Path(path).expanduser()}")

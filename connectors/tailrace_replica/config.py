"""The settings of a replica."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from tailrace.sink import SinkConfig


class ReplicaConfig(SinkConfig):
    """One destination, told by the scheme of its url."""

    url: SecretStr = Field(
        description="postgresql://user:password@host/database, mysql:// or mariadb:// likewise, "
        "sqlite:PATH or duckdb:PATH for a file"
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

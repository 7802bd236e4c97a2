"""The settings of a Postgres source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from tailrace.source import SourceConfig

NAME = r"^[^\x00]{0,63}$"
SLOT_NAME = r"^[a-z0-9_]{0,63}$"


class PostgresConfig(SourceConfig):
    """`connectors.<name>` with `type: postgres`."""

    type: Literal["postgres"] = "postgres"
    url: SecretStr = Field(
        description="connection string as libpq takes it: postgresql://user:password@host:port/database?sslmode=…, "
        "several hosts and Unix sockets included"
    )
    publication: str = Field(
        "", pattern=NAME, description="publication to stream; tailrace_<connector> if not set; created when missing"
    )
    slot: str = Field(
        "",
        pattern=SLOT_NAME,
        description="replication slot; tailrace_<database>_<connector> if not set; created when missing",
    )
    create_publication: bool = Field(default=True, description="create the publication when it is missing")
    create_slot: bool = Field(default=True, description="create the replication slot when it is missing")
    slot_failover: bool = Field(
        default=False, description="create the slot so that standbys keep a copy of it (Postgres 17 and later)"
    )
    slot_wait: float = Field(
        600.0, gt=0, description="longest wait in seconds for running transactions to end while the slot is created"
    )
    partitions: Literal["root", "leaf"] = Field(
        "root", description="how changes of a partitioned table are told, as its own or as each partition's; "
        "decided when the publication is created"
    )  # fmt: skip
    snapshot: Literal["initial", "never"] = Field(
        "initial", description="read the rows that exist already, or only stream what changes from now on"
    )
    chunk_rows: int = Field(50_000, ge=1, le=1_000_000, description="rows that the snapshot reads in one transaction")
    snapshot_readers: int = Field(2, ge=1, le=32, description="connections that read chunks of the snapshot at once")
    binary: Literal["auto", "never"] = Field(
        "auto", description="have values sent in binary where all types of the tables are known in that form, which is "
        "quicker, or always as text; what comes of them is the same"
    )  # fmt: skip
    connect_timeout: int = Field(10, ge=2, le=3600, description="seconds to wait for a connection")
    query_timeout: float = Field(60.0, gt=0, description="seconds to wait for the answer to a query of the catalogue")
    silence_timeout: float = Field(
        120.0, gt=0, description="seconds without a word from the server before the connection counts as broken"
    )
    batch_changes: int = Field(10_000, ge=1, description="most changes that are handed on at once")
    batch_bytes: int = Field(1024 * 1024, ge=1, description="about the most bytes that are handed on at once")

    @field_validator("url", mode="before")
    @classmethod
    def _is_a_url(cls, value: object) -> object:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if isinstance(text, str) and not text.strip():
            raise ValueError("the connection string is empty")
        return value

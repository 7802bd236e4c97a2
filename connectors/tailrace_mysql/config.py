"""The settings of a MySQL and of a MariaDB source."""

from __future__ import annotations

import zlib
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from tailrace.errors import ConfigError
from tailrace.source import SourceConfig
from tailrace_mysql.address import parse_url

_FIRST_OWN_ID = 2_000_000_000
"""Where the numbers that we choose begin: people number their servers from 1, or by the last octets of an address."""


class BinlogConfig(SourceConfig):
    """What both have in common."""

    url: SecretStr = Field(
        description="mysql://user:password@host:3306/database, several hosts separated by commas; "
        "?unix_socket=PATH, ?ssl-mode=DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY, ?ssl-ca=, "
        "?ssl-cert=, ?ssl-key="
    )
    tables: list[str] = Field(["*"], description="globs of the tables to capture, database.table")
    exclude: list[str] = Field([], description="globs of tables to leave out")
    server_id: int = Field(
        0, ge=0, le=4_294_967_295,
        description="our number among the server's replicas, which no other may have; "
        "made from the connector's name if not set",
    )  # fmt: skip
    snapshot: Literal["initial", "never"] = Field(
        "initial", description="read the rows that exist already, or only stream what changes from now on"
    )
    chunk_rows: int = Field(50_000, ge=1, le=1_000_000, description="rows that the snapshot reads in one transaction")
    snapshot_readers: int = Field(2, ge=1, le=32, description="connections that read chunks of the snapshot at once")
    invalid_dates: Literal["null", "epoch", "fail"] = Field(
        "null",
        description="what becomes of dates that no calendar has, 0000-00-00 and 2024-02-00 among them; "
        "the epoch stands for null where a column is NOT NULL",
    )
    bigint_unsigned: Literal["long", "precise"] = Field(
        "long",
        description="long: as Debezium does, an event with a number beyond 9223372036854775807 being refused; "
        "precise: decimals, any number fits",
    )
    schema_changes: bool = Field(
        default=True, description="tell DDL statements in the topic that is named like the prefix"
    )
    connect_timeout: int = Field(10, ge=2, le=3600, description="seconds to wait for a connection")
    query_timeout: float = Field(60.0, gt=0, description="seconds to wait for the answer to a query of the catalogue")
    silence_timeout: float = Field(
        60.0, ge=1, description="seconds without a word from the server before the connection counts as broken"
    )
    batch_changes: int = Field(10_000, ge=1, description="most changes that are handed on at once")
    batch_bytes: int = Field(1024 * 1024, ge=1, description="about the most bytes that are handed on at once")

    @field_validator("url", mode="after")
    @classmethod
    def _is_a_url(cls, value: SecretStr) -> SecretStr:
        try:
            parse_url(value.get_secret_value())
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return value

    def own_server_id(self, connector: str) -> int:
        """Return our number among the replicas of the server, the same at every start."""
        return self.server_id or _FIRST_OWN_ID + zlib.crc32(connector.encode()) % _FIRST_OWN_ID


class MysqlConfig(BinlogConfig):
    """`connectors.<name>` with `type: mysql`."""

    type: Literal["mysql"] = "mysql"


class MariadbConfig(BinlogConfig):
    """`connectors.<name>` with `type: mariadb`."""

    type: Literal["mariadb"] = "mariadb"

"""Which destination a url means."""

from __future__ import annotations

from pathlib import Path

from tailrace.errors import ConfigError
from tailrace_replica.config import ReplicaConfig
from tailrace_replica.destination import Destination

_SCHEMES = "postgresql, mysql, mariadb, sqlite, duckdb"


def destination_at(config: ReplicaConfig) -> Destination:
    """Return the destination of the url, not connected; raises `ConfigError` for one that there is not.

    Drivers are imported here: a task has no use for those of other databases.
    """
    url = config.url.get_secret_value()
    scheme = url.partition(":")[0]
    if scheme in {"postgresql", "postgres"}:
        from tailrace_replica.postgres import PostgresDestination

        return PostgresDestination(config)
    if scheme in {"mysql", "mariadb"}:
        from tailrace_replica.mysql import MysqlDestination

        return MysqlDestination(config)
    if scheme == "sqlite":
        from tailrace_replica.sqlite import SqliteDestination

        return SqliteDestination(config, path_of(url))
    if scheme == "duckdb":
        from tailrace_replica.duck import DuckDestination

        return DuckDestination(config, path_of(url))
    raise ConfigError(f"url: no destination has the scheme {scheme!r}", hint=f"there are: {_SCHEMES}")


def path_of(url: str) -> Path:
    """Return the file of `sqlite:PATH` or `sqlite:///PATH`."""
    rest = url.partition(":")[2]
    path = rest.removeprefix("//")
    if not path:
        raise ConfigError("url: names no file", hint="write sqlite:shop.db, or sqlite:///srv/shop.db")
    return Path(path)

"""What the entry points name: one source class, with the settings of either server."""

from __future__ import annotations

from dataclasses import dataclass

from tailrace.source import SourceConfig
from tailrace_mysql.config import MariadbConfig, MysqlConfig
from tailrace_mysql.source import BinlogSource


@dataclass(frozen=True, slots=True)
class BinlogPlugin:
    """A source plug-in: `type: mysql` or `type: mariadb`."""

    Config: type[SourceConfig]

    def __call__(self, name: str, config: SourceConfig) -> BinlogSource:
        """Build the source of the connector `name`; does no I/O."""
        return BinlogSource(name, config)


MYSQL = BinlogPlugin(MysqlConfig)
MARIADB = BinlogPlugin(MariadbConfig)

"""Drives a MySQL or MariaDB source in process, with a log that is a list and can be read back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from databases.postgres.capture import Capture
from servers.mysql import MysqlDatabase
from tailrace.event import Message
from tailrace.source import Recalled
from tailrace_mysql.config import MariadbConfig, MysqlConfig
from tailrace_mysql.source import BinlogSource


class Driven(Capture):
    """A connector on one database; `settings` are the source's."""

    def __init__(self, database: MysqlDatabase, name: str = "shop", **settings: Any) -> None:
        chosen = {"url": database.url, "tables": [f"{database.name}.*"], "heartbeat_interval": 0, **settings}
        self.mariadb = database.flavour == "mariadb"
        kind = MariadbConfig if self.mariadb else MysqlConfig
        self.binlog_config = kind.model_validate(chosen)
        self.name = name
        self.database = database
        self.position = None
        self.committed, self.pending, self.positions = [], [], []
        self._new_source()

    def crash(self) -> None:
        self.source.close()
        self.pending = []
        self._new_source()

    def one_batch(self) -> None:
        """Go on until something comes, and commit it."""
        before = len(self.committed)
        self.run(lambda: len(self.committed) > before)

    def told(self, table: str) -> list[tuple[str, Any]]:
        """Return op and the row (that before, of a delete) of every change of a table."""
        changes = (change for change in self.changes if change.table.id == f"{self.database.name}.{table}")
        return [(c.op, dict(row) if (row := c.after or c.before) is not None else None) for c in changes]

    def _new_source(self) -> None:
        source = BinlogSource(self.name, self.binlog_config)
        source.recall_with(self._recall)
        self.source = source  # type: ignore[assignment]  # the same protocol

    def _recall(self, topic: str) -> Iterator[Recalled]:
        for event in self.committed:
            if isinstance(event, Message) and event.topic == topic:
                yield Recalled(dict(event.key), dict(event.value))

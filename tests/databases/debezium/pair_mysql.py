"""Debezium and Tailrace's tables side by side on one database of MySQL or MariaDB: the same rows, read and streamed.

What is compared are tables, keys, rows, headers and tombstones; the source block is another module's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from databases.debezium import install_mariadb
from databases.debezium.install import install
from databases.debezium.oracle import Debezium, DebeziumRun
from databases.debezium.pair import FOLDER, PREFIX, TailraceRun
from databases.mysql.capture import changes_since, end_of_binlog, text_rows
from servers.mysql import MysqlDatabase
from servers.mysql_programs import Flavour
from tailrace.codec.encoder import ChangeEncoder
from tailrace.codec.registry_store import BundledRegistry
from tailrace.event import Change, Table
from tailrace.schema import Field, Schema, Value
from tailrace_mysql.config import MysqlConfig
from tailrace_mysql.declared_shape import table_shape
from tailrace_mysql.form import Settings
from tailrace_mysql.history import History
from tailrace_mysql.shape import TableShape, shape_of
from tailrace_mysql.statement import Dialect
from tailrace_mysql.table import Tables, ValueSettings

CONNECTORS: Mapping[Flavour, Mapping[str, str]] = {
    "mysql": {
        "connector.class": "io.debezium.connector.mysql.MySqlConnector",
        "database.ssl.mode": "disabled",
    },
    "mariadb": {
        "connector.class": "io.debezium.connector.mariadb.MariaDbConnector",
        "database.ssl.mode": "disable",
    },
}
CLASS_PATHS: Mapping[Flavour, Callable[[], str]] = {
    "mysql": lambda: install().class_path,
    "mariadb": install_mariadb.class_path,
}
SETTINGS = {
    "schema.history.internal": "io.debezium.relational.history.MemorySchemaHistory",
    "include.schema.changes": "false",
}
SQL_MODE = "SET sql_mode = '', time_zone = '+00:00'"


@dataclass(frozen=True, slots=True)
class _Nowhere:
    """An origin that tells nothing."""

    def source_block(self, change: Change) -> Sequence[Value]:
        """Return the one value of the source block."""
        return [change.table.id]


def statements(file: str) -> Sequence[str]:
    """Return the statements of a file of this folder; each ends with a semicolon at the end of its line."""
    text = (FOLDER / file).read_text(encoding="utf-8")
    return [part for part in text.split(";\n") if part.strip()]


class Ours:
    """Tailrace's half: rows captured by hand, tables and encoder as the source has them."""

    def __init__(self, database: MysqlDatabase, folder: Path) -> None:
        self._database = database
        self._history = History("shop")
        source = Schema("struct", "io.debezium.connector.mysql.Source", fields=(Field("table", Schema("string")),))
        self._tables = Tables(ValueSettings(PREFIX, source, "__debezium_unavailable_value", Settings()))
        self.run = TailraceRun(BundledRegistry(folder / "registry"))
        config = MysqlConfig.model_validate({"url": database.url})
        self._encoder = ChangeEncoder(self.run.registry, config)

    def declare(self, statement: str) -> None:
        """Note a CREATE TABLE."""
        self._history.apply(statement, self._database.name, Dialect(mariadb=self._database.flavour == "mariadb"))

    def _shape(self, name: str) -> TableShape:
        declared = self._history.table(self._database.name, name)
        assert declared is not None
        return table_shape(declared)

    def snapshot(self) -> None:
        """Read all rows of all tables."""
        for declared in self._history.tables:
            shape = table_shape(declared)
            table = self._tables.of_text(shape)
            statement = f"SELECT {', '.join(self._tables.selected(shape))} FROM {shape.name}"
            self._encode(
                Change(table, "r", None, wire, origin=_Nowhere()) for wire in text_rows(self._database, statement)
            )

    def stream(self, place: tuple[str, int]) -> None:
        """Tell everything that happened since `place`."""
        for change in changes_since(self._database.server, place):
            if change.map.database != self._database.name:
                continue
            table = self._tables.of_binlog(shape_of(change.map, self._shape(change.map.table)))
            before, after = change.images
            moved = change.op == "u" and _key(table, before) != _key(table, after)
            op = {"c": "c", "u": "u", "d": "d"}[change.op]
            self._encode([Change(table, op, before, after, origin=_Nowhere(), moved=moved)])  # type: ignore[arg-type]

    def _encode(self, changes: Iterable[Change]) -> None:
        self.run.records += self._encoder.encode(list(changes))


def _key(table: Table, wire: bytes | None) -> list[object]:
    assert wire is not None
    cells = table.format.cells(wire)
    return [cells[place] for place in table.key]


def run_both_on_mysql(database: MysqlDatabase, folder: Path) -> tuple[DebeziumRun, TailraceRun]:
    """Make the tables and rows, let both take them in, then the same rows and changes once more in the stream."""
    ours = Ours(database, folder)
    flavour = database.flavour
    changes = statements(f"changes_{flavour}.sql")
    inserts = [change for change in changes if "INSERT" in change]
    for statement in statements(f"everyday_{flavour}.sql"):
        database.execute(statement)
        ours.declare(statement)
    database.execute(SQL_MODE, *inserts)
    server = database.server
    dsn = f"mysql://{quote('root')}@127.0.0.1:{server.port}/{database.name}"
    settings = {
        **SETTINGS,
        **CONNECTORS[flavour],
        "database.server.id": str(server.port + 1),
        "database.include.list": database.name,
    }
    with Debezium(
        dsn, prefix=PREFIX, tables=[f"{database.name}\\..*"], settings=settings, class_path=CLASS_PATHS[flavour]
    ) as debezium:
        ours.snapshot()
        expected = len(ours.run.records)
        debezium.wait(_has(expected))
        place = end_of_binlog(server)
        database.execute("DELETE FROM zz_marker", "INSERT INTO zz_marker VALUES (1)")
        database.execute("SET FOREIGN_KEY_CHECKS = 0", SQL_MODE, *[_again(change) for change in changes])
        database.execute("INSERT INTO zz_marker VALUES (2)")
        ours.stream(place)
        debezium.wait(lambda run: len(run.of(f"{PREFIX}.{database.name}.zz_marker")) >= 2)
    return debezium.run, ours.run


def _again(change: str) -> str:
    """Return an insert with other keys: what is in the snapshot is there already."""
    tables = (
        ("times", "("), ("own", "("), ("own (id, n)", "("), ("others (id, j, g, p, pn, ls, ve)", "("),
        ("others (id, j, g, p, pn, ls)", "("), ("others (id, pn, inv)", "("),
    )  # fmt: skip
    for table, key in tables:
        for number in "123":
            change = change.replace(f"INTO {table} VALUES {key}{number},", f"INTO {table} VALUES {key}10{number},")
    return (
        change.replace("VALUES ('ä', 1,", "VALUES ('ä', 11,")
        .replace("VALUES ('', 2,", "VALUES ('', 12,")
        .replace("VALUES ('k', 3,", "VALUES ('k', 13,")
    )


def _has(records: int) -> Callable[[DebeziumRun], bool]:
    return lambda run: len(run.records) >= records

"""Tables as the schema history has them after each DDL statement, against what the server writes beside their rows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from databases.mysql.binlog_events import binlog_events, written_position
from servers.mysql import MysqlDatabase
from servers.mysql_server import MysqlServer
from tailrace_mysql.declared_shape import table_shape
from tailrace_mysql.event import Query, TableMap, TableMapped, decode
from tailrace_mysql.history import History
from tailrace_mysql.shape import TableShape, fits, shape_of
from tailrace_mysql.statement import Dialect

TYPES = (
    "tinyint", "tinyint(1)", "bool", "smallint unsigned", "mediumint zerofill", "int", "integer(5) unsigned",
    "bigint unsigned", "float", "float(30)", "real", "float(7,3)", "decimal", "numeric(65,30)", "dec(9,4) unsigned",
    "bit", "bit(9)", "bit(64)", "year", "date", "time", "time(3)", "datetime", "datetime(6)", "timestamp null",
    "timestamp(4) null", "char", "char(0)", "char(255)", "char(5) charset latin1", "binary(3)", "varchar(20)",
    "varchar(63) charset utf8mb3", "varchar(64) charset ucs2", "varchar(300) charset latin1", "varbinary(255)",
    "varchar(9) collate latin1_bin", "varchar(7) charset binary", "nchar(4)", "national varchar(3)", "long varchar",
    "varchar(9) binary", "tinytext", "text", "text(100)", "text(20000)", "mediumtext charset cp1251", "longtext",
    "blob", "blob(200)", "blob(70000)", "tinyblob", "longblob", "long varbinary", "text charset binary", "json",
    "geometry", "point", "geometrycollection", "enum('a','b''c','d ')", "enum('é','x') charset latin1", "set('p','q')",
    "set('a','b','c','d','e','f','g','h','i') charset ucs2", "varchar(4) charset gbk", "char(3) charset utf16le",
)  # fmt: skip
OWN_TYPES = {
    "mysql": ("vector(3)", "int invisible", "char(4) byte", "varchar(3) /*!80000 charset ascii */"),
    "mariadb": ("uuid", "inet6", "inet4", "int invisible", "varchar(3) /*M!100100 charset ascii */"),
}  # fmt: skip
CHARSETS = ("utf8mb4", "latin1", "utf8mb3 collate utf8mb3_bin", "cp1251", "ucs2")

Step = tuple[str, int, int, int]


def test_every_type_is_told_as_the_server_writes_it(binlog_database: MysqlDatabase) -> None:
    types = TYPES + OWN_TYPES[binlog_database.flavour]
    statements = []
    for number, written in enumerate(types):
        statements.append(f"CREATE TABLE t{number} (a {written}, b {written} COMMENT 'x', c int)")
        statements.append(f"INSERT INTO t{number} (c) VALUES (1)")
    assert len(followed(binlog_database, statements)) == len(types)


ORDINARY = (
    "CREATE TABLE t (id int PRIMARY KEY, v varchar(10) NOT NULL DEFAULT 'x', w text, UNIQUE (v))",
    "INSERT INTO t (id) VALUES (1)",
    "ALTER TABLE t CONVERT TO CHARACTER SET latin1",
    "INSERT INTO t (id, v) VALUES (2, 'y')",
    "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4, ADD g int GENERATED ALWAYS AS (id + 1) STORED AFTER id",
    "INSERT INTO t (id, v) VALUES (3, 'z')",
    "CREATE TABLE _t_gho LIKE t",
    "ALTER TABLE _t_gho ADD x bigint unsigned FIRST, DROP w, RENAME COLUMN v TO y",
    "INSERT INTO _t_gho (id, y) VALUES (1, 'x')",
    "RENAME TABLE t TO _t_del, _t_gho TO t",
    "INSERT INTO t (id, y) VALUES (4, 'g')",
    "DROP TABLE _t_del",
    "CREATE TABLE s SELECT id, y, 1 + x AS z FROM t",
    "INSERT INTO s (id) VALUES (9)",
    "ALTER TABLE s ADD PRIMARY KEY (y(2), id), ADD n int NOT NULL DEFAULT 5 AFTER y, COMMENT 'of s'",
    "INSERT INTO s (id, y) VALUES (10, 'k')",
    "ALTER TABLE s DROP PRIMARY KEY, MODIFY z decimal(12,3) FIRST, CHANGE n m bigint AFTER z",
    "ALTER TABLE s ALTER m DROP DEFAULT",
    "INSERT INTO s (id, y, m) VALUES (11, 'k', 1)",
    "CREATE TABLE p (a int, b int, PRIMARY KEY (b, a)) PARTITION BY HASH (a) PARTITIONS 2",
    "INSERT INTO p VALUES (1, 2)",
    "ALTER TABLE p ADD PARTITION PARTITIONS 2",
    "ALTER TABLE p ADD c int",
    "ALTER TABLE p REMOVE PARTITIONING",
    "INSERT INTO p VALUES (2, 3, 4)",
    "CREATE INDEX i ON p (c)",
    "CREATE UNIQUE INDEX u ON p (c, a)",
    "DROP INDEX i ON p",
    "ALTER DATABASE DEFAULT CHARACTER SET latin1",
    "CREATE TABLE l (a char(10), b varchar(10) collate utf8mb4_bin, e enum('x'))",
    "INSERT INTO l (a) VALUES ('a')",
    "CREATE TEMPORARY TABLE hidden (a int)",
    "TRUNCATE TABLE l",
    "INSERT INTO l (a) VALUES ('b')",
)


def test_tables_are_followed_through_ordinary_lives(binlog_database: MysqlDatabase) -> None:
    assert len(followed(binlog_database, ORDINARY)) == sum(statement.startswith("INSERT") for statement in ORDINARY) + 1


def test_old_rows_of_a_versioned_table(mariadb: MysqlDatabase) -> None:
    statements = (
        "CREATE TABLE t (a int PRIMARY KEY) WITH SYSTEM VERSIONING",
        "INSERT INTO t VALUES (1)",
        "CREATE TABLE u (a int PRIMARY KEY)",
        "ALTER TABLE u ADD SYSTEM VERSIONING",
        "INSERT INTO u VALUES (1)",
        "ALTER TABLE u DROP SYSTEM VERSIONING",
        "INSERT INTO u VALUES (2)",
    )
    assert len(followed(mariadb, statements)) == 3


def test_generated_invisible_keys(mysql: MysqlDatabase) -> None:
    statements = (
        "SET sql_generate_invisible_primary_key = ON",
        "CREATE TABLE t (a int)",
        "INSERT INTO t VALUES (1)",
        "CREATE TABLE u (a int, UNIQUE ((a + 1)), KEY ((a * 2)))",
        "INSERT INTO u VALUES (1)",
    )
    told = followed(mysql, statements)
    assert [known.key for known in told] == [("my_row_id",), ("my_row_id",)]


steps = st.lists(
    st.tuples(
        st.sampled_from(("add", "add", "modify", "change", "drop", "charset", "convert", "key", "nokey", "rename")),
        st.integers(0, 7),
        st.integers(0, len(TYPES) - 1),
        st.integers(0, 7),
    ),
    max_size=12,
)


@pytest.mark.slow
@settings(
    max_examples=15, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps)
def test_any_course_of_alterations_is_followed(binlog_database: MysqlDatabase, course: list[Step]) -> None:
    statements = ["DROP TABLE IF EXISTS t", "CREATE TABLE t (c0 int, c1 varchar(9))", "INSERT INTO t () VALUES ()"]
    for number, step in enumerate(course):
        statements += [alteration(step, number), "INSERT INTO t () VALUES ()", "DELETE FROM t"]
    followed(binlog_database, statements, lenient=True)


def alteration(step: Step, number: int) -> str:
    """One clause of ALTER TABLE; the server refuses some of them, which is no matter."""
    verb, column, kind, other = step
    places = ("", " FIRST", f" AFTER c{other}")
    clauses = {
        "add": f"ADD COLUMN c{column} {TYPES[kind]}{places[other % 3]}",
        "modify": f"MODIFY c{column} {TYPES[kind]}{places[other % 3]}",
        "change": f"CHANGE c{column} c{other} {TYPES[kind]}{places[kind % 2]}, ADD x{number} int AFTER c{other}",
        "drop": f"DROP COLUMN c{column}",
        "charset": f"DEFAULT CHARACTER SET {CHARSETS[kind % len(CHARSETS)]}",
        "convert": f"CONVERT TO CHARACTER SET {CHARSETS[kind % len(CHARSETS)]}",
        "key": f"ADD PRIMARY KEY (c{column}, c{other})",
        "nokey": "DROP PRIMARY KEY",
        "rename": f"RENAME COLUMN c{column} TO c{other}",
    }
    return f"ALTER TABLE t {clauses[verb]}"


def followed(database: MysqlDatabase, statements: Sequence[str], *, lenient: bool = False) -> list[TableShape]:
    """Run statements, then hold the history against every table map; return the shapes that it had for them."""
    server = database.server
    file, position = written_position(server)
    charset, lower = server.execute("SELECT @@character_set_server, @@lower_case_table_names")[0]
    history = History("shop", lower_case_names=bool(lower), charset=charset)
    with database.connect(sql_mode="") as connection, connection.cursor() as cursor:
        for statement in statements:
            try:
                cursor.execute(statement)
            except connection.Error:
                assert lenient, statement
    version = 101100 if database.flavour == "mariadb" else 90700
    return list(_compared(server, database, history, (file, position), version))


def _compared(
    server: MysqlServer, database: MysqlDatabase, history: History, start: tuple[str, int], version: int
) -> list[TableShape]:
    told: list[TableShape] = []
    mariadb = server.flavour == "mariadb"
    for octets in binlog_events(server, *start):
        event = decode(octets)
        if isinstance(event, Query) and event.database == database.name:
            dialect = Dialect(mariadb=mariadb, version=version, sql_mode=event.sql_mode)
            applied = history.apply(event.text, event.database, dialect)
            assert applied.unread is None, f"{event.text}: {applied.unread}"
        elif isinstance(event, TableMapped):
            table = TableMap.parse(event.body, mariadb=mariadb)
            if table.database == database.name:
                told.append(_same(table, history))
    return told


def _same(table: TableMap, history: History) -> TableShape:
    declared = history.table(table.database, table.table)
    assert declared is not None, table.table
    known, seen = table_shape(declared), shape_of(table)
    for column, other in zip(known.columns, seen.columns, strict=True):
        assert (column.name, column.kind, column.meta, column.nullable) == (
            other.name, other.kind, other.meta, other.nullable
        )  # fmt: skip
        assert (column.charset, column.members) == (other.charset, other.members), column
        assert table.metadata.visible is None or column.visible == other.visible, column
        assert column.unsigned == other.unsigned, column
    assert fits(table, known)
    assert known.key == seen.key
    return known

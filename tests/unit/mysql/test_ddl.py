"""What the schema history makes of DDL: forms out of both manuals, one table at a time."""

from __future__ import annotations

import pytest

from tailrace_mysql.declaration import DeclaredColumn, DeclaredTable
from tailrace_mysql.history import History
from tailrace_mysql.statement import ANSI_QUOTES, NO_BACKSLASH_ESCAPES, Dialect

MYSQL = Dialect()
MARIADB = Dialect(mariadb=True, version=101100)

BASE = "CREATE TABLE t (a int NOT NULL, b varchar(10), c text, PRIMARY KEY (a), UNIQUE KEY u (b), KEY (c(3)))"


def shown(column: DeclaredColumn) -> str:
    """A column in short: name, type, and what it has besides."""
    sizes = ",".join(str(size) for size in (column.length, column.scale) if size is not None)
    parts = [column.name, column.type + (f"({sizes})" if sizes else "")]
    parts += ["|".join(column.members)] * bool(column.members)
    parts += ["unsigned"] * column.unsigned + ["zerofill"] * column.zerofill
    parts += [charset for charset in (column.charset, column.collation) if charset]
    parts += ["required"] * (not column.nullable) + ["auto"] * column.auto_increment
    parts += [column.generated] * bool(column.generated) + ["hidden"] * column.invisible
    parts += [f"={column.default.kind}:{column.default.text}"] if column.default else []
    parts += [f'"{column.comment}"'] * bool(column.comment) + [f"srid {column.srid}"] * (column.srid is not None)
    return " ".join(parts)


def after(*statements: str, dialect: Dialect = MYSQL, name: str = "t") -> DeclaredTable:
    history = History("shop")
    for statement in statements:
        applied = history.apply(statement, "shop", dialect)
        assert applied.unread is None, f"{statement}: {applied.unread}"
    table = history.table("shop", name)
    assert table is not None
    return table


def columns(*statements: str, dialect: Dialect = MYSQL) -> list[str]:
    return [shown(column) for column in after(*statements, dialect=dialect).columns]


TYPES = {
    "int": "int",
    "INTEGER(11) UNSIGNED": "int(11) unsigned",
    "int(5) zerofill": "int(5) unsigned zerofill",
    "int signed": "int",
    "int1": "tinyint",
    "middleint": "mediumint",
    "bool": "tinyint(1)",
    "boolean default true": "tinyint(1) =literal:1",
    "tinyint(1)": "tinyint(1)",
    "bigint unsigned": "bigint unsigned",
    "serial": "bigint unsigned required auto",
    "bigint serial default value": "bigint required auto",
    "dec": "decimal(10,0)",
    "numeric(65,30)": "decimal(65,30)",
    "fixed(5) unsigned": "decimal(5,0) unsigned",
    "float": "float",
    "float(24)": "float",
    "float(25)": "double",
    "float(7,3)": "float(7,3)",
    "double precision": "double",
    "real(9,2)": "double(9,2)",
    "bit": "bit(1)",
    "bit(64) default b'101'": "bit(64) =bits:b101",
    "binary(2) default 0x4142": "binary(2) =bits:x4142",
    "binary(2) default X'4142'": "binary(2) =bits:x4142",
    "year": "year(4)",
    "date default '2020-02-29'": "date =literal:2020-02-29",
    "date default date '2020-02-29'": "date =literal:2020-02-29",
    "time(3)": "time(3)",
    "datetime default now() on update now()": "datetime(0) =expression:now()",
    "timestamp(6) null default current_timestamp(6)": "timestamp(6) =expression:current_timestamp(6)",
    "char": "char(1) utf8mb4",
    "character varying(20)": "varchar(20) utf8mb4",
    "varchar(20) character set latin1 collate latin1_bin": "varchar(20) latin1 latin1_bin",
    "varchar(20) collate latin1_german1_ci": "varchar(20) latin1 latin1_german1_ci",
    "varchar(20) charset utf8": "varchar(20) utf8mb3",
    "varchar(20) charset binary": "varbinary(20)",
    "varchar(20) binary": "varchar(20) utf8mb4 utf8mb4_bin",
    "varchar(5) ascii": "varchar(5) latin1",
    "varchar(5) unicode": "varchar(5) ucs2",
    "char(5) byte": "binary(5)",
    "nchar(5)": "char(5) utf8mb3",
    "national varchar(5)": "varchar(5) utf8mb3",
    "text charset binary": "blob",
    "text(100)": "text utf8mb4",
    "text(30000)": "mediumtext utf8mb4",
    "text(30000) charset latin1": "text latin1",
    "blob(300)": "blob",
    "blob(70000)": "mediumblob",
    "long": "mediumtext utf8mb4",
    "long varchar": "mediumtext utf8mb4",
    "long varbinary": "mediumblob",
    "varbinary(3)": "varbinary(3)",
    "enum('a','b''c', 'd,e ') not null": "enum a|b'c|d,e utf8mb4 required",
    "set('x','y') charset ucs2": "set x|y ucs2",
    "json": "json",
    "vector(3)": "vector(3)",
    "point not null srid 4326": "point required srid 4326",
    "geometrycollection": "geomcollection",
    "int default -5": "int =literal:-5",
    "double default -.5e3": "double =literal:-0.5e3",
    "varchar(9) default 'it''s \\\"x\\\"'": 'varchar(9) utf8mb4 =literal:it\'s "x"',
    "varchar(9) default _utf8mb4'x' 'y'": "varchar(9) utf8mb4 =literal:xy",
    "int default null": "int",
    "int default (1 + 2)": "int =expression:(1 + 2)",
    "int comment 'a, (b'": 'int "a, (b"',
    "int generated always as (b + length(')')) stored": "int stored",
    "int as (1)": "int virtual",
    "int invisible": "int hidden",
    "int not null check (a > 0) not enforced": "int required",
    "int references s (id) on delete set null on update cascade": "int",
    "int column_format dynamic storage disk": "int",
    "int /*!50606 storage disk */": "int",
    "int /*!99999 unsigned */": "int",
    "int /*!50503 unsigned */": "int unsigned",
    "int /* plain, */": "int",
    "int # to the end of the line\n": "int",
}


@pytest.mark.parametrize("written", TYPES)
def test_columns_are_as_the_server_makes_them(written: str) -> None:
    assert columns(f"CREATE TABLE t (`x` {written}, b int)") == [f"x {TYPES[written]}", "b int"]


MARIADB_TYPES = {
    "json": "longtext utf8mb4 utf8mb4_bin",
    "uuid": "uuid",
    "inet6 default '::1'": "inet6 =literal:::1",
    "int default uuid_short()": "int =expression:uuid_short()",
    "bigint default next value for s.q": "bigint =expression:next value for s.q",
    "int persistent as (1)": None,
    "int as (1) persistent": "int stored",
    "varchar(5) collate uca1400_ai_ci": "varchar(5) utf8mb4 uca1400_ai_ci",
    "point ref_system_id=4": "point srid 4",
    "int /*M!100100 unsigned */": "int unsigned",
    "int /*!50701 unsigned */": "int",
    "varchar(9) compressed": "varchar(9) utf8mb4",
}


@pytest.mark.parametrize("written", MARIADB_TYPES)
def test_columns_of_mariadb(written: str) -> None:
    history = History("shop")
    applied = history.apply(f"CREATE TABLE t (x {written})", "shop", MARIADB)
    table = history.table("shop", "t")
    made = shown(table.columns[0]) if table else None
    expected = MARIADB_TYPES[written]
    assert made == (expected and f"x {expected}")
    assert (applied.unread is None) == (expected is not None)


ALTERATIONS = {
    "ADD d int": "a b c d",
    "ADD COLUMN d int FIRST, ADD e int AFTER a": "d a e b c",
    "ADD (d int, e int, KEY (d))": "a b c d e",
    "ADD d int AFTER c, ADD e int AFTER d": "a b c d e",
    "DROP b": "a c",
    "DROP COLUMN b, DROP COLUMN IF EXISTS c, ADD b int": "a b",
    "CHANGE b x int, ADD y int AFTER x": "a x y c",
    "CHANGE COLUMN B b int FIRST": "b a c",
    "MODIFY a bigint AFTER c": "b c a",
    "MODIFY c int FIRST, MODIFY b int FIRST": "b c a",
    "RENAME COLUMN a TO b, RENAME COLUMN b TO a": "b a c",
    "ADD COLUMN IF NOT EXISTS b int, ADD COLUMN IF NOT EXISTS d int": "a b c d",
    "MODIFY COLUMN IF EXISTS x int": "a b c",
    "ENGINE=InnoDB ROW_FORMAT=DYNAMIC, ALGORITHM=INPLACE, LOCK=NONE": "a b c",
    "ORDER BY a, b": "a b c",
    "ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES s (id), DROP FOREIGN KEY g, ADD CHECK (a > (1))": "a b c",
    "ADD FULLTEXT KEY (c), ADD SPATIAL INDEX s (b)": "a b c",
    "ADD PARTITION (PARTITION p2 VALUES LESS THAN (30))": "a b c",
    "DROP PARTITION p1, p2": "a b c",
    "REORGANIZE PARTITION p INTO (PARTITION q VALUES LESS THAN MAXVALUE)": "a b c",
    "REMOVE PARTITIONING": "a b c",
    "PARTITION BY HASH (a) PARTITIONS 4": "a b c",
    "ADD d int, PARTITION BY HASH (a) PARTITIONS 4": "a b c d",
    "EXCHANGE PARTITION p WITH TABLE s": "a b c",
    "DISABLE KEYS": "a b c",
    "FORCE": "a b c",
    "COMMENT = 'x, y' AUTO_INCREMENT 7": "a b c",
    "ADD SYSTEM VERSIONING": "a b c row_start row_end",
}


@pytest.mark.parametrize("clauses", ALTERATIONS)
def test_alter_table_orders_columns_as_the_server_does(clauses: str) -> None:
    table = after(BASE, f"ALTER TABLE t {clauses}")
    assert [column.name for column in table.columns] == ALTERATIONS[clauses].split()


def test_alter_table_changes_traits() -> None:
    assert columns(
        BASE,
        "ALTER TABLE t ALTER b SET DEFAULT 'x', ALTER COLUMN c SET INVISIBLE",
        "ALTER TABLE t ALTER b DROP DEFAULT, MODIFY a bigint unsigned",
    ) == ["a bigint unsigned required", "b varchar(10) utf8mb4", "c text utf8mb4 hidden"]


def test_keys_follow_their_columns() -> None:
    assert after(BASE).key == ("a",)
    assert after(BASE, "ALTER TABLE t CHANGE A x int").primary_key == ("x",)
    dropped = after(BASE, "ALTER TABLE t DROP PRIMARY KEY, MODIFY b varchar(10) NOT NULL")
    assert dropped.primary_key == ()
    assert dropped.key == ("b",)
    assert after(BASE, "ALTER TABLE t DROP PRIMARY KEY", "DROP INDEX u ON t").key == ()
    assert after(BASE, "ALTER TABLE t DROP PRIMARY KEY", "CREATE UNIQUE INDEX v ON t (a) ALGORITHM=INPLACE").key == (
        "a",
    )
    assert after(BASE, "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (b, a)").primary_key == ("b", "a")
    assert after(BASE, "ALTER TABLE t DROP COLUMN a").primary_key == ()
    assert after("CREATE TABLE t (x int PRIMARY KEY, y int UNIQUE)").indexes[0].name == "y"


def test_a_unique_index_over_prefixes_or_expressions_is_no_key() -> None:
    table = after("CREATE TABLE t (a varchar(9) NOT NULL, UNIQUE (a(3)), UNIQUE ((a + 1)), KEY (a), UNIQUE (a DESC))")
    assert [index.unique for index in table.indexes] == [False, False, False, True]
    assert table.key == ("a",)


def test_character_sets_come_from_column_table_and_database() -> None:
    assert columns(
        "ALTER DATABASE shop CHARACTER SET = latin1",
        "CREATE TABLE t (a varchar(5), b varchar(5) CHARSET ucs2)",
        "ALTER TABLE t DEFAULT CHARSET cp1251, ADD c varchar(5)",
    ) == ["a varchar(5) latin1", "b varchar(5) ucs2", "c varchar(5) cp1251"]
    assert columns("CREATE TABLE t (a varchar(5), b text) COLLATE=latin1_bin") == [
        "a varchar(5) latin1 latin1_bin",
        "b text latin1 latin1_bin",
    ]


def test_convert_to_changes_all_columns_and_grows_texts() -> None:
    made = "CREATE TABLE t (a varchar(5), b text, c enum('x'), d int) CHARSET latin1"
    assert columns(made, "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin") == [
        "a varchar(5) utf8mb4 utf8mb4_bin",
        "b mediumtext utf8mb4 utf8mb4_bin",
        "c enum x utf8mb4 utf8mb4_bin",
        "d int",
    ]
    assert columns(made, "ALTER TABLE t CONVERT TO CHARSET binary")[:2] == ["a varbinary(5)", "b blob"]


def test_renames_and_swaps() -> None:
    history = History("shop")
    for statement in (
        "CREATE TABLE t (a int)",
        "CREATE TABLE _t_gho LIKE t",
        "ALTER TABLE _t_gho ADD b int",
        "RENAME TABLE `shop`.`t` TO `shop`.`_t_del`, `shop`.`_t_gho` TO `shop`.`t`",
        "DROP TABLE IF EXISTS `_t_del` /* generated by server */",
        "CREATE TABLE u (x int)",
        "ALTER TABLE u RENAME TO other.v, ADD y int",
    ):
        assert history.apply(statement, "shop", MYSQL).unread is None
    assert {table.id: [column.name for column in table.columns] for table in history.tables} == {
        "shop.t": ["a", "b"],
        "other.v": ["x", "y"],
    }
    history.apply("DROP DATABASE other", "shop", MYSQL)
    assert [table.id for table in history.tables] == ["shop.t"]


def test_what_replaces_a_known_table_without_being_known_makes_it_unknown() -> None:
    history = History("shop")
    history.apply("CREATE TABLE t (a int)", "shop", MYSQL)
    applied = history.apply("RENAME TABLE elsewhere.x TO shop.t", "shop", MYSQL)
    assert [(entry.table, entry.state) for entry in applied.entries] == [("t", None)]
    assert history.table("shop", "t") is None


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TEMPORARY TABLE t (a nonsense)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE DEFINER=`a`@`b` PROCEDURE p() BEGIN CREATE TABLE x (a int); END",
        "TRUNCATE TABLE t",
        "GRANT ALL ON t.* TO u",
        "INSERT INTO t VALUES (1)",
        "DROP TEMPORARY TABLE IF EXISTS t",
        "CREATE SEQUENCE s",
        "ALTER TABLE unknown ADD a int",
        "CREATE TABLE IF NOT EXISTS t (b int)",
        "FLUSH TABLES",
        "",
    ],
)
def test_statements_that_concern_no_shape_change_nothing(statement: str) -> None:
    history = History("shop")
    history.apply("CREATE TABLE t (a int)", "shop", MYSQL)
    applied = history.apply(statement, "shop", MYSQL)
    assert (applied.entries, applied.unread) == ((), None)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE t ADD b nonsense",
        "ALTER TABLE t ADD b int WONDERFUL",
        "ALTER TABLE t DROP b, CHANGE x y int",
        "ALTER TABLE t ADD a int",
        "ALTER TABLE t ADD b int AFTER x",
        "ALTER TABLE t ADD b enum('a'",
        "ALTER TABLE t ADD INDEX (x)",
        "CREATE TABLE t AS SELECT 1",
        "CREATE TABLE t LIKE unknown",
        "CREATE TABLE t (a int, 'x' int)",
    ],
)
def test_a_table_whose_statement_cannot_be_read_is_no_longer_known(statement: str) -> None:
    history = History("shop")
    history.apply("CREATE TABLE t (a int)", "shop", MYSQL)
    applied = history.apply(statement, "shop", MYSQL)
    assert applied.unread is not None
    assert [(entry.table, entry.state) for entry in applied.entries] == [("t", None)]
    assert history.table("shop", "t") is None


def test_sql_mode_says_what_quotes_and_backslashes_are() -> None:
    ansi = Dialect(sql_mode=ANSI_QUOTES)
    assert columns("""CREATE TABLE "t" ("a ""b" int COMMENT 'x')""", dialect=ansi) == ['a "b int "x"']
    plain = Dialect(sql_mode=NO_BACKSLASH_ESCAPES)
    assert columns(r"CREATE TABLE t (a char(3) DEFAULT '\', b int)", dialect=plain)[1] == "b int"
    both = Dialect(sql_mode=ANSI_QUOTES | NO_BACKSLASH_ESCAPES)
    assert columns(r"""CREATE TABLE "t" (a char(3) DEFAULT '\', "b" int)""", dialect=both)[1] == "b int"


def test_names_of_tables_follow_the_servers_case() -> None:
    for lower, known in ((True, True), (False, False)):
        history = History("shop", lower_case_names=lower)
        history.apply("CREATE TABLE Orders (a int)", "Shop", MYSQL)
        assert (history.table("shop", "orders") is not None) == known


def test_errors_say_where_and_show_no_values() -> None:
    history = History("shop")
    error = history.apply("CREATE TABLE t (a int DEFAULT DEFAULT 'secret', b foo 'secret')", "shop", MYSQL).unread
    assert error is not None
    assert "secret" not in str(error)
    assert "at character" in str(error)

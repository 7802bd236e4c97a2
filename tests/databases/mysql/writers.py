"""Writers that keep changing tables while a source captures them: threads, each with transactions of its own."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pymysql.connections import Connection
from pymysql.cursors import Cursor
from pymysql.err import IntegrityError, OperationalError

from servers.mysql import MysqlDatabase

TABLES = {
    "by_number": "CREATE TABLE by_number (id int PRIMARY KEY, v bigint NOT NULL, note text)",
    "by_name": "CREATE TABLE by_name (name varchar(60) CHARACTER SET latin1, v bigint NOT NULL, PRIMARY KEY (name))",
    "by_pair": "CREATE TABLE by_pair (v bigint NOT NULL, b decimal(10,3), a varbinary(20), PRIMARY KEY (a, b))",
    "by_time": "CREATE TABLE by_time (k datetime(3) PRIMARY KEY, v bigint NOT NULL, big text)",
    "by_date": "CREATE TABLE by_date (k date, n bigint unsigned, v bigint NOT NULL, PRIMARY KEY (k, n))",
    "chosen": "CREATE TABLE chosen (e enum('z', 'y', 'a'), n int, v bigint NOT NULL, PRIMARY KEY (e, n))",
    "keyless": "CREATE TABLE keyless (n int, v bigint)",
}
KEYS: dict[str, Callable[[int], tuple[Any, ...]]] = {
    "by_number": lambda n: (n - 50,),
    "by_name": lambda n: (f"{'aAeZ zÄ'[n % 7]}{n * 7919 % 1000}\t\\{n}'",),
    "by_pair": lambda n: (n % 9, f"{n * 31 % 97:x}".encode()),
    "by_time": lambda n: (f"{1900 + n * 37 % 400}-01-{n % 28 + 1:02d} 12:00:{n % 60:02d}.{n % 1000:03d}",),
    "by_date": lambda n: (f"{1900 + n * 37 % 400}-01-{n % 28 + 1:02d}", n),
    "chosen": lambda n: ("zya"[n % 3], n),
    "keyless": lambda n: (n,),
}
COLUMNS = {
    "by_number": ("id",),
    "by_name": ("name",),
    "by_pair": ("b", "a"),
    "by_time": ("k",),
    "by_date": ("k", "n"),
    "chosen": ("e", "n"),
    "keyless": ("n",),
}


def create(database: MysqlDatabase, rows: int) -> None:
    """Create the tables, `rows` rows in each but every third key left free."""
    database.execute(*TABLES.values())
    with database.connect(autocommit=False) as connection, connection.cursor() as cursor:
        for name in TABLES:
            for n in range(rows):
                if n % 3:
                    insert(cursor, name, n, n)
        connection.commit()


def insert(cursor: Cursor, table: str, n: int, version: int) -> None:
    columns = (*COLUMNS[table], "v")
    marks = ", ".join(["%s"] * len(columns))
    cursor.execute(
        f"INSERT IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})", (*KEYS[table](n), version)
    )  # fmt: skip


def change(cursor: Cursor, rng: random.Random, keys: int, version: int) -> None:
    """One random statement on one table."""
    table = rng.choice(list(TABLES))
    n, other = rng.randrange(keys), rng.randrange(keys)
    where = " AND ".join(f"{column} = %s" for column in COLUMNS[table])
    kind = rng.random()
    if kind < 0.3:
        insert(cursor, table, n, version)
    elif kind < 0.65:
        cursor.execute(f"UPDATE {table} SET v = %s WHERE {where}", (version, *KEYS[table](n)))
    elif kind < 0.85:
        cursor.execute(f"DELETE FROM {table} WHERE {where}", KEYS[table](n))
    else:
        sets = ", ".join(f"{column} = %s" for column in COLUMNS[table])
        cursor.execute(
            f"UPDATE {table} SET {sets}, v = %s WHERE {where}", (*KEYS[table](other), version, *KEYS[table](n))
        )


def write(database: MysqlDatabase, seed: int, keys: int, stop: threading.Event) -> None:
    """Run random transactions until told to stop: savepoints, rollbacks, conflicts."""
    rng = random.Random(seed)
    version = seed * 1_000_000_000
    connection: Connection[Cursor]
    with database.connect(autocommit=False) as connection, connection.cursor() as cursor:
        while not stop.is_set():
            try:
                for _ in range(rng.choice([1, 1, 2, 5, 20])):
                    version += 1
                    cursor.execute("SAVEPOINT s")
                    change(cursor, rng, keys, version)
                    if rng.random() < 0.1:
                        cursor.execute("ROLLBACK TO s")
                connection.rollback() if rng.random() < 0.1 else connection.commit()
            except (IntegrityError, OperationalError):
                connection.rollback()


@contextmanager
def writing(database: MysqlDatabase, keys: int, writers: int = 3, seed: int = 1) -> Iterator[None]:
    """Let writers run for as long as the block does."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=write, args=(database, seed * 100 + number, keys, stop))
        for number in range(1, writers + 1)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()

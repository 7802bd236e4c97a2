"""Writers that keep changing tables while a source captures them: threads, each with transactions of its own."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from servers.postgres import Database

Rows = Any
Connection = psycopg.Connection[tuple[Any, ...]]

TABLES = {
    "by_number": "CREATE TABLE by_number (id int PRIMARY KEY, v bigint NOT NULL, note text)",
    "by_name": 'CREATE TABLE by_name (name text COLLATE "und-x-icu", v bigint NOT NULL, PRIMARY KEY (name))',
    "by_pair": "CREATE TABLE by_pair (v bigint NOT NULL, b numeric, a varchar(20), PRIMARY KEY (a, b))",
    "by_uuid": "CREATE TABLE by_uuid (id uuid PRIMARY KEY, v bigint NOT NULL, big text)",
    "whole": "CREATE TABLE whole (k date PRIMARY KEY, v bigint NOT NULL, note text)",
    "keyless": "CREATE TABLE keyless (n int, v bigint)",
}
KEYS: dict[str, Callable[[int], tuple[Any, ...]]] = {
    "by_number": lambda n: (n - 50,),
    "by_name": lambda n: (f"{'aA-äZ z'[n % 7]}{n * 7919 % 1000}\t\\{n}'",),
    "by_pair": lambda n: (n % 9, f"{n * 31 % 97:x}"),
    "by_uuid": lambda n: (f"{n * 2654435761 % 2**32:08x}-0000-4000-8000-{n:012d}",),
    "whole": lambda n: (f"{1900 + n * 37 % 400}-01-{n % 28 + 1:02d}",),
    "keyless": lambda n: (n,),
}
COLUMNS = {
    "by_number": ("id",),
    "by_name": ("name",),
    "by_pair": ("b", "a"),
    "by_uuid": ("id",),
    "whole": ("k",),
    "keyless": ("n",),
}


def create(database: Database, rows: int, *, icu: bool) -> None:
    """Create the tables, `rows` rows in each but every third key left free."""
    with database.connect() as connection:
        for name, sql in TABLES.items():
            connection.execute(sql if icu else sql.replace('COLLATE "und-x-icu"', 'COLLATE "POSIX"'))
            if name in {"whole", "keyless"}:
                connection.execute(f"ALTER TABLE {name} REPLICA IDENTITY FULL")
            with connection.transaction():
                for n in range(rows):
                    if n % 3:
                        insert(connection, name, n, n)


def insert(connection: Connection, table: str, n: int, version: int) -> None:
    columns = (*COLUMNS[table], "v")
    marks = ", ".join(["%s"] * len(columns))
    connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT DO NOTHING",
        (*KEYS[table](n), version),
    )


def change(connection: Connection, rng: random.Random, keys: int, version: int) -> None:
    """One random statement on one table."""
    table = rng.choice(list(TABLES))
    n, other = rng.randrange(keys), rng.randrange(keys)
    where = " AND ".join(f"{column} = %s" for column in COLUMNS[table])
    kind = rng.random()
    if kind < 0.3:
        insert(connection, table, n, version)
    elif kind < 0.65:
        connection.execute(f"UPDATE {table} SET v = %s WHERE {where}", (version, *KEYS[table](n)))
    elif kind < 0.85:
        connection.execute(f"DELETE FROM {table} WHERE {where}", KEYS[table](n))
    else:
        sets = ", ".join(f"{column} = %s" for column in COLUMNS[table])
        connection.execute(
            f"UPDATE {table} SET {sets}, v = %s WHERE {where}", (*KEYS[table](other), version, *KEYS[table](n))
        )


def write(database: Database, seed: int, keys: int, stop: threading.Event) -> None:
    """Run random transactions until told to stop: savepoints, rollbacks, conflicts."""
    rng = random.Random(seed)
    version = seed * 1_000_000_000
    with database.connect(autocommit=False) as connection:
        while not stop.is_set():
            try:
                for _ in range(rng.choice([1, 1, 2, 5, 20])):
                    version += 1
                    if rng.random() < 0.2:
                        with connection.transaction():
                            change(connection, rng, keys, version)
                            if rng.random() < 0.5:
                                raise psycopg.Rollback
                    else:
                        change(connection, rng, keys, version)
                connection.rollback() if rng.random() < 0.1 else connection.commit()
            except (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected):
                connection.rollback()


@contextmanager
def writing(database: Database, keys: int, writers: int = 3, seed: int = 1) -> Iterator[None]:
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

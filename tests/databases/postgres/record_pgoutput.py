"""Records what servers really send: `python -m databases.postgres.record_pgoutput` from `tests`, reviewed as a diff.

Writes one file per server version to `tests/unit/postgres/golden`: a line per message, its bytes in hexadecimal and
what they decode to.
"""

from __future__ import annotations

from pathlib import Path

from servers.postgres import VERSIONS, bin_dir
from tailrace.core.pgoutput import Received
from tailrace.demo.postgres import PostgresServer
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.connection import Connection
from tailrace_postgres.pgoutput import decode
from tailrace_postgres.replication import Replication

GOLDEN = Path(__file__).parents[2] / "unit" / "postgres" / "golden"

SETUP = """
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE k (id int PRIMARY KEY, name varchar(20) NOT NULL, price numeric(10,2), m mood, "Ü" timestamptz);
CREATE TABLE f (a int, b text);
ALTER TABLE f REPLICA IDENTITY FULL;
CREATE TABLE i (id int PRIMARY KEY, code char(3) NOT NULL);
CREATE UNIQUE INDEX code ON i (code);
ALTER TABLE i REPLICA IDENTITY USING INDEX code;
CREATE TABLE toast (id int PRIMARY KEY, big text, n int);
ALTER TABLE toast ALTER big SET STORAGE EXTERNAL;
CREATE PUBLICATION p FOR ALL TABLES;
SELECT pg_create_logical_replication_slot('s', 'pgoutput');
SELECT pg_replication_origin_create('elsewhere');
"""

STATEMENTS = """
INSERT INTO k VALUES (1, 'first', 1.50, 'glad', '2024-02-29 12:00:00+00'), (2, 'ü', NULL, NULL, NULL);
UPDATE k SET price = -0.01 WHERE id = 1;
UPDATE k SET id = 3 WHERE id = 2;
DELETE FROM k WHERE id = 1;
INSERT INTO f VALUES (1, 'x');
UPDATE f SET b = NULL;
DELETE FROM f;
INSERT INTO i VALUES (1, 'abc');
UPDATE i SET code = 'de';
DELETE FROM i;
INSERT INTO toast VALUES (1, repeat('t', 2100), 1);
UPDATE toast SET n = 2;
TRUNCATE k, f RESTART IDENTITY CASCADE;
SELECT pg_logical_emit_message(true, 'inside', 'one');
SELECT pg_logical_emit_message(false, 'beside', 'two');
BEGIN; SELECT pg_replication_origin_session_setup('elsewhere');
SELECT pg_replication_origin_xact_setup('0/ABCDEF', '2024-01-01'); INSERT INTO f VALUES (7, ''); COMMIT;
SELECT pg_replication_origin_session_reset();
"""


def record(version: int) -> None:
    folder = bin_dir(version)
    if folder is None:
        raise SystemExit(f"postgres {version} is not installed")
    with PostgresServer(folder) as server, server.connect() as connection:
        for statement in SETUP.strip().splitlines():
            connection.execute(statement)
        for statement in STATEMENTS.strip().splitlines():
            connection.execute(statement)
        connection.execute("SELECT pg_logical_emit_message(false, 'end', '')")
        config = PostgresConfig.model_validate({"url": server.dsn()})
        replication = Replication(Connection.open(config, "golden", "replication"), 60)
        replication.start("s", 0, "p", confirmed=0, sender_timeout=0, binary=False)
        received: list[Received] = []
        while not (
            received and received[-1].data and received[-1].data.startswith(b"M") and b"end\0" in received[-1].data
        ):
            received += [one for one in replication.receive(1000, 10**6) if one.data is not None]
        replication.connection.close()
    lines = [f"{one.data.hex()}\n    {decode(one.data, one.lsn)!r}\n" for one in received if one.data is not None]
    (GOLDEN / f"pgoutput-{version}.txt").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    for each in VERSIONS:
        record(each)

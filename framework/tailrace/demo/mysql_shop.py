"""The shop's database in MySQL or MariaDB, on a server that is found on the machine."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pymysql.connections import Connection
from pymysql.cursors import Cursor
from pymysql.err import MySQLError

from tailrace.demo.database import Refused, Row, ShopConnection
from tailrace.demo.mysql import MysqlServer
from tailrace.demo.mysql_programs import Flavour, ServerPrograms, find_programs

TABLES = """
CREATE TABLE customers (
    id bigint AUTO_INCREMENT PRIMARY KEY,
    name varchar(80) NOT NULL,
    email varchar(120) NOT NULL UNIQUE,
    address json NOT NULL,
    newsletter boolean NOT NULL DEFAULT false,
    joined_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
);

CREATE TABLE products (
    id int AUTO_INCREMENT PRIMARY KEY,
    sku char(36) NOT NULL DEFAULT (uuid()),
    name varchar(80) NOT NULL,
    price decimal(10, 2) NOT NULL,
    stock int NOT NULL CHECK (stock >= 0),
    tags set('bag', 'bike', 'camp', 'care', 'light', 'rain', 'spare', 'wear') NOT NULL DEFAULT '',
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
);

CREATE TABLE orders (
    id bigint AUTO_INCREMENT PRIMARY KEY,
    reference char(36) NOT NULL DEFAULT (uuid()),
    customer_id bigint NOT NULL,
    status enum('placed', 'paid', 'shipped', 'cancelled') NOT NULL DEFAULT 'placed',
    total decimal(12, 2) NOT NULL DEFAULT 0,
    delivery date,
    placed_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    paid_at datetime(3),
    shipped_at datetime(3),
    FOREIGN KEY (customer_id) REFERENCES customers (id)
);

CREATE TABLE order_lines (
    order_id bigint NOT NULL,
    line smallint NOT NULL,
    product_id int NOT NULL,
    quantity int NOT NULL CHECK (quantity > 0),
    price decimal(10, 2) NOT NULL,
    PRIMARY KEY (order_id, line),
    FOREIGN KEY (order_id) REFERENCES orders (id),
    FOREIGN KEY (product_id) REFERENCES products (id)
)
"""

ACCOUNTS = """
CREATE USER 'tailrace'@'%' IDENTIFIED BY '{password}';
GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'tailrace'@'%';
GRANT LOCK TABLES ON shop.* TO 'tailrace'@'%';
"""

_CHECK_VIOLATED = {3819, 4025}
"""As MySQL and as MariaDB number it."""


@dataclass(frozen=True, slots=True)
class ShopPrograms:
    """A server's programs, and a password that only this demo has."""

    programs: ServerPrograms
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)

    @property
    def flavour(self) -> Flavour:
        """Which of the two it is."""
        return self.programs.flavour

    @property
    def server(self) -> Path:
        """The server's program."""
        return self.programs.server

    @property
    def login(self) -> tuple[str, str]:
        """The account of the worker."""
        return "tailrace", self.password

    def places(self) -> Mapping[str, str]:
        """Return where the server's own files are."""
        return self.programs.places()

    def make_data(self, data: Path) -> None:
        """Make a data folder with the worker's account."""
        self.programs.make_data(data, ACCOUNTS.format(password=self.password))


class MysqlShopConnection:
    """PyMySQL's connection; it must be autocommitting."""

    random = "rand()"

    def __init__(self, connection: Connection[Cursor]) -> None:
        self._connection = connection

    def create_tables(self) -> None:
        """Create the shop's tables."""
        for statement in TABLES.split(";"):
            self.execute(statement)

    def tags(self, names: Sequence[str]) -> str:
        """Return a set's members."""
        return ",".join(names)

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """Run one statement."""
        with self._run(statement, values):
            pass

    def rows(self, statement: str, values: Sequence[object] = ()) -> Sequence[Row]:
        """Return the rows of a query."""
        with self._run(statement, values) as cursor:
            return cursor.fetchall()

    def insert(self, statement: str, values: Sequence[object]) -> int:
        """Insert one row; return its id."""
        with self._run(statement, values) as cursor:
            return int(cursor.lastrowid)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Return a block that is a transaction."""
        self._connection.begin()
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()

    def _run(self, statement: str, values: Sequence[object]) -> Cursor:
        cursor = self._connection.cursor()
        try:
            cursor.execute(statement, values or None)
        except MySQLError as error:
            if error.args and error.args[0] in _CHECK_VIOLATED:
                raise Refused from error
            raise
        return cursor


class MysqlShopServer:
    """A server of `flavour`; raises `Fatal` where the machine has none."""

    namespace = "shop"

    def __init__(self, flavour: Flavour) -> None:
        self.type: str = flavour
        self._server = MysqlServer(ShopPrograms(find_programs(flavour)))

    @property
    def url(self) -> str:
        """The shop's address."""
        return self._server.url("shop")

    @contextmanager
    def connect(self) -> Iterator[ShopConnection]:
        """Connect to the shop's database."""
        with self._server.connect("shop") as connection:
            yield MysqlShopConnection(connection)

    def __enter__(self) -> object:
        self._server.__enter__()
        self._server.execute("CREATE DATABASE shop")
        return self

    def __exit__(self, *raised: object) -> None:
        self._server.stop()
        self._server.close()

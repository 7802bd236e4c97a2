"""A small shop that trades: its tables, and the transactions that keep their rows changing.

Nothing here knows of change capture; it is what any application does to its database.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg
from psycopg.types.json import Jsonb

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

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
    order_id bigint NOT NULL REFERENCES orders ON DELETE CASCADE,
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

PRODUCTS = (
    ("Chain oil", "8.90", ["bike", "care"]),
    ("Inner tube 28\"", "6.50", ["bike", "spare"]),
    ("Bell, brass", "14.00", ["bike"]),
    ("Rain cape", "59.00", ["wear", "rain"]),
    ("Panniers, pair", "129.00", ["bag"]),
    ("Dynamo light", "74.95", ["bike", "light"]),
    ("Repair kit", "11.20", ["spare", "care"]),
    ("Touring saddle", "89.00", ["bike"]),
    ("Map holder", "19.99", ["bag"]),
    ("Thermos 0.7 l", "24.50", ["camp"]),
)  # fmt: skip

FIRST_NAMES = ("Ada", "Bruno", "Chloé", "Dmitri", "Esra", "Finn", "Grete", "Hamid", "Ines", "Jürgen", "Kofi", "Lucía")
LAST_NAMES = ("Abel", "Brandt", "Costa", "Dahl", "Eriksen", "Fischer", "García", "Haddad", "Ivanova", "Jansen", "Kaya")
TOWNS = ("Aarhus", "Brno", "Córdoba", "Dresden", "Évora", "Freiburg", "Genève", "Helsinki")

FIRST_STOCK = 60
LOW_STOCK = 10
DELIVERED_KEPT = 400
"""Shipped orders beyond these are deleted, so that the demo can run for days."""


class ChangedMind(Exception):
    """A customer leaves in the middle of an order: the transaction is rolled back."""


@dataclass(slots=True)
class Trades:
    """What the shop has done so far, in transactions."""

    committed: int = 0
    rolled_back: int = 0


class Shop:
    """The shop in the database that `connection` leads to; the connection must be autocommitting.

    The same `seed` gives the same sequence of customers' decisions. Used by one thread.
    """

    def __init__(self, connection: Connection, *, seed: int = 1) -> None:
        self._connection = connection
        self._random = random.Random(seed)
        self._names = 0
        self.trades = Trades()
        self._habits: dict[Callable[[], None], int] = {
            self.place_order: 40,
            self.take_payment: 30,
            self.ship_order: 26,
            self.welcome_customer: 8,
            self.cancel_order: 6,
            self.restock: 4,
            self.change_price: 2,
            self.clear_out: 2,
            self.move_house: 2,
        }

    def open(self) -> None:
        """Create the tables, the products and the first customers."""
        self._connection.execute(TABLES)
        with self._connection.transaction():
            for name, price, tags in PRODUCTS:
                self._connection.execute(
                    "INSERT INTO products (name, price, stock, tags) VALUES (%s, %s, %s, %s)",
                    [name, price, FIRST_STOCK, tags],
                )
            for _ in range(12):
                self.welcome_customer()

    def trade(self) -> None:
        """Do one transaction of everyday business; some are rolled back, as in every shop."""
        act = self._random.choices(list(self._habits), list(self._habits.values()))[0]
        try:
            with self._connection.transaction():
                act()
        except (ChangedMind, psycopg.errors.CheckViolation):
            self.trades.rolled_back += 1
        else:
            self.trades.committed += 1

    def welcome_customer(self) -> None:
        """Insert a customer."""
        self._names += 1
        first, last = self._random.choice(FIRST_NAMES), self._random.choice(LAST_NAMES)
        self._connection.execute(
            "INSERT INTO customers (name, email, address, newsletter) VALUES (%s, %s, %s, %s)",
            [f"{first} {last}", f"{first}.{last}.{self._names}@example.org".lower(), self._address(),
             self._random.random() < 0.3],
        )  # fmt: skip

    def move_house(self) -> None:
        """Update a customer."""
        self._connection.execute(
            "UPDATE customers SET address = %s WHERE id = (SELECT id FROM customers ORDER BY random() LIMIT 1)",
            [self._address()],
        )

    def place_order(self) -> None:
        """Insert an order and its lines, and take the goods from stock: several tables in one transaction."""
        placed = self._connection.execute(
            "INSERT INTO orders (customer_id, delivery)"
            " SELECT id, current_date + %s::int FROM customers ORDER BY random() LIMIT 1 RETURNING id",
            [self._random.randint(1, 14)],
        ).fetchone()
        assert placed is not None
        for line, product in enumerate(self._random.sample(range(1, len(PRODUCTS) + 1), self._random.randint(1, 4)), 1):
            quantity = self._random.randint(1, 3)
            self._connection.execute(
                "UPDATE products SET stock = stock - %s, updated_at = now() WHERE id = %s", [quantity, product]
            )
            self._connection.execute(
                "INSERT INTO order_lines SELECT %s, %s, id, %s, price FROM products WHERE id = %s",
                [placed[0], line, quantity, product],
            )
        self._connection.execute(
            "UPDATE orders SET total = (SELECT sum(quantity * price) FROM order_lines WHERE order_id = id)"
            " WHERE id = %s",
            [placed[0]],
        )
        if self._random.random() < 0.12:
            raise ChangedMind

    def take_payment(self) -> None:
        """Update an order: placed → paid."""
        self._move_on("placed", "status = 'paid', paid_at = now()")

    def ship_order(self) -> None:
        """Update an order: paid → shipped."""
        self._move_on("paid", "status = 'shipped', shipped_at = now()")

    def cancel_order(self) -> None:
        """Put the goods back; delete an order that was not paid, mark one that was."""
        found = self._connection.execute(
            "SELECT id, status FROM orders WHERE status IN ('placed', 'paid') ORDER BY random() LIMIT 1 FOR UPDATE"
        ).fetchone()
        if found is None:
            return
        order, status = found
        self._connection.execute(
            "UPDATE products SET stock = stock + quantity, updated_at = now()"
            " FROM order_lines WHERE order_id = %s AND product_id = products.id",
            [order],
        )
        self._connection.execute("DELETE FROM order_lines WHERE order_id = %s", [order])
        if status == "placed":
            self._connection.execute("DELETE FROM orders WHERE id = %s", [order])
        else:
            self._connection.execute("UPDATE orders SET status = 'cancelled' WHERE id = %s", [order])

    def restock(self) -> None:
        """Update all products that run low, in one statement."""
        self._connection.execute(
            "UPDATE products SET stock = stock + %s, updated_at = now() WHERE stock < %s", [FIRST_STOCK, LOW_STOCK]
        )

    def change_price(self) -> None:
        """Update one product."""
        self._connection.execute(
            "UPDATE products SET price = round(price * %s::numeric, 2), updated_at = now() WHERE id = %s",
            [self._random.choice(["0.9", "0.95", "1.05", "1.1"]), self._random.randint(1, len(PRODUCTS))],
        )

    def clear_out(self) -> None:
        """Delete the oldest orders that are done with; their lines go by the foreign key."""
        self._connection.execute(
            "DELETE FROM orders WHERE id IN (SELECT id FROM orders WHERE status IN ('shipped', 'cancelled')"
            " ORDER BY id DESC OFFSET %s)",
            [DELIVERED_KEPT],
        )

    def _move_on(self, status: str, change: str) -> None:
        self._connection.execute(
            f"UPDATE orders SET {change} WHERE id ="
            f" (SELECT id FROM orders WHERE status = '{status}' ORDER BY id LIMIT 1)"
        )

    def _address(self) -> Jsonb:
        return Jsonb({
            "street": f"{self._random.choice(LAST_NAMES)}gata {self._random.randint(1, 99)}",
            "town": self._random.choice(TOWNS),
            "floor": self._random.choice([None, 1, 2, 3]),
        })  # fmt: skip

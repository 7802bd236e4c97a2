"""A small shop that trades: the transactions that keep the rows of its four tables changing.

Nothing here knows of change capture; it is what any application does to its database. The statements are such that
every database knows them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tailrace.demo.database import Refused, ShopConnection

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

    def __init__(self, connection: ShopConnection, *, seed: int = 1) -> None:
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
        self._connection.create_tables()
        with self._connection.transaction():
            for name, price, tags in PRODUCTS:
                self._connection.execute(
                    "INSERT INTO products (name, price, stock, tags) VALUES (%s, %s, %s, %s)",
                    [name, price, FIRST_STOCK, self._connection.tags(tags)],
                )
            for _ in range(12):
                self.welcome_customer()

    def trade(self) -> None:
        """Do one transaction of everyday business; some are rolled back, as in every shop."""
        act = self._random.choices(list(self._habits), list(self._habits.values()))[0]
        try:
            with self._connection.transaction():
                act()
        except (ChangedMind, Refused):
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
        self._connection.execute("UPDATE customers SET address = %s WHERE id = %s", [self._address(), self._anybody()])

    def place_order(self) -> None:
        """Insert an order and its lines, and take the goods from stock: several tables in one transaction."""
        placed = self._connection.insert(
            "INSERT INTO orders (customer_id, delivery) VALUES (%s, %s)",
            [self._anybody(), datetime.now(UTC).date() + timedelta(days=self._random.randint(1, 14))],
        )
        for line, product in enumerate(self._random.sample(range(1, len(PRODUCTS) + 1), self._random.randint(1, 4)), 1):
            quantity = self._random.randint(1, 3)
            self._connection.execute(
                "UPDATE products SET stock = stock - %s, updated_at = CURRENT_TIMESTAMP WHERE id = %s",
                [quantity, product],
            )
            self._connection.execute(
                "INSERT INTO order_lines SELECT %s, %s, id, %s, price FROM products WHERE id = %s",
                [placed, line, quantity, product],
            )
        self._connection.execute(
            "UPDATE orders SET total = (SELECT sum(quantity * price) FROM order_lines WHERE order_id = orders.id)"
            " WHERE id = %s",
            [placed],
        )
        if self._random.random() < 0.12:
            raise ChangedMind

    def take_payment(self) -> None:
        """Update an order: placed → paid."""
        self._move_on("placed", "status = 'paid', paid_at = CURRENT_TIMESTAMP")

    def ship_order(self) -> None:
        """Update an order: paid → shipped."""
        self._move_on("paid", "status = 'shipped', shipped_at = CURRENT_TIMESTAMP")

    def cancel_order(self) -> None:
        """Put the goods back; delete an order that was not paid, mark one that was."""
        found = self._connection.rows(
            "SELECT id, status FROM orders WHERE status IN ('placed', 'paid')"
            f" ORDER BY {self._connection.random} LIMIT 1 FOR UPDATE"
        )
        for order, status in found:
            self._connection.execute(
                "UPDATE products SET updated_at = CURRENT_TIMESTAMP, stock = stock +"
                " (SELECT quantity FROM order_lines WHERE order_id = %s AND product_id = products.id)"
                " WHERE id IN (SELECT product_id FROM order_lines WHERE order_id = %s)",
                [order, order],
            )
            self._connection.execute("DELETE FROM order_lines WHERE order_id = %s", [order])
            if status == "placed":
                self._connection.execute("DELETE FROM orders WHERE id = %s", [order])
            else:
                self._connection.execute("UPDATE orders SET status = 'cancelled' WHERE id = %s", [order])

    def restock(self) -> None:
        """Update all products that run low, in one statement."""
        self._connection.execute(
            "UPDATE products SET stock = stock + %s, updated_at = CURRENT_TIMESTAMP WHERE stock < %s",
            [FIRST_STOCK, LOW_STOCK],
        )

    def change_price(self) -> None:
        """Update one product."""
        self._connection.execute(
            "UPDATE products SET price = round(price * CAST(%s AS decimal(3, 2)), 2), updated_at = CURRENT_TIMESTAMP"
            " WHERE id = %s",
            [self._random.choice(["0.9", "0.95", "1.05", "1.1"]), self._random.randint(1, len(PRODUCTS))],
        )

    def clear_out(self) -> None:
        """Delete the oldest orders that are done with, and their lines.

        Not by the foreign key: what InnoDB deletes by that is not in the binlog of most versions.
        """
        done = "status IN ('shipped', 'cancelled')"
        newest = self._connection.rows(
            f"SELECT id FROM orders WHERE {done} ORDER BY id DESC LIMIT 1 OFFSET %s", [DELIVERED_KEPT]
        )
        for (order,) in newest:
            self._connection.execute(
                f"DELETE FROM order_lines WHERE order_id IN (SELECT id FROM orders WHERE {done} AND id <= %s)", [order]
            )
            self._connection.execute(f"DELETE FROM orders WHERE {done} AND id <= %s", [order])

    def _anybody(self) -> int:
        [[customer]] = self._connection.rows(f"SELECT id FROM customers ORDER BY {self._connection.random} LIMIT 1")
        return int(customer)

    def _move_on(self, status: str, change: str) -> None:
        for (order,) in self._connection.rows(f"SELECT min(id) FROM orders WHERE status = '{status}'"):
            self._connection.execute(f"UPDATE orders SET {change} WHERE id = %s", [order])

    def _address(self) -> str:
        return json.dumps({
            "street": f"{self._random.choice(LAST_NAMES)}gata {self._random.randint(1, 99)}",
            "town": self._random.choice(TOWNS),
            "floor": self._random.choice([None, 1, 2, 3]),
        })  # fmt: skip

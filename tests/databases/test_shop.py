"""The demo's shop: its business runs, and its books are right."""

from __future__ import annotations

from servers.postgres import Database
from tailrace.demo.shop import DELIVERED_KEPT, FIRST_STOCK, PRODUCTS, Shop

WRONG_TOTALS = """
SELECT count(*) FROM orders WHERE status <> 'cancelled'
AND total <> (SELECT sum(quantity * price) FROM order_lines WHERE order_id = orders.id)
"""


def test_a_day_in_the_shop(postgres: Database) -> None:
    with postgres.connect() as connection:
        shop = Shop(connection)
        shop.open()
        for _ in range(600):
            shop.trade()
    assert shop.trades.committed + shop.trades.rolled_back == 600
    assert shop.trades.rolled_back > 5
    assert postgres.execute(WRONG_TOTALS) == [(0,)]
    statuses = {status for (status,) in postgres.execute("SELECT DISTINCT status::text FROM orders")}
    assert statuses >= {"placed", "shipped", "cancelled"}
    assert postgres.execute("SELECT count(*) > 12 FROM customers") == [(True,)]
    inserted, updated, deleted = postgres.execute(
        "SELECT pg_stat_force_next_flush()" if postgres.version >= 15 else "SELECT 1",
        "SELECT sum(n_tup_ins), sum(n_tup_upd), sum(n_tup_del) FROM pg_stat_user_tables",
    )[0]
    assert min(inserted, updated, deleted) > 0


def test_the_shop_does_not_grow_without_end(postgres: Database) -> None:
    with postgres.connect() as connection:
        shop = Shop(connection)
        shop.open()
        connection.execute(
            "INSERT INTO orders (customer_id, status) SELECT 1, 'shipped' FROM generate_series(1, %s)",
            [DELIVERED_KEPT + 50],
        )
        shop.clear_out()
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (DELIVERED_KEPT,)


def test_an_order_that_exceeds_the_stock_leaves_nothing_behind(postgres: Database) -> None:
    with postgres.connect() as connection:
        shop = Shop(connection)
        shop.open()
        connection.execute("UPDATE products SET stock = 0")
        while not shop.trades.rolled_back:
            shop.trade()
        assert connection.execute("SELECT count(*) FROM order_lines").fetchone() == (0,)
        shop.restock()
        assert connection.execute("SELECT DISTINCT stock FROM products").fetchall() == [(FIRST_STOCK,)]
        assert connection.execute("SELECT count(*) FROM products").fetchone() == (len(PRODUCTS),)

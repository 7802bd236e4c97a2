"""The demo's shop: its business runs, and its books are right, in each of its databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.mysql import SharedServers
from servers.postgres import Servers
from tailrace.demo.database import ShopConnection
from tailrace.demo.mysql_programs import Flavour
from tailrace.demo.mysql_shop import MysqlShopConnection
from tailrace.demo.postgres_shop import PostgresShopConnection
from tailrace.demo.shop import DELIVERED_KEPT, FIRST_STOCK, PRODUCTS, Shop

WRONG_TOTALS = """
SELECT count(*) FROM orders WHERE status <> 'cancelled'
AND total <> (SELECT sum(quantity * price) FROM order_lines WHERE order_id = orders.id)
"""


@pytest.fixture(
    params=[
        pytest.param(("postgres", 18), id="postgres", marks=pytest.mark.postgres),
        pytest.param(("binlog", "mysql"), id="mysql", marks=pytest.mark.mysql),
        pytest.param(("binlog", "mariadb"), id="mariadb", marks=pytest.mark.mysql),
    ]
)
def connection(
    request: pytest.FixtureRequest, shared_servers: Servers, shared_mysql_servers: SharedServers
) -> Iterator[ShopConnection]:
    kind, which = request.param
    if kind == "postgres":
        yield from postgres_shop(shared_servers, which)
    else:
        yield from binlog_shop(shared_mysql_servers, which)


def postgres_shop(servers: Servers, version: int) -> Iterator[ShopConnection]:
    server = servers.get(version)
    with server.connect() as admin:
        admin.execute("CREATE DATABASE test_shop")
        with server.connect("test_shop") as connection:
            yield PostgresShopConnection(connection)
        admin.execute("DROP DATABASE test_shop WITH (FORCE)")


def binlog_shop(servers: SharedServers, flavour: Flavour) -> Iterator[ShopConnection]:
    server = servers.get(flavour)
    server.execute("CREATE DATABASE test_shop")
    with server.connect("test_shop") as connection:
        yield MysqlShopConnection(connection)
    server.execute("DROP DATABASE test_shop")


def test_a_day_in_the_shop(connection: ShopConnection) -> None:
    shop = Shop(connection)
    shop.open()
    for _ in range(600):
        shop.trade()
    assert shop.trades.committed + shop.trades.rolled_back == 600
    assert shop.trades.rolled_back > 5
    assert list(connection.rows(WRONG_TOTALS)) == [(0,)]
    statuses = {str(status) for (status,) in connection.rows("SELECT DISTINCT status FROM orders")}
    assert statuses >= {"placed", "shipped", "cancelled"}
    [[customers]] = connection.rows("SELECT count(*) FROM customers")
    assert customers > 12
    [[orders, last]] = connection.rows("SELECT count(*), max(id) FROM orders")
    assert orders < last


def test_the_shop_does_not_grow_without_end(connection: ShopConnection) -> None:
    shop = Shop(connection)
    shop.open()
    with connection.transaction():
        for _ in range(DELIVERED_KEPT + 50):
            order = connection.insert("INSERT INTO orders (customer_id, status) VALUES (%s, 'shipped')", [1])
            connection.execute("INSERT INTO order_lines VALUES (%s, 1, 1, 1, 1)", [order])
    shop.clear_out()
    [[left, lines]] = connection.rows("SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM order_lines)")
    assert (left, lines) == (DELIVERED_KEPT, DELIVERED_KEPT)


def test_an_order_that_exceeds_the_stock_leaves_nothing_behind(connection: ShopConnection) -> None:
    shop = Shop(connection)
    shop.open()
    connection.execute("UPDATE products SET stock = 0")
    while not shop.trades.rolled_back:
        shop.trade()
    assert list(connection.rows("SELECT count(*) FROM order_lines")) == [(0,)]
    shop.restock()
    assert list(connection.rows("SELECT DISTINCT stock FROM products")) == [(FIRST_STOCK,)]
    assert list(connection.rows("SELECT count(*) FROM products")) == [(len(PRODUCTS),)]

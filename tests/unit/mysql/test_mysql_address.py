"""The URL of a MySQL source."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tailrace.errors import ConfigError
from tailrace_mysql.address import Address, Host, Tls, parse_url
from tailrace_mysql.config import MariadbConfig, MysqlConfig


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mysql://u:p@h/d", Address((Host("h"),), "u", "p", "d")),
        ("mariadb://h", Address((Host("h"),))),
        ("mysql:///d", Address((Host(),), database="d")),
        ("mysql://u@h:1,i,[::1]:3/d", Address((Host("h", 1), Host("i"), Host("::1", 3)), "u", "", "d")),
        ("mysql://u%40x:p%27%3A%2F%40%C3%BC@h/a%20b", Address((Host("h"),), "u@x", "p':/@ü", "a b")),
        ("mysql://u:a:b@h", Address((Host("h"),), "u", "a:b")),
        ("mysql://u@/d?unix_socket=%2Frun%2Fmy%20sql.sock", Address((Host(socket="/run/my sql.sock"),), "u", "", "d")),
        ("mysql://h?ssl-mode=required", Address((Host("h"),), tls=Tls("REQUIRED"))),
        ("mysql://h?ssl_ca=/ca.pem", Address((Host("h"),), tls=Tls("VERIFY_CA", "/ca.pem"))),
        ("mysql://h/?ssl-mode=VERIFY_IDENTITY&ssl-cert=c&ssl-key=k",
         Address((Host("h"),), tls=Tls("VERIFY_IDENTITY", "", "", "c", "k"))),
    ],
)  # fmt: skip
def test_urls_are_taken_apart(url: str, address: Address) -> None:
    assert parse_url(url) == address
    MysqlConfig.model_validate({"url": url})


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "not a connection string"),
        ("postgresql://u:geheim@h/d", "not a connection string"),
        ("mysql://u:ge/heim@h/d", "not a connection string"),
        ("mysql://u:ge@heim@h/d", "not a connection string"),
        ("mysql://u:geheim@h:70000/d", "a host that is none"),
        ("mysql://u:geheim@h/d?ssl-mode=SURE", "known are DISABLED"),
        ("mysql://u:geheim@h/d?sslmode=require", "known are unix-socket, ssl-mode"),
    ],
)
def test_what_is_no_url_is_refused_without_the_password(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        parse_url(url)
    assert "heim" not in str(refused.value)
    with pytest.raises(ValidationError, match=says):
        MysqlConfig.model_validate({"url": url})


def test_a_password_is_in_no_repr() -> None:
    assert "geheim" not in repr(parse_url("mysql://u:geheim@h/d"))


def test_the_number_among_the_replicas_is_stable_and_high_and_can_be_set() -> None:
    config = MariadbConfig.model_validate({"url": "mariadb://h"})
    ids = {config.own_server_id(name) for name in ("a", "b", "shop")}
    assert len(ids) == 3
    assert all(2_000_000_000 <= number < 4_000_000_000 for number in ids)
    assert config.own_server_id("shop") == 2_892_647_586
    assert config.model_copy(update={"server_id": 7}).own_server_id("shop") == 7

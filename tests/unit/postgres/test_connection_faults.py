"""Which connection failures are for ever, which pass, and what is not told."""

from __future__ import annotations

import pytest

from tailrace.errors import ConfigError, Fatal, Retriable
from tailrace_postgres.config import PostgresConfig
from tailrace_postgres.connection import connection_string
from tailrace_postgres.fault import connection_fault


@pytest.mark.parametrize(
    "message",
    [
        'connection to server at "h", port 5432 failed: FATAL:  password authentication failed for user "u"',
        'FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "u", database "d", no encryption',
        'FATAL:  role "u" does not exist',
        'FATAL:  database "d" does not exist',
        'FATAL:  role "u" is not permitted to log in',
        "fe_sendauth: no password supplied",
        "server does not support SSL, but SSL was required",
        "SSL error: certificate verify failed",
        "FATAL:  must be superuser or replication role to start walsender",
        'FATAL:  permission denied for database "d"',
    ],
)
def test_what_never_succeeds_is_fatal(message: str) -> None:
    fault = connection_fault(message)
    assert isinstance(fault, Fatal)
    assert fault.hint


@pytest.mark.parametrize(
    "message",
    [
        'connection to server at "127.0.0.1", port 1 failed: Connection refused',
        "timeout expired",
        'could not translate host name "h" to address: Temporary failure in name resolution',
        "FATAL:  the database system is starting up",
        "FATAL:  the database system is shutting down",
        "FATAL:  the database system is in recovery mode",
        "FATAL:  the database system is not yet accepting connections",
        "FATAL:  sorry, too many clients already",
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
        'connection to server on socket "/tmp/.s.PGSQL.5432" failed: No such file or directory',
        "server closed the connection unexpectedly",
    ],
)
def test_a_server_that_is_away_is_waited_for(message: str) -> None:
    fault = connection_fault(message)
    assert isinstance(fault, Retriable)
    assert fault.patient


def test_what_nobody_foresaw_is_tried_a_few_times() -> None:
    fault = connection_fault("FATAL:  etwas anderes")
    assert isinstance(fault, Retriable)
    assert not fault.patient


def config(url: str) -> PostgresConfig:
    return PostgresConfig.model_validate({"url": url})


def test_the_password_is_in_no_text_of_the_settings() -> None:
    assert "hush" not in repr(config("postgresql://u:hush@h/d"))
    assert "hush" not in config("postgresql://u:hush@h/d").model_dump_json()


def test_all_connections_write_values_alike() -> None:
    text = connection_string(config("postgresql://u@h/d?options=-c%20work_mem%3D64MB"), "shop", "replication")
    for setting in ("work_mem=64MB", "DateStyle=ISO", "TimeZone=UTC", "IntervalStyle=postgres", "bytea_output=hex"):
        assert setting in text
    assert "replication=database" in text
    assert "client_encoding=UTF8" in text


def test_a_url_that_is_none_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as error:
        connection_string(config("postgresql://u:hush@[::1/d"), "shop", "control")
    assert "hush" not in str(error.value)


def test_several_hosts_lead_to_the_primary() -> None:
    assert "target_session_attrs=read-write" in connection_string(config("postgresql://a,b/d"), "shop", "control")

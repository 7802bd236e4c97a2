"""Connections of the MySQL source: logins, TLS, sockets, hosts in turn, answers, and rows as they come."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from servers.mysql import MysqlDatabase, StartMysql
from servers.mysql_programs import Flavour
from servers.mysql_server import MysqlServer
from tailrace.errors import ConfigError, Fatal, Retriable
from tailrace_mysql.config import BinlogConfig, MariadbConfig, MysqlConfig
from tailrace_mysql.connection import Connection, identifier, literal
from tailrace_mysql.fault import LostConnection, NoAnswer, ServerFault
from tailrace_mysql.packet import cells


def config(url: str, **settings: object) -> BinlogConfig:
    model = MariadbConfig if url.startswith("mariadb") else MysqlConfig
    return model.model_validate({"url": url, **settings})


def opened(url: str, purpose: str = "control", **settings: object) -> Connection:
    return Connection.open(config(url, **settings), "shop", purpose)  # type: ignore[arg-type]


def encrypted(connection: Connection) -> bool:
    try:
        return bool(connection.one("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[1])
    finally:
        connection.close()


def test_sessions_are_the_same_whatever_the_server_has(start_mysql: StartMysql) -> None:
    server = start_mysql("mariadb", default_time_zone="+05:30", sql_mode="ANSI_QUOTES,NO_BACKSLASH_ESCAPES")
    connection = opened(server.url())
    assert connection.mariadb
    assert connection.version.startswith("10.11")
    assert connection.one("SELECT @@time_zone, @@sql_mode, @@autocommit") == ("+00:00", "", "1")
    connection.close()


def test_texts_and_names_survive_a_query(binlog_database: MysqlDatabase) -> None:
    with_all = "ä'\"\\\0\n%`漢🎉"
    connection = opened(binlog_database.url)
    name = identifier("we`ird")
    assert connection.query(f"SELECT {literal(with_all)}, NULL, 1 AS {name}") == [(with_all, None, "1")]
    assert connection.query("SELECT 1 WHERE 1 = 0") == []
    assert connection.query("DO 1") == []
    connection.close()
    connection.close()


def test_several_statements_answer_one_after_the_other(binlog_database: MysqlDatabase) -> None:
    connection = opened(binlog_database.url)
    connection.post("START TRANSACTION WITH CONSISTENT SNAPSHOT; SELECT 1; SELECT 2 UNION ALL SELECT 3; COMMIT")
    results = None
    while results is None:
        connection.channel.wait(connection._deadline())
        results = connection.collect()
    assert [[cells(row) for row in result.rows] for result in results] == [[], [[b"1"]], [[b"2"], [b"3"]], []]
    with pytest.raises(ServerFault, match="1146") as fault:
        connection.query("SELECT 1; SELECT * FROM no_such_table; SELECT 2")
    assert fault.value.number == 1146
    assert connection.one("SELECT 'still there'") == ("still there",)
    connection.close()


def test_rows_come_raw_bit_by_bit_and_a_query_in_between_waits_for_them(binlog_database: MysqlDatabase) -> None:
    binlog_database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, latin varchar(10) CHARACTER SET latin1, b varbinary(10), x longtext)",
        "INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)"
        " SELECT i, 'é€', x'ff00', repeat('x', 5000) FROM n",
    )
    connection = opened(binlog_database.url, "snapshot")
    connection.post("SELECT id, latin, b, x FROM t ORDER BY id")
    seen: list[bytes] = []
    portions = 0
    while connection.busy:
        if not connection.pending:
            connection.channel.wait(connection._deadline())
        for result in connection.receive(100_000):
            rows = result.take_rows()
            assert sum(map(len, rows)) < 500_000
            seen += rows
            portions += bool(rows)
    assert portions > 5
    assert [int((cells(row)[0] or b"").decode()) for row in seen] == list(range(1, 901))
    assert cells(seen[0])[1:3] == [b"\xe9\x80", b"\xff\0"]
    connection.post("SELECT x FROM t")
    connection.receive(1000)
    assert connection.one("SELECT 7") == ("7",)
    connection.close()


def test_a_row_of_more_than_one_packet_comes_whole(start_mysql: StartMysql) -> None:
    server = start_mysql("mariadb", max_allowed_packet="64M")
    connection = opened(server.url(), "snapshot")
    connection.post("SELECT repeat('y', 40000000), 'end'")
    results = None
    while results is None:
        connection.channel.wait(connection._deadline())
        results = connection.collect()
    first, last = cells(results[0].rows[0])
    assert (len(first or b""), last) == (40_000_000, b"end")
    connection.close()


@pytest.mark.parametrize("mode", ["DISABLED", "PREFERRED", "REQUIRED"])
def test_caching_sha2_works_with_and_without_tls(start_mysql: StartMysql, mode: str) -> None:
    # A server of its own: one that has seen the password once asks for no proof of it without TLS.
    server = start_mysql("mysql")
    connection = opened(server.url(query=f"ssl-mode={mode}"))
    assert connection.one("SELECT plugin FROM performance_schema.threads t JOIN mysql.user u ON"
                          " u.user = 'tailrace' LIMIT 1") == ("caching_sha2_password",)  # fmt: skip
    assert encrypted(connection) == (mode != "DISABLED")


def test_a_unix_socket_leads_in(binlog_server: MysqlServer) -> None:
    connection = opened(binlog_server.url(query=f"unix_socket={binlog_server.socket_file}"))
    assert not encrypted(connection)
    with pytest.raises(Retriable, match="cannot connect to /no/socket") as fault:
        opened(binlog_server.url(query="unix_socket=/no/socket"))
    assert fault.value.patient


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
def test_certificates_are_verified_as_far_as_asked(start_mysql: StartMysql, flavour: Flavour, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    files = {f"ssl_{name}": str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")}
    server = start_mysql(flavour, **files, require_secure_transport="ON")
    assert encrypted(opened(server.url(query=f"ssl-ca={tmp_path}/ca.pem&ssl-mode=VERIFY_IDENTITY")))
    assert encrypted(opened(server.url(query="ssl-mode=REQUIRED")))
    other = server.url(query=f"ssl-ca={tmp_path}/ca.pem&ssl-mode={{}}").replace("127.0.0.1", "127.0.0.2")
    server.settings["bind_address"] = "0.0.0.0"
    server.restart()
    assert encrypted(opened(other.format("VERIFY_CA")))
    with pytest.raises(Fatal, match="VERIFY_IDENTITY it must name the host"):
        opened(other.format("VERIFY_IDENTITY"))
    with pytest.raises(Fatal, match="certificate is not believed"):
        opened(server.url(query=f"ssl-ca={tmp_path}/other.pem"))
    with pytest.raises(Fatal, match="3159" if flavour == "mysql" else "must use TLS"):
        opened(server.url(query="ssl-mode=DISABLED"))
    with pytest.raises(ConfigError, match="not there"):
        opened(server.url(query="ssl-ca=/no/ca.pem"))


def make_certificates(folder: Path) -> None:
    """An authority, a server's certificate for 127.0.0.1 that it signed, and another authority."""
    now = dt.datetime.now(dt.UTC)

    def made(
        name: str, issuer: str, signer: ec.EllipticCurvePrivateKey | None, *, ca: bool
    ) -> ec.EllipticCurvePrivateKey:
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(names, critical=False)
            .sign(signer or key, hashes.SHA256())
        )
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return key

    made("other", "other", None, ca=True)
    key = made("cert", "ca", made("ca", "ca", None, ca=True), ca=False)
    private = serialization.PrivateFormat.TraditionalOpenSSL
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
    )


def test_what_cannot_succeed_is_fatal_and_what_may_is_not(binlog_database: MysqlDatabase) -> None:
    server = binlog_database.server
    with pytest.raises(ServerFault, match="check user, password"):
        opened(server.url(password="wrong"))
    with pytest.raises(ServerFault, match="check the database's name"):
        opened(server.url("no_such_database"))
    with pytest.raises(Retriable, match="refused") as fault:
        opened(server.url().replace(str(server.port), "1"))
    assert fault.value.patient


def test_hosts_are_tried_in_turn(binlog_database: MysqlDatabase) -> None:
    port = binlog_database.server.port
    connection = opened(binlog_database.url.replace(f":{port}", f":1,127.0.0.1:{port}"))
    assert (connection.host.name, connection.host.port) == ("127.0.0.1", port)
    connection.close()
    with pytest.raises(Retriable, match=r"127\.0\.0\.1:1"):
        opened(binlog_database.url.replace(f":{port}", ":1,127.0.0.1:2"))


def test_a_server_that_falls_silent_or_goes_is_noticed(binlog_server: MysqlServer) -> None:
    connection = opened(binlog_server.url(), query_timeout=1)
    binlog_server.hold()
    with pytest.raises(NoAnswer):
        connection.query("SELECT 1")
    with pytest.raises(Retriable, match="timed out") as fault:
        opened(binlog_server.url(), connect_timeout=2)
    assert fault.value.patient
    binlog_server.go_on()
    connection.close()
    connection = opened(binlog_server.url())
    binlog_server.kill()
    with pytest.raises(LostConnection):
        connection.query("SELECT 1")
    connection.close()

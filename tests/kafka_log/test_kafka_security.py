"""TLS, logins and permissions, against real brokers: what gets in, and what those are told that do not."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kafka_log.stage import TOPIC, make_log, record, stored, writing
from servers.kafka import require
from servers.kafka_broker import Access, KafkaCluster
from tailrace.errors import Fatal

PASSWORD = "p wörd;"


def pem(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """Return certificate, key, and both in one file: of an authority for itself, good for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoded = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files = folder / f"{name}.crt", folder / f"{name}.key", folder / f"{name}.pem"
    for path, content in zip(files, (encoded, private, private + encoded), strict=True):
        path.write_bytes(content)
    return files


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[KafkaCluster]:
    """A broker that wants TLS and a login, and lets nobody but anna and the brokers do anything."""
    access = Access("SASL_SSL", {"anna": PASSWORD, "ben": PASSWORD}, key_store=pem(folder, "broker")[2])
    settings = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:anna;User:olga",
    }
    with KafkaCluster(require(), access=access, settings=settings) as cluster:
        yield cluster


def login(folder: Path, **settings: Any) -> dict[str, Any]:
    return {"tls": True, "ca": str(folder / "broker.crt"), **settings}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_user_writes_and_reads_over_tls(guarded: KafkaCluster, folder: Path, mechanism: str) -> None:
    security = login(folder, mechanism=mechanism, username="anna", password=PASSWORD)
    log = make_log(guarded, security=security, group=mechanism)
    with writing(log) as sink:
        sink.write([record(1, topic=mechanism)])
        sink.commit({"at": 1})
    assert stored(log, 1, mechanism) == [b"1"]


def test_a_token_from_a_provider_lets_in(guarded: KafkaCluster, folder: Path) -> None:
    with closing(Provider()) as provider:
        oauth = {"token_endpoint": provider.url, "client_id": "tailrace", "client_secret": "secret", "scope": "kafka"}
        log = make_log(guarded, security=login(folder, oauth=oauth), group="oauth")
        with writing(log) as sink:
            sink.write([record(1, topic="by-token")])
            sink.commit({"at": 1})
        assert stored(log, 1, "by-token") == [b"1"]
    assert b"grant_type=client_credentials" in provider.asked[0]


@pytest.mark.parametrize(
    ("changes", "hint"),
    [({"password": "guessed"}, "security.mechanism"), ({"ca": "/etc/ssl/certs/ca-certificates.crt"}, "security.tls")],
    ids=["wrong password", "unknown certificate"],
)
def test_who_is_not_let_in_is_told_why(guarded: KafkaCluster, folder: Path, changes: dict[str, str], hint: str) -> None:
    security = login(folder, username="anna", password=PASSWORD) | changes
    with pytest.raises(Fatal) as caught, writing(make_log(guarded, security=security)):
        pass
    assert hint in caught.value.hint
    [fault] = make_log(guarded, security=security).check()
    assert not fault.ok
    assert hint in fault.mend


def test_what_a_user_may_not_do_is_named(guarded: KafkaCluster, folder: Path) -> None:
    log = make_log(
        guarded, security=login(folder, username="ben", password=PASSWORD), group="bens", offsets_topic="bens"
    )
    guarded.create_topic("bens", cleanup_policy="compact")
    allow(guarded, "ben", ResourceType.TOPIC, "bens", AclOperation.ALL)
    with pytest.raises(Fatal) as caught, writing(log):
        pass
    assert "WRITE and DESCRIBE on transactional id bens-shop" in caught.value.hint
    allow(guarded, "ben", ResourceType.TRANSACTIONAL_ID, "bens-shop", AclOperation.ALL)
    allow(guarded, "ben", ResourceType.GROUP, "bens-reader", AclOperation.ALL)
    with writing(log) as sink, pytest.raises(Fatal) as caught:
        sink.write([record(1)])
    assert f"topic {TOPIC}" in caught.value.hint


def test_brokers_may_ask_for_a_certificate(folder: Path) -> None:
    certificate, key, _ = pem(folder, "client")
    authority, _, key_store = pem(folder, "other-broker")
    access = Access("SSL", key_store=key_store, trust_store=certificate)
    with KafkaCluster(require(), access=access) as cluster:
        security = {"ca": str(authority), "certificate": str(certificate), "key": str(key)}
        log = make_log(cluster, security=security)
        with writing(log) as sink:
            sink.write([record(1)])
            sink.commit({"at": 1})
        assert stored(log, 1) == [b"1"]


def allow(cluster: KafkaCluster, user: str, kind: ResourceType, name: str, operation: AclOperation) -> None:
    binding = AclBinding(
        kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, AclPermissionType.ALLOW
    )
    admin = cluster.admin()
    for creation in admin.create_acls([binding]).values():
        creation.result()


class Provider:
    """Gives everybody a token for olga, unsigned, which Kafka's own validator takes where it is told no other."""

    def __init__(self) -> None:
        asked = self.asked = list[bytes]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked.append(self.rfile.read(int(self.headers["Content-Length"])))
                now = int(time.time())
                claims = {"sub": "olga", "iat": now, "exp": now + 3600, "scope": "kafka"}
                token = ".".join([segment({"alg": "none"}), segment(claims), ""])
                answer = json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 3600}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def segment(content: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

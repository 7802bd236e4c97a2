"""One OpenSearch node of a test's own: started, stopped, killed, held still and restarted at will.

It listens on 127.0.0.1 by HTTPS, with a certificate of an authority made for it, and knows these users, whose password
is their name: `admin` may do everything, `loader` what docs/sinks-search.md asks for, `reader` may only read.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import shutil
import signal
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from servers.opensearch_programs import Programs
from tailrace.demo.postgres import free_ports
from tailrace.demo.process import ServerProcess

# BCrypt of cost 4: a log-in must not cost a test machine half a second.
USERS = {
    "admin": "$2y$04$YNgC9YvX.kCN3Si1RZ2ZzO6HX3nK1KPCy5yZrYRuAUveUlHZR/2oG",
    "loader": "$2y$04$lvMMpOePAxFL2rbKppSSTej2IqdVLxk.PuxTA5kAGbU8qP3Oz93lW",
    "reader": "$2y$04$q9dQiNIif.eSP5QMfds0eOMQqCBmRbag6awGuoMv611HmMu35YbFm",
}
ROLES = """
_meta: {type: roles, config_version: 2}
tailrace_loader:
  cluster_permissions:
    - cluster:monitor/main
    - cluster:monitor/health
    - indices:data/write/bulk
    - indices:data/read/mget
    - indices:data/read/scroll
    - indices:data/read/scroll/clear
    - indices:admin/index_template/get
    - indices:admin/index_template/put
  index_permissions:
    - index_patterns: ["*"]
      allowed_actions: [read, write, create_index, manage_aliases, indices:admin/aliases*, indices:admin/delete,
        indices:admin/get, indices:admin/mapping/put, indices:admin/mappings/get, indices:admin/refresh*,
        indices:monitor/settings/get]
tailrace_reader:
  cluster_permissions: [cluster:monitor/main]
  index_permissions:
    - {index_patterns: ["*"], allowed_actions: [read, indices:admin/get, indices:admin/aliases/get]}
"""
ROLES_MAPPING = """
_meta: {type: rolesmapping, config_version: 2}
all_access: {reserved: false, users: [admin]}
tailrace_loader: {reserved: false, users: [loader]}
tailrace_reader: {reserved: false, users: [reader]}
"""


class OpenSearchNode:
    """Use it in a `with`; building one does no I/O but finding free ports."""

    def __init__(self, programs: Programs, *, heap_mb: int = 384) -> None:
        self.programs = programs
        self.port, self._transport_port = free_ports(2)
        self.url = f"https://127.0.0.1:{self.port}"
        self.settings: dict[str, str] = {}
        self.java_options = ["-XX:TieredStopAtLevel=1"]
        self._heap_mb = heap_mb
        self._folder = Path()
        self._process = ServerProcess("the node", signal.SIGKILL)

    @property
    def ca(self) -> Path:
        """The certificate of the authority."""
        return self._folder / "ca.pem"

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="tailrace-opensearch-"))
        config = self._folder / "node_1" / "config"
        shutil.copytree(self.programs.security / "config", config / "opensearch-security")
        _write_users(config / "opensearch-security")
        make_certificates(self._folder, config)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, *, timeout: float = 240.0) -> None:
        """Start it, and wait until it serves its users."""
        arguments = [f"{name}={value}" for name, value in self._all_settings().items()]
        command = [*self.programs.java(*self.java_options, heap_mb=self._heap_mb), str(self._folder), *arguments]
        self._process.launch(command, self._folder / "node.log", cwd=self._folder)
        deadline = time.monotonic() + timeout
        while not self._answers():
            assert self._process.running, f"the node ended: {self.said()}"
            assert time.monotonic() < deadline, f"the node does not answer: {self.said()}"
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop in good order."""
        self._process.end(signal.SIGTERM, timeout=60)

    def kill(self) -> None:
        """Kill with signal 9."""
        self._process.kill()

    def hold(self) -> None:
        """Let the node stand still, connections open: to everybody it is deaf and mute."""
        self._process.hold()

    def go_on(self) -> None:
        """End `hold`."""
        self._process.go_on()

    def close(self) -> None:
        """Stop it, and remove what it stored."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def call(self, method: str, path: str, body: object = None, *, user: str = "admin", missing: object = None) -> Any:
        """Return the JSON of an answer, `missing` where it is a 404; raises `HTTPError` for any other fault."""
        data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
        kind = "application/x-ndjson" if isinstance(body, str) else "application/json"
        login = b64encode(f"{user}:{user}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": kind}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        context = ssl.create_default_context(cafile=self.ca)
        try:
            with urllib.request.urlopen(request, timeout=60, context=context) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 404 or missing is None:
                    raise
                return missing

    def said(self) -> str:
        """Return the last that it said."""
        return (self._folder / "node.log").read_text(errors="replace")[-3000:]

    def _answers(self) -> bool:
        try:
            return bool(self.call("GET", "/_cluster/health?wait_for_status=yellow&timeout=5s")["status"] != "red")
        except (OSError, ValueError, KeyError):
            return False

    def _all_settings(self) -> dict[str, str]:
        security = "plugins.security."
        pem = {"pemcert_filepath": "node.pem", "pemkey_filepath": "node.key", "pemtrustedcas_filepath": "ca.pem"}
        return {
            "http.port": str(self.port),
            "transport.port": str(self._transport_port),
            "network.host": "127.0.0.1",
            "discovery.type": "single-node",
            "transport.type": "org.opensearch.security.ssl.http.netty.SecuritySSLNettyTransport",
            "http.type": "org.opensearch.security.http.SecurityHttpServerTransport",
            **{f"{security}ssl.transport.{name}": value for name, value in pem.items()},
            **{f"{security}ssl.http.{name}": value for name, value in pem.items()},
            f"{security}ssl.transport.enforce_hostname_verification": "false",
            f"{security}ssl.http.enabled": "true",
            f"{security}allow_default_init_securityindex": "true",
            f"{security}authcz.admin_dn[]": "CN=nobody",
            f"{security}nodes_dn[]": "CN=node",
            # Less than a sink sends at once, so that it has to send less.
            "http.max_content_length": "2mb",
            # One node has no place for replicas; the machine's disk may be fuller than a production node's.
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            **self.settings,
        }


def _write_users(folder: Path) -> None:
    users = "".join(f'{name}: {{hash: "{hashed}", reserved: false}}\n' for name, hashed in USERS.items())
    (folder / "internal_users.yml").write_text(f"_meta: {{type: internalusers, config_version: 2}}\n{users}")
    (folder / "roles.yml").write_text(ROLES)
    (folder / "roles_mapping.yml").write_text(ROLES_MAPPING)


def make_certificates(folder: Path, config: Path) -> None:
    """Write an authority's certificate, and a node's with its key."""
    authority = _name("tailrace tests")
    authority_key, node_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = (
        _certificate(authority, authority, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    addresses = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    )
    node = (
        _certificate(_name("node"), authority, node_key)
        .add_extension(addresses, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (config / "ca.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (config / "node.pem").write_bytes(node.public_bytes(serialization.Encoding.PEM))
    (config / "node.key").write_bytes(
        node_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
    )

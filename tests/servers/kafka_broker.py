"""One Kafka broker, and a cluster of them, of a test's own: started, stopped, killed, held still and restarted at will.

Every broker is a controller, too (KRaft), a process of its own, and goes when we go. Listeners, all on 127.0.0.1:

    INTERNAL    without encryption or login, for the brokers and for tests that look after them
    CLIENT      as `Access` says: SASL, TLS; may be advertised at the ports of proxies
    CONTROLLER  of the quorum
"""

from __future__ import annotations

import base64
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from servers.kafka_programs import Programs
from tailrace.demo.postgres import free_ports
from tailrace.demo.process import ServerProcess
from tailrace.errors import Fatal

SETTINGS = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "INTERNAL",
    # Topics are made by whoever needs them: a topic that appears by itself hides a fault.
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    # Small: a test has few of everything.
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.cleaner.threads": "1",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "replica.fetch.wait.max.ms": "100",
    # A killed broker is missed soon, yet not one that a busy machine keeps waiting.
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "5000",
}

KAFKAS_OWN = {"__consumer_offsets", "__transaction_state", "__share_group_state"}


@dataclass(frozen=True, slots=True)
class Access:
    """How clients get in by the listener CLIENT.

    `protocol` is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; `users` may log in by PLAIN and SCRAM; `key_store` is a
    PEM file with key and certificate, for TLS; `trust_store` one with the certificates that clients must show.
    """

    protocol: str = "PLAINTEXT"
    users: Mapping[str, str] = field(default_factory=dict)
    mechanisms: Sequence[str] = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
    key_store: Path | None = None
    trust_store: Path | None = None

    def properties(self) -> dict[str, str]:
        """Return the broker's settings for the listener."""
        prefix = "listener.name.client."
        settings = {}
        if "SASL" in self.protocol:
            module = "org.apache.kafka.common.security"
            known = " ".join(f'user_{name}="{password}"' for name, password in self.users.items())
            settings[f"{prefix}sasl.enabled.mechanisms"] = ",".join(self.mechanisms)
            settings[f"{prefix}plain.sasl.jaas.config"] = f"{module}.plain.PlainLoginModule required {known};"
            for name in ("scram-sha-256", "scram-sha-512"):
                settings[f"{prefix}{name}.sasl.jaas.config"] = f"{module}.scram.ScramLoginModule required;"
            settings[f"{prefix}oauthbearer.sasl.jaas.config"] = (
                f'{module}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
            )
        if self.key_store is not None:
            settings |= {f"{prefix}ssl.keystore.type": "PEM", f"{prefix}ssl.keystore.location": str(self.key_store)}
        if self.trust_store is not None:
            settings |= {
                f"{prefix}ssl.truststore.type": "PEM",
                f"{prefix}ssl.truststore.location": str(self.trust_store),
            }
            settings[f"{prefix}ssl.client.auth"] = "required"
        return settings

    def formatting(self) -> list[str]:
        """Return what the format tool is told, so that users may log in by SCRAM."""
        mechanisms = [mechanism for mechanism in self.mechanisms if mechanism.startswith("SCRAM")]
        return [word for name, password in self.users.items() for mechanism in mechanisms
                for word in ("--add-scram", f"{mechanism}=[name={name},password={password}]")]  # fmt: skip


class KafkaBroker:
    """One broker with one data folder and three ports: its own, the clients' and the controller's."""

    def __init__(
        self, programs: Programs, number: int, folder: Path, cluster_id: str, ports: tuple[int, int, int]
    ) -> None:
        self.programs = programs
        self.number = number
        self.folder = folder / f"broker-{number}"
        self.cluster_id = cluster_id
        self.internal_port, self.client_port, self.controller_port = ports
        self.advertised_port = self.client_port
        """Where clients of the listener CLIENT are sent; a proxy's port, say."""
        self.properties: dict[str, str] = {}
        self.formatting: list[str] = []
        self.java_options: list[str] = ["-XX:TieredStopAtLevel=1"]
        self.heap_mb = 256
        self._process = ServerProcess(f"kafka broker {number}", signal.SIGKILL)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.running

    @property
    def log_file(self) -> Path:
        return self.folder / "broker.log"

    def launch(self) -> None:
        """Start the process; `KafkaCluster.wait_ready` waits until it serves."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "server.properties"
        lines = "".join(f"{name}={value}\n" for name, value in self._settings().items())
        # A properties file has no other letters than ASCII's.
        settings.write_text("".join(each if each.isascii() else f"\\u{ord(each):04x}" for each in lines))
        arguments = [str(settings), str(self.folder / "data"), self.cluster_id, *self.formatting]
        command = self.programs.java("Broker", *self.java_options, heap_mb=self.heap_mb)
        self._process.launch([*command, *arguments], self.log_file, cwd=self.folder)

    def stop(self, *, timeout: float = 60.0) -> None:
        """Stop in good order; killed when that takes longer than `timeout` seconds."""
        self._process.end(signal.SIGTERM, timeout=timeout)

    def kill(self) -> None:
        """Kill with signal 9."""
        self._process.kill()

    def hold(self) -> None:
        """Let the broker stand still, connections open: to everybody it is deaf and mute."""
        self._process.hold()

    def go_on(self) -> None:
        """End `hold`."""
        self._process.go_on()

    def said(self) -> str:
        """Return the last that it said."""
        return self.log_file.read_text(errors="replace")[-3000:].strip() if self.log_file.exists() else "nothing"

    def _settings(self) -> dict[str, str]:
        ports = {"INTERNAL": self.internal_port, "CLIENT": self.client_port, "CONTROLLER": self.controller_port}
        at = {name: f"{name}://127.0.0.1:{port}" for name, port in ports.items()}
        return {
            **SETTINGS,
            "node.id": str(self.number),
            "listeners": ",".join(at.values()),
            "advertised.listeners": f"{at['INTERNAL']},CLIENT://127.0.0.1:{self.advertised_port}",
            "log.dirs": str(self.folder / "data"),
            **self.properties,
        }


class KafkaCluster:
    """Brokers that know each other; use it in a `with`, or `start` and `close` it.

    `settings` are lines of the properties file beyond `SETTINGS`.
    """

    def __init__(
        self,
        programs: Programs,
        count: int = 1,
        *,
        access: Access | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tailrace-"))
        self.access = access or Access()
        # Sixteen octets in base64; to the format tool a leading `-` is an option, so the first six bits are no 62.
        cluster_id = base64.urlsafe_b64encode(bytes([0]) + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        ports = iter(free_ports(3 * count))
        self.brokers = [
            KafkaBroker(programs, number, self.folder, cluster_id, three)
            for number, three in enumerate(zip(ports, ports, ports, strict=True), 1)
        ]
        copies, in_sync = str(min(3, count)), str(min(2, count))
        voters = ",".join(f"{broker.number}@127.0.0.1:{broker.controller_port}" for broker in self.brokers)
        protocols = {"INTERNAL": "PLAINTEXT", "CLIENT": self.access.protocol, "CONTROLLER": "PLAINTEXT"}
        for broker in self.brokers:
            broker.formatting = self.access.formatting()
            broker.properties = {
                "controller.quorum.voters": voters,
                "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in protocols.items()),
                "offsets.topic.replication.factor": copies,
                "default.replication.factor": copies,
                "min.insync.replicas": in_sync,
                "transaction.state.log.replication.factor": copies,
                "transaction.state.log.min.isr": in_sync,
                **self.access.properties(),
                **(settings or {}),
            }

    @property
    def bootstrap_servers(self) -> str:
        """Where clients begin, by the listener CLIENT, proxies included."""
        return ",".join(f"127.0.0.1:{broker.advertised_port}" for broker in self.brokers)

    @property
    def internal_servers(self) -> str:
        """Where tests begin, by the listener INTERNAL."""
        return ",".join(f"127.0.0.1:{broker.internal_port}" for broker in self.brokers)

    def admin(self) -> AdminClient:
        """Return an admin client by the listener INTERNAL."""
        return AdminClient({"bootstrap.servers": self.internal_servers, "log_level": 0})

    def create_topic(self, name: str, partitions: int = 1, *, copies: int = 1, **config: str) -> None:
        """Create a topic; `config` has `_` in place of the dots of the names."""
        settings = {key.replace("_", "."): value for key, value in config.items()}
        admin = self.admin()
        admin.create_topics([NewTopic(name, partitions, copies, config=settings)], operation_timeout=60)[name].result()
        deadline = time.monotonic() + 60
        while name not in admin.list_topics(timeout=60).topics:  # brokers hear of it one after the other
            assert time.monotonic() < deadline, f"topic {name} does not appear"
            time.sleep(0.02)

    def start(self, *, timeout: float = 180.0) -> None:
        """Start the brokers that do not run, and wait until all serve; raises `Fatal` with what they said last."""
        for broker in self.brokers:
            if not broker.running:
                broker.launch()
        self.wait_ready(timeout=timeout)

    def wait_ready(self, *, timeout: float = 180.0) -> None:
        """Wait until every running broker serves; raises `Fatal` when one ends, or after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        wanted = {broker.number for broker in self.brokers if broker.running}
        while not wanted <= self._serving():
            for broker in self.brokers:
                if broker.number in wanted and (not broker.running or time.monotonic() > deadline):
                    raise Fatal(f"kafka broker {broker.number} did not start", hint=f"it said: {broker.said()}")
            time.sleep(0.05)

    def clear(self) -> None:
        """Delete all topics and consumer groups but Kafka's own."""
        admin = self.admin()
        topics = [name for name in admin.list_topics(timeout=60).topics if name not in KAFKAS_OWN]
        groups = [group.group_id for group in admin.list_consumer_groups(request_timeout=60).result().valid]
        deletions = admin.delete_topics(topics, operation_timeout=60) if topics else {}
        deletions |= admin.delete_consumer_groups(groups, request_timeout=60) if groups else {}
        for deletion in deletions.values():
            deletion.result()

    def close(self) -> None:
        """Kill the brokers and remove their folders."""
        for broker in self.brokers:
            broker.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serving(self) -> set[int]:
        try:
            return set(self.admin().list_topics(timeout=1).brokers)
        except KafkaException:
            return set()
